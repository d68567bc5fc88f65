/** One simulated world: brokers on one storage, workers, callers, a network; and how each step of a plan is done to it. */
import { type BrokerSettings, defaultSettings } from "../../server/settings.ts";
import { openStorage } from "../../server/storage/open.ts";
import type { Storage } from "../../server/storage/storage.ts";
import type { Event, Fault } from "../history/events.ts";
import { addressOf, Cast, type Host } from "./cast.ts";
import { Ledger } from "./ledger.ts";
import { KEEPALIVE_MS, Network } from "./network.ts";
import type { FaultStep, Plan, Step } from "./plan.ts";
import { Random } from "./random.ts";
import { SharedStorage } from "./storage.ts";
import { Process, Time } from "./time.ts";
import { Troubles } from "./troubles.ts";
import type { Message } from "./wire.ts";

type FaultOf<Kind extends FaultStep["do"]> = Extract<FaultStep, { do: Kind }>;

/** What a stalled connection holds back arrives by then. */
const LONGEST_STALL_MS = 30_000;

export class World {
  readonly events: Event[] = [];
  /** What must never happen, whatever is broken: internal errors, drains that do not end. */
  readonly bugs: string[] = [];
  readonly time = new Time();
  readonly ledger: Ledger;
  readonly storage: SharedStorage;
  readonly #network: Network<Message>;
  readonly #troubles: Troubles;
  readonly #settings: BrokerSettings;
  readonly #cast: Cast;
  #open = 0;

  /** @param plan what is in it; its steps are done one by one, by `step` */
  static async open(plan: Plan): Promise<World> {
    const time = new Time();
    const random = new Random(`world ${plan.seed}`);
    const process = new Process("storage", time, random);
    const inner = await openStorage("memory:", { brokerId: "memory", clock: process.clock, warn() {} });
    return new World(plan, time, random, inner);
  }

  private constructor(plan: Plan, time: Time, random: Random, inner: Storage) {
    this.time = time;
    this.#network = new Network({ time, random });
    this.#troubles = new Troubles(time, this.#record);
    this.#settings = { ...defaultSettings, ...plan.settings };
    this.ledger = new Ledger(this.#record, () => time.now);
    this.storage = new SharedStorage(inner, time, random, this.ledger);
    this.#cast = new Cast({
      ...{ plan, time, network: this.#network, settings: this.#settings, storage: this.storage, ledger: this.ledger },
      record: this.#record,
      onBug: this.#onBug,
      crashed: (worker, process) => this.#crashed(worker, process),
    });
  }

  /** Calls of living callers that have not returned. */
  get open(): number {
    return this.#open;
  }

  /** Begins a step; what it started goes on by itself. */
  step(step: Step): void {
    if (step.do === "call") this.#call(step);
    else this.#fault(step);
  }

  /** Everything works again: what is dead or stopped comes back, nothing is lost from here on, nor late once a stall is over. */
  heal(): void {
    this.#troubles.heal();
    this.storage.heal();
    this.#network.heal();
    this.storage.reconnected();
  }

  /** Everybody leaves in good order. */
  async close(): Promise<void> {
    await this.time.advance(LONGEST_STALL_MS);
    const leaving = [...this.#cast.workers.values()].map(({ role }) => role.close());
    let left = false;
    void Promise.all(leaving).then(() => (left = true));
    await this.time.advance(this.#settings.drainTimeoutMs + 10_000);
    if (!left) this.bugs.push("a worker did not end its drain");
    for (const caller of this.#cast.callers.values()) await caller.close();
    await this.time.advance(100);
    for (const [name, { role }] of this.#cast.brokers) {
      let cut: boolean | undefined;
      void role.drain().then((answer) => (cut = answer));
      await this.time.advance(this.#settings.drainTimeoutMs + 1_000);
      if (cut !== false) this.bugs.push(`broker ${name} did not end its drain although nobody was left: ${role.holds}`);
      if (role.broker.waiting > 0) this.bugs.push(`broker ${name} still has ${role.broker.waiting} waiters`);
    }
    await this.storage.inner.close();
  }

  readonly #record = (event: Event): void => {
    this.events.push(event);
  };

  readonly #onBug = (error: unknown, path: string): void => {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.bugs.push(`internal error in ${path}: ${stack}`);
  };

  // ── steps ──────────────────────────────────────────────────────────────────

  #call(step: Extract<Step, { do: "call" }>): void {
    const caller = this.#cast.callers.get(step.caller);
    if (!caller) return;
    this.#open++;
    void caller.call(step).then(() => {
      if (this.#cast.callers.get(step.caller) === caller) this.#open--;
    });
  }

  #fault(step: FaultStep): void {
    this.ledger.count(`fault: ${step.do}${"fault" in step ? ` ${step.fault}` : ""}`);
    switch (step.do) {
      case "kill-broker":
        return this.#killBroker(step);
      case "drain-broker":
        return this.#drainBroker(step);
      case "kill-worker":
        return this.#killWorker(step);
      case "drain-worker":
        return this.#drainWorker(step);
      case "stop-broker":
        return this.#stop(step, this.#cast.brokers.get(step.who), "broker");
      case "stop-worker":
        return this.#stop(step, this.#cast.workers.get(step.who), "worker");
      case "pause-worker":
        return this.#pauseWorker(step);
      case "kill-caller":
        return this.#killCaller(step.who);
      case "cut":
        this.#troubles.note({ fault: "cut", on: "network", who: step.who });
        this.#deadConnections();
        return this.#network.cut(step.who);
      case "stall":
        this.#network.stall(step.who, step.direction, step.forMs);
        return this.#troubles.lasting(
          { fault: `stall ${step.direction}`, on: "network", who: step.who },
          step.forMs,
          () => {},
        );
      case "slow":
        return this.#slow(step);
      case "verbs":
        return this.#breakVerbs(step);
      case "stall-storage":
        this.storage.stalledUntil = Math.max(this.storage.stalledUntil, this.time.now + step.forMs);
        return this.#troubles.lasting({ fault: "stall", on: "storage" }, step.forMs, () => this.storage.reconnected());
      case "hints":
        this.storage.hintFaults.set(step.fault, step.rate);
        return this.#troubles.during({ fault: `hints ${step.fault}`, on: "storage", harmless: true }, step.forMs, () =>
          this.storage.hintFaults.delete(step.fault),
        );
      case "pause-queue":
        return this.#pauseQueue(step);
    }
  }

  #slow({ forMs, mostMs, harmless }: FaultOf<"slow">): void {
    this.#network.slow(forMs, mostMs);
    this.#troubles.during({ fault: "slow", on: "network", ...(harmless && { harmless }) }, forMs, () => {});
  }

  #killBroker({ who, forMs, silent }: FaultOf<"kill-broker">): void {
    const host = this.#cast.brokers.get(who);
    if (!host) return;
    this.#cast.brokers.delete(who);
    this.#network.unlisten(addressOf(who), host.process);
    host.process.kill();
    this.#network.died(host.process, silent);
    if (silent) this.#deadConnections();
    this.#troubles.during({ fault: "kill", on: "broker", who }, forMs, () => this.#cast.startBroker(who));
  }

  #drainBroker({ who, forMs }: FaultOf<"drain-broker">): void {
    const host = this.#cast.brokers.get(who);
    if (!host) return;
    this.#cast.brokers.delete(who);
    host.process.run(() => {
      void host.role.drain().then((cut) => {
        if (cut) this.#troubles.note({ fault: "drain cut", on: "broker", who });
        this.ledger.count(cut ? "drain cut" : "drain done");
      });
    });
    const again = () => this.#cast.startBroker(who);
    this.#troubles.during(
      { fault: "drain", on: "broker", who, harmless: true },
      this.#settings.drainTimeoutMs + 10 + forMs,
      again,
    );
  }

  /** Callers may still use connections that are dead, until a keepalive tells. */
  #deadConnections(): void {
    this.#troubles.during({ fault: "dead connections", on: "caller" }, KEEPALIVE_MS, () => {});
  }

  #killWorker({ who, forMs, silent }: FaultOf<"kill-worker">): void {
    const host = this.#cast.workers.get(who);
    if (!host) return;
    this.#cast.workers.delete(who);
    host.process.kill();
    this.#network.died(host.process, silent);
    this.#troubles.during({ fault: "kill", on: "worker", who }, forMs, () => this.#cast.startWorker(who));
  }

  /** A handler took its process down. One that was leaving anyway has its successor planned already. */
  #crashed(who: string, process: Process): void {
    if (this.#cast.workers.get(who)?.process === process) {
      return this.#fault({ do: "kill-worker", who, forMs: 500, silent: false });
    }
    process.kill();
    this.#network.died(process, false);
    this.#troubles.note({ fault: "kill", on: "worker", who });
  }

  #drainWorker({ who, forMs }: FaultOf<"drain-worker">): void {
    const host = this.#cast.workers.get(who);
    if (!host) return;
    this.#cast.workers.delete(who);
    host.process.run(() => void host.role.close());
    const lasts = this.#cast.workerPlan(who).drainTimeoutMs + 10_000;
    const again = () => this.#cast.startWorker(who);
    this.#troubles.during({ fault: "drain", on: "worker", who, harmless: true }, lasts + forMs, again);
  }

  #pauseWorker({ who, forMs }: FaultOf<"pause-worker">): void {
    const host = this.#cast.workers.get(who);
    if (!host) return;
    host.process.run(() => host.role.pause());
    this.#troubles.during({ fault: "pause", on: "worker", who, harmless: true }, forMs, () =>
      host.process.run(() => host.role.resume()),
    );
  }

  #stop(
    { who, forMs }: FaultOf<"stop-broker" | "stop-worker">,
    host: Host<unknown> | undefined,
    on: Fault["on"],
  ): void {
    if (!host) return;
    host.process.stop();
    this.#troubles.during({ fault: "stop", on, who }, forMs, () => host.process.resume());
  }

  #killCaller(who: string): void {
    const caller = this.#cast.callers.get(who);
    if (!caller) return;
    this.#troubles.note({ fault: "kill", on: "caller", who });
    this.#open -= caller.open;
    caller.process.kill();
    this.#network.died(caller.process, false);
    this.#cast.startCaller(who);
  }

  #breakVerbs({ fault, rate, forMs }: FaultOf<"verbs">): void {
    this.storage.verbFaults.set(fault, rate);
    const harmless = fault === "twice" && { harmless: true as const };
    this.#troubles.during({ fault, on: "storage", ...harmless }, forMs, () => {
      this.storage.verbFaults.delete(fault);
      this.storage.reconnected();
    });
  }

  #pauseQueue({ queue, forMs }: FaultOf<"pause-queue">): void {
    const pause = (paused: boolean) => {
      const { inner } = this.storage;
      void inner.pause(queue, paused).then(() => {
        if (!paused)
          for (const broker of this.storage.sated(queue)) this.storage.post(broker, { kind: "ready", queue });
      });
    };
    pause(true);
    this.#troubles.during({ fault: `pause ${queue}`, on: "storage", harmless: true }, forMs, () => pause(false));
  }
}
