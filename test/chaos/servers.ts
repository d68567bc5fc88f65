/** The storage of a run: some arrangement of Redis servers, as the rest needs to know it. */
import type { TcpProxy } from "./proxy.ts";

export interface Servers extends AsyncDisposable {
  /** Storage URL for a broker, from 0. */
  url(broker: number): string;
  /** For whoever looks at the end. */
  readonly directUrl: string;
  /** What brokers reach it by; empty where they find its servers by themselves. */
  readonly links: readonly TcpProxy[];
}
