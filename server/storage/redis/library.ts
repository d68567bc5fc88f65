/**
 * The library of verbs in the server: loaded once, as functions, since what a script defines is made anew on each call,
 * and that costs more than what most verbs do. A server that takes no functions, because it is full or because of its
 * rights, is sent the same as scripts.
 */
import { Cluster } from "ioredis";
import type { Clock } from "../../../protocol/clock.ts";
import { type Argument, type Client, type Reply, send } from "./client.ts";
import { type Packed, unpack } from "./packed.ts";
import { judge } from "./redis-error.ts";
import { library, type Script } from "./scripts.ts";

/** After a server took no functions, scripts are sent for this long. Milliseconds. */
const SCRIPTS_FOR_MS = 60_000;
/** A verb, and what it is about. */
export interface Verb {
  script: Script;
  keys: readonly string[];
  /** Clock offset and broker, as run.lua wants them in front; the same array while nothing changes. */
  common: readonly Argument[];
  /** Its name and its arguments: packed.ts. */
  packed: Packed;
}

export class Library {
  readonly #clock: Clock;
  #scriptsUntil = Number.NEGATIVE_INFINITY;
  #loading: Promise<boolean> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Runs a verb, or some that go together, queue by queue, those of a queue in their order.
   * @returns their answers; an Error for one that failed by itself
   */
  async run(client: Client, queues: Verb[][]): Promise<(Reply | Error)[]> {
    if (this.#clock.monotonic() < this.#scriptsUntil) return evaluate(client, queues);
    try {
      return await call(client, queues);
    } catch (error) {
      if (judge(error).code !== "NOFUNCTION") throw error;
    }
    // Shared: a server that has just come up is missed by all calls at once.
    this.#loading ??= this.#load(client).finally(() => {
      this.#loading = undefined;
    });
    return (await this.#loading) ? call(client, queues) : evaluate(client, queues);
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

async function call(client: Client, queues: Verb[][]): Promise<(Reply | Error)[]> {
  const packed = queues.flatMap((verbs) => verbs.map((verb) => verb.packed));
  return answersOf(await send(client, "fcall", [queues[0]![0]!.script.function, ...about(queues)], packed));
}

/** KEYS and ARGV of run.lua, but for the verbs themselves. */
function about(queues: Verb[][]): Argument[] {
  const { keys, common } = queues[0]![0]!;
  const all = queues.length === 1 ? keys : queues.flatMap(([verb]) => verb!.keys);
  return [all.length, ...all, ...common, keys.length, ...queues.map((verbs) => verbs.length)];
}

function answersOf(packed: Reply): (Reply | Error)[] {
  const [answers, errors] = unpack(packed as Buffer) as [(Reply | Error)[], Reply[]];
  for (let i = 0; i < errors.length; i += 2) answers[errors[i] as number] = refusal(String(errors[i + 1]));
  return answers;
}

/** As ioredis makes it of the error of a call. */
function refusal(message: string): Error {
  const error = new Error(message);
  error.name = "ReplyError";
  return error;
}

function evaluate(client: Client, queues: Verb[][]): Promise<(Reply | Error)[]> {
  return Promise.all(queues.flat().map((verb) => evaluateOne(client, verb).catch((error: Error) => error)));
}

async function evaluateOne(client: Client, verb: Verb): Promise<Reply | Error> {
  const rest = about([[verb]]);
  const packed = [verb.packed];
  const { sha, text } = verb.script;
  const evaluated = send(client, "evalsha", [sha, ...rest], packed).catch((error: unknown) => {
    if (judge(error).code !== "NOSCRIPT") throw error;
    return send(client, "eval", [text, ...rest], packed);
  });
  return answersOf(await evaluated)[0]!;
}
