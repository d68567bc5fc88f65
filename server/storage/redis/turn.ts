/**
 * What is asked in one turn of the event loop. It leaves at its end and in one write, since a system call each would cost
 * as much as all the rest; and verbs of one queue that follow each other leave as one call of the server: decisions/0022.
 * A call that is full leaves at once, so that the server is at work while the next one is made ready.
 */
import { Redis } from "ioredis";
import type { Clock } from "../../../protocol/clock.ts";
import type { Client, Reply } from "./client.ts";
import { Library, type Verb } from "./library.ts";

/** Verbs of one call: each takes the server some hundredths of a millisecond, and nobody else is served meanwhile. */
const MAX_VERBS = 16;

/** A verb, or anything else that is sent by itself. */
export type Request = Verb | { send(client: Client): Promise<Reply> };

/** Who waits for the answer. */
export interface Asker {
  answered(reply: Reply): void;
  failed(error: unknown): void;
}

interface Call {
  client: Client;
  requests: Request[];
  askers: Asker[];
}

export class Turn {
  readonly #clock: Clock;
  readonly #library: Library;
  #calls: Call[] = [];
  /** The newest call about a queue, by its first key: what follows it may join it. */
  #newest = new Map<string, Call>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#library = new Library(clock);
  }

  /** Verbs of one queue run in the order in which they were asked for. */
  add(client: Client, request: Request, asker: Asker): void {
    if (this.#calls.length === 0) this.#clock.defer(() => this.#leave());
    const newest = "keys" in request ? this.#newest.get(request.keys[0]!) : undefined;
    if (newest?.client === client && joins(request, newest.requests[0]!)) {
      newest.requests.push(request);
      newest.askers.push(asker);
      if (newest.requests.length === MAX_VERBS) this.#leave();
      return;
    }
    const call = { client, requests: [request], askers: [asker] };
    this.#calls.push(call);
    if ("keys" in request) this.#newest.set(request.keys[0]!, call);
  }

  #leave(): void {
    const calls = this.#calls;
    this.#calls = [];
    this.#newest = new Map();
    const streams = new Set<Redis["stream"]>();
    for (const { client } of calls) if (client instanceof Redis && client.stream) streams.add(client.stream);
    for (const stream of streams) stream.cork();
    for (const call of calls) this.#send(call);
    for (const stream of streams) stream.uncork();
  }

  #send({ client, requests, askers }: Call): void {
    const [request] = requests as [Request];
    const replies =
      "send" in request ? request.send(client).then((reply) => [reply]) : this.#library.run(client, requests as Verb[]);
    replies.then(
      (replies) => {
        for (const [i, asker] of askers.entries()) {
          const reply = replies[i]!;
          if (reply instanceof Error) asker.failed(reply);
          else asker.answered(reply);
        }
      },
      (error) => {
        for (const asker of askers) asker.failed(error);
      },
    );
  }
}

function joins(request: Request, first: Request): boolean {
  if (!("script" in request) || !("script" in first) || !request.script.frequent || !first.script.frequent)
    return false;
  return request.script.function === first.script.function && request.common === first.common;
}
