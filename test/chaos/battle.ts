/** One run: load and faults for a while, then all is healed, drained and ended, and what everybody saw is put together. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { systemClock } from "../../protocol/clock.ts";
import { openRedis } from "../../server/storage/redis/redis-storage.ts";
import type { Inspection, Storage } from "../../server/storage/storage.ts";
import { type Event, type Final, parse } from "../history/events.ts";
import { complete } from "../support/processes.ts";
import { Arena } from "./arena.ts";
import { now, openHistory, watchTime } from "./history-file.ts";
import { type Answer, queues } from "./load.ts";
import type { Part } from "./part.ts";
import type { Blow, Step } from "./schedule.ts";
import type { Servers } from "./servers.ts";

export interface Battle<S extends Servers> {
  seed: number;
  servers(brokers: number): Promise<S>;
  /** Absent: the product's own. */
  leaseMs?: number;
  /** Until there are no more, or the time is over. */
  steps: Iterable<Step<S>>;
  ms?: number;
  /** Told what goes on. */
  say(line: string): void;
}

/** What there is to be judged. */
export interface Aftermath {
  events: Event[];
  /** What went wrong beside the history: processes that complained, faults that could not be caused or healed, findings of fsck. */
  alarms: string[];
  /** The longest that a broker took to end after SIGTERM. */
  slowestDrainMs: number;
}

/** After the last fault everything has to be over in this time. */
const DRAIN_MS = 45_000;

export async function fight<S extends Servers>(battle: Battle<S>): Promise<Aftermath> {
  const { ms = Number.POSITIVE_INFINITY, steps, say } = battle;
  const driver = new Driver(say);
  await using arena = await Arena.start(battle);
  // Where this process finds no time, the storage's servers may not either.
  watchTime(openHistory(join(arena.folder, "driver.jsonl"), "driver"), "storage");
  say("three brokers, three workers, two processes of callers");
  const end = now() + ms;
  for (const { blows, peaceMs } of steps) {
    await Promise.all(blows.map((blow) => driver.strike(arena, blow)));
    if (now() + peaceMs >= end) break;
    await pause(peaceMs);
  }
  say("healed; draining");
  await driver.drain(arena);
  const files = readdirSync(arena.folder).map((file) => readFileSync(join(arena.folder, file), "utf8"));
  const alarms = [...driver.alarms, ...arena.parts.flatMap((part) => part.alarms)];
  const slowestDrainMs = Math.max(...arena.brokers.map((broker) => broker.slowestEndMs));
  return { events: [...files.flatMap(parse), ...driver.events], alarms, slowestDrainMs };
}

class Driver {
  readonly events: Event[] = [];
  readonly alarms: string[] = [];
  readonly #say: (line: string) => void;
  readonly #began = now();

  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  async strike<S extends Servers>(arena: Arena<S>, { kind, ...draw }: Blow<S>): Promise<void> {
    const at = now();
    try {
      // Before it is waited for: what is confirmed meanwhile may be too late for it.
      await kind.inStep?.(arena);
      const struck = await kind.cause(arena, draw);
      const names = kind.inStep ? [kind.name, "rollback"] : [kind.name];
      for (const name of names) {
        const fault = { kind: "fault", by: "driver", fault: name, ...struck } as const;
        this.events.push({ at, ...fault, phase: "begin" }, { at: now(), ...fault, phase: "end" });
      }
      this.#note(`${kind.name} (${struck.who ?? struck.on}, ${Math.round(now() - at)} ms)`);
    } catch (error) {
      this.alarms.push(`fault "${kind.name}": ${error instanceof Error ? error.stack : error}`);
    }
  }

  /** Nobody asks any more, all that was asked is answered, all that was stored is done. */
  async drain(arena: Arena<Servers>): Promise<void> {
    await Promise.all(arena.callers.map((caller) => this.#ended(caller)));
    const storage = await openRedis(arena.servers.directUrl, { brokerId: "driver", clock: systemClock, warn() {} });
    try {
      await this.#idle(storage);
      await Promise.all(arena.workers.map((worker) => this.#ended(worker)));
      await Promise.all(arena.brokers.map((broker) => this.#ended(broker)));
      for (const queue of queues) this.events.push(...finals(queue, await storage.inspect(queue)));
      this.events.push({ kind: "final", at: now(), by: "driver" });
    } finally {
      await storage.close();
    }
    const { code, stdout, stderr } = await complete(["cli/main.ts", "fsck", "--storage", arena.servers.directUrl]);
    if (code !== 0) this.alarms.push(`fsck ended with ${code}: ${stdout}${stderr}`);
    this.#note(`fsck: ${stderr.trim()}`);
  }

  async #ended(part: Part): Promise<void> {
    const limit = AbortSignal.timeout(DRAIN_MS);
    const late = new Promise<"late">((resolve) => limit.addEventListener("abort", () => resolve("late")));
    const code = await Promise.race([part.end("SIGTERM"), late]);
    if (code !== 0) this.alarms.push(`${part.name} after SIGTERM: ${code}`);
  }

  async #idle(storage: Storage): Promise<void> {
    const until = now() + DRAIN_MS;
    for (;;) {
      const counts = await Promise.all(queues.map((queue) => storage.count(queue)));
      const open = counts.reduce((sum, { jobs }) => sum + jobs.scheduled + jobs.queued + jobs.running, 0);
      if (open === 0) return;
      if (now() > until) return void this.alarms.push(`${open} jobs are not over ${DRAIN_MS} ms after the last fault`);
      await pause(50);
    }
  }

  #note(line: string): void {
    this.#say(`${((now() - this.#began) / 1000).toFixed(1).padStart(7)} s  ${line}`);
  }
}

function finals(queue: string, { jobs }: Inspection): Final[] {
  return jobs.map(({ record, result }) => {
    const { jobId: job, state, version } = record;
    const text = result && (JSON.parse(Buffer.from(result.data).toString()) as Answer).text;
    const sight = { state, version, ...(text !== undefined && { outcome: { state: "succeeded" as const, text } }) };
    return { kind: "final", at: now(), by: "driver", queue, job, sight };
  });
}
