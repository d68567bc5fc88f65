/** One bidirectional stream, whatever carries it: through the door, bounded in what its peer does not read, ended once. */
import { CallError } from "../../protocol/errors.ts";
import { lengthOf, type Pieces } from "../../protocol/pieces.ts";
import type { Credentials, Visit } from "./access.ts";
import type { ByteLink } from "./byte-link.ts";
import type { Front } from "./front.ts";
import type { Flow } from "./outflow.ts";

/** What a stream is fed with. */
export interface ByteStream {
  message(bytes: Uint8Array): void;
  writable(): void;
  /** The peer has half-closed. */
  ended(): void;
  closed(): void;
}

export interface BidiMethod {
  /** "/queuecall.v1.WorkerService/Work" */
  path: string;
  /** Makes the stream of a call; `over` is called once when it has ended. */
  open(link: ByteLink, credentials: () => Credentials, visit?: Visit): { stream: ByteStream; over?: () => void };
}

/** What a port does for a stream. */
export interface Carrier {
  credentials(): Credentials;
  /** @param taken called once the peer has room for more */
  write(message: Pieces, taken: () => void): void;
  /** Whether to take more of what the peer sends. */
  read(on: boolean): void;
  /** Ends the stream behind what was written: with OK, or with the error. */
  end(error?: Error): void;
  /** Drops it at once, with all that was written and not sent. */
  reset(): void;
}

export class BidiCall implements ByteLink {
  readonly #carrier: Carrier;
  readonly #flow: Flow;
  #visit: Visit | undefined;
  #stream: ByteStream | undefined;
  #over: (() => void) | undefined;
  #ended = false;

  constructor({ open }: BidiMethod, carrier: Carrier, front: Front) {
    this.#carrier = carrier;
    this.#flow = front.flow(() => carrier.reset());
    const credentials = () => carrier.credentials();
    try {
      this.#visit = front.door?.enter(credentials(), (error) => {
        this.end(error);
        this.#stream?.closed();
      });
      const { stream, over } = open(this, credentials, this.#visit);
      this.#stream = stream;
      this.#over = over;
    } catch (error) {
      this.end(error as Error);
    }
  }

  // ── what the port tells ──

  message(bytes: Uint8Array): void {
    if (!this.#ended) this.#stream?.message(bytes);
  }

  halfClosed(): void {
    this.#stream?.ended();
  }

  /** Nothing comes any more, and nothing arrives. */
  closed(): void {
    this.end();
    this.#flow.close();
    this.#stream?.closed();
  }

  // ── what the stream asks for ──

  get writable(): boolean {
    return !this.#flow.full && !this.#ended;
  }

  send(message: Pieces): void {
    if (this.#ended) return;
    const bytes = lengthOf(message);
    this.#flow.wrote(bytes);
    this.#carrier.write(message, () => {
      const wasFull = this.#flow.full;
      this.#flow.took(bytes);
      if (wasFull && this.writable) this.#stream?.writable();
    });
  }

  hold(bytes: number): void {
    this.#flow.hold(bytes);
  }

  read(on: boolean): void {
    this.#carrier.read(on);
  }

  end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#visit?.leave();
    this.#over?.();
    this.#carrier.end(error);
  }

  destroy(): void {
    this.end(new CallError("PROTOCOL_VIOLATION", "nothing was heard for 2.5 ping intervals: answer pings"));
    // Behind what the peer does not read, the status would wait as long as the connection lives.
    if (this.#flow.bytes > 0) this.#carrier.reset();
  }
}
