/**
 * What is asked in one turn of the event loop. It leaves at its end and in one write, since a system call each would cost
 * as much as all the rest; and verbs that follow each other leave as one call of the server, where it is one server for all
 * queues, or of the queue: decisions/0022. A call that is full leaves at once, so that the server is at work while the next
 * one is made ready.
 */
import { Cluster, Redis } from "ioredis";
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
  readonly client: Client;
  leave(): void;
}

export class Turn {
  readonly #clock: Clock;
  readonly #library: Library;
  #calls: Call[] = [];
  /** The newest call with verbs that those of a place may join: of a server, or of a queue in a cluster. */
  #newest = new Map<string, Together>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#library = new Library(clock);
  }

  /** Verbs of one queue run in the order in which they were asked for. */
  add(client: Client, request: Request, asker: Asker): void {
    if (this.#calls.length === 0) this.#clock.defer(() => this.#leave());
    if ("send" in request) {
      const leave = () =>
        void request.send(client).then(
          (reply) => asker.answered(reply),
          (error) => asker.failed(error),
        );
      this.#calls.push({ client, leave });
      return;
    }
    const place = client instanceof Cluster ? request.keys[0]! : "";
    const newest = this.#newest.get(place);
    if (newest?.takes(client, request)) {
      newest.add(request, asker);
      if (newest.size === MAX_VERBS) this.#leave();
      return;
    }
    const call = new Together(this.#library, client, request, asker);
    this.#calls.push(call);
    this.#newest.set(place, call);
  }

  #leave(): void {
    const calls = this.#calls;
    this.#calls = [];
    this.#newest = new Map();
    const streams = new Set<Redis["stream"]>();
    for (const { client } of calls) if (client instanceof Redis && client.stream) streams.add(client.stream);
    for (const stream of streams) stream.cork();
    for (const call of calls) call.leave();
    for (const stream of streams) stream.uncork();
  }
}

/** Verbs that leave as one call, those of a queue behind one another. */
class Together implements Call {
  readonly client: Client;
  readonly #library: Library;
  readonly #first: Verb;
  readonly #byQueue = new Map<string, { verbs: Verb[]; askers: Asker[] }>();
  size = 0;

  constructor(library: Library, client: Client, first: Verb, asker: Asker) {
    this.#library = library;
    this.client = client;
    this.#first = first;
    this.add(first, asker);
  }

  takes(client: Client, { script, common }: Verb): boolean {
    const { script: first } = this.#first;
    if (client !== this.client || !script.frequent || !first.frequent) return false;
    return script.function === first.function && common === this.#first.common;
  }

  add(verb: Verb, asker: Asker): void {
    const queue = verb.keys[0]!;
    const known = this.#byQueue.get(queue);
    if (known) {
      known.verbs.push(verb);
      known.askers.push(asker);
    } else this.#byQueue.set(queue, { verbs: [verb], askers: [asker] });
    this.size++;
  }

  leave(): void {
    const queues = [...this.#byQueue.values()];
    const askers = queues.length === 1 ? queues[0]!.askers : queues.flatMap((queue) => queue.askers);
    this.#library
      .run(
        this.client,
        queues.map(({ verbs }) => verbs),
      )
      .then(
        (replies) => {
          for (let i = 0; i < askers.length; i++) {
            const reply = replies[i]!;
            if (reply instanceof Error) askers[i]!.failed(reply);
            else askers[i]!.answered(reply);
          }
        },
        (error) => {
          for (const asker of askers) asker.failed(error);
        },
      );
  }
}
