/** The brokers a client knows, one of them in use. */
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { BrokerService } from "../../gen/queuecall/v1/broker_pb.js";
import type { Link, LinkOptions, OpenLink } from "./transport.ts";

export type BrokerClient = Client<typeof BrokerService>;

/** A link and the calls that can be made on it. */
export interface BrokerLink {
  readonly link: Link;
  readonly broker: BrokerClient;
}

export class Links {
  readonly #links: BrokerLink[];
  #current = 0;

  /** @param urls at least one */
  constructor(urls: string[], open: OpenLink, options: LinkOptions) {
    this.#links = urls.map((url) => {
      const link = open(url, options);
      return { link, broker: createClient(BrokerService, link.transport) };
    });
  }

  get current(): BrokerLink {
    return this.#links[this.#current]!;
  }

  /** Makes the next broker current, unless another call has done so already. */
  leave(link: BrokerLink): void {
    if (link === this.current) this.#current = (this.#current + 1) % this.#links.length;
  }

  /** For Connect clients: each call takes the broker that is current when it starts. */
  get transport(): Transport {
    return {
      unary: (...call) => this.current.link.transport.unary(...call),
      stream: (...call) => this.current.link.transport.stream(...call),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#links.map(({ link }) => link.close()));
  }
}

/** Sends the token with every call. */
export function bearer(token: string | (() => string | Promise<string>)): Interceptor {
  return (next) => async (request) => {
    request.header.set("authorization", `Bearer ${typeof token === "string" ? token : await token()}`);
    return next(request);
  };
}
