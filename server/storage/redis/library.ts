/**
 * The library of verbs in the server: loaded once, as functions, since what a script defines is made anew on each call,
 * and that costs more than what most verbs do. A server that takes no functions, because it is full or because of its
 * rights, is sent the same as scripts.
 */
import { Cluster } from "ioredis";
import type { Clock } from "../../../protocol/clock.ts";
import { type Argument, type Client, type Reply, send } from "./client.ts";
import { judge } from "./redis-error.ts";
import { library, type Script } from "./scripts.ts";

/** After a server took no functions, scripts are sent for this long. Milliseconds. */
const SCRIPTS_FOR_MS = 60_000;

export class Library {
  readonly #clock: Clock;
  #scriptsUntil = Number.NEGATIVE_INFINITY;
  #loading: Promise<boolean> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param rest how many keys, keys, arguments */
  async run(client: Client, script: Script, rest: Argument[]): Promise<Reply> {
    if (this.#clock.monotonic() < this.#scriptsUntil) return evaluate(client, script, rest);
    try {
      return await send(client, "fcall", [script.function, ...rest]);
    } catch (error) {
      if (judge(error).code !== "NOFUNCTION") throw error;
    }
    // Shared: a server that has just come up is missed by all calls at once.
    this.#loading ??= this.#load(client).finally(() => {
      this.#loading = undefined;
    });
    return (await this.#loading) ? send(client, "fcall", [script.function, ...rest]) : evaluate(client, script, rest);
  }

  /** Answers whether there are functions now. Replicas get them from their masters. */
  async #load(client: Client): Promise<boolean> {
    const nodes = client instanceof Cluster ? client.nodes("master") : [client];
    const loaded = await Promise.all(nodes.map(loadInto));
    if (loaded.every(Boolean)) return true;
    this.#scriptsUntil = this.#clock.monotonic() + SCRIPTS_FOR_MS;
    return false;
  }
}

async function loadInto(node: Client): Promise<boolean> {
  try {
    await send(node, "function", ["LOAD", library.text]);
    return true;
  } catch (error) {
    // Another broker was faster: the name says what is in it.
    if (error instanceof Error && /already exists/.test(error.message)) return true;
    // Says nothing of functions: a replica, a connection that is gone.
    if (judge(error).retry) throw error;
    return false;
  }
}

async function evaluate(client: Client, script: Script, rest: Argument[]): Promise<Reply> {
  try {
    return await send(client, "evalsha", [script.sha, ...rest]);
  } catch (error) {
    if (judge(error).code !== "NOSCRIPT") throw error;
    return await send(client, "eval", [script.text, ...rest]);
  }
}
