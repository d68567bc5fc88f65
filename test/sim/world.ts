/** One simulated world: brokers on one storage, workers, callers, a network; and how each step of a plan is done to it. */
import { CallError } from "../../protocol/errors.ts";
import type { Observer } from "../../server/broker/observer.ts";
import { type BrokerSettings, defaultSettings } from "../../server/settings.ts";
import { openStorage } from "../../server/storage/open.ts";
import type { Storage } from "../../server/storage/storage.ts";
import type { Worker } from "../../worker/index.ts";
import type { Event, Fault } from "../history/events.ts";
import { SimBroker } from "./broker.ts";
import { SimCaller } from "./caller.ts";
import { Ledger } from "./ledger.ts";
import { KEEPALIVE_MS, Network } from "./network.ts";
import type { CallerPlan, FaultStep, Plan, Step, WorkerPlan } from "./plan.ts";
import { Random } from "./random.ts";
import { SharedStorage } from "./storage.ts";
import { Process, Time } from "./time.ts";
import type { Message } from "./wire.ts";
import { createSimWorker } from "./worker.ts";

type FaultOf<Kind extends FaultStep["do"]> = Extract<FaultStep, { do: Kind }>;

/** What a stalled connection holds back arrives by then. */
const LONGEST_STALL_MS = 30_000;

interface Host<T> {
  process: Process;
  role: T;
}

export class World {
  readonly events: Event[] = [];
  /** What must never happen, whatever is broken: internal errors, drains that do not end. */
  readonly bugs: string[] = [];
  readonly time = new Time();
  readonly ledger: Ledger;
  readonly storage: SharedStorage;
  readonly #plan: Plan;
  readonly #network: Network<Message>;
  readonly #settings: BrokerSettings;
  readonly #brokers = new Map<string, Host<SimBroker>>();
  readonly #workers = new Map<string, Host<Worker>>();
  readonly #callers = new Map<string, SimCaller>();
  readonly #starts = new Map<string, number>();
  readonly #revivals = new Set<() => void>();
  #incarnations = 0;
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
    this.#plan = plan;
    this.time = time;
    this.#network = new Network({ time, random });
    this.#settings = { ...defaultSettings, ...plan.settings };
    this.ledger = new Ledger(this.#record, () => time.now);
    this.storage = new SharedStorage(inner, time, random, this.ledger);
    for (const name of plan.brokers) this.#startBroker(name);
    for (const worker of plan.workers) this.#startWorker(worker);
    for (const caller of plan.callers) this.#startCaller(caller);
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
    for (const revive of [...this.#revivals]) revive();
    this.storage.heal();
    this.#network.heal();
    this.storage.reconnected();
  }

  /** Everybody leaves in good order. */
  async close(): Promise<void> {
    await this.time.advance(LONGEST_STALL_MS);
    const leaving = [...this.#workers.values()].map(({ role }) => role.close());
    let left = false;
    void Promise.all(leaving).then(() => (left = true));
    await this.time.advance(this.#settings.drainTimeoutMs + 10_000);
    if (!left) this.bugs.push("a worker did not end its drain");
    for (const caller of this.#callers.values()) await caller.close();
    await this.time.advance(100);
    for (const [name, { role }] of this.#brokers) {
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

  // ── processes ──────────────────────────────────────────────────────────────

  #process(name: string): Process {
    const incarnation = this.#incarnations++;
    const random = new Random(`${this.#plan.seed} ${name} ${incarnation}`);
    return new Process(name, this.time, random, random.between(-500, 500));
  }

  #startBroker(name: string): void {
    const process = this.#process(name);
    const brokerId = `${name}${this.#incarnations.toString(36).padStart(2, "0")}`;
    const role = new SimBroker({
      ...{ brokerId, address: addressOf(name), process, network: this.#network, settings: this.#settings },
      storage: this.storage.view(brokerId, process),
      observer: this.#observer(),
      onBug: this.#onBug,
    });
    this.#brokers.set(name, { process, role });
    process.run(() => role.start());
  }

  #startWorker(plan: WorkerPlan): void {
    const process = this.#process(plan.name);
    const role = createSimWorker({
      ...{ plan, process, network: this.#network, record: this.#record, brokers: this.#addresses },
      starts: (call) => this.#started(call),
      killed: () => this.#crashed(plan.name, process),
    });
    this.#workers.set(plan.name, { process, role });
    void role.run();
  }

  #startCaller(plan: CallerPlan): void {
    const process = this.#process(plan.name);
    const parts = { network: this.#network, record: this.#record, brokers: this.#addresses, onBug: this.#onBug };
    this.#callers.set(plan.name, new SimCaller({ plan, process, ...parts }));
  }

  get #addresses(): string[] {
    return this.#plan.brokers.map(addressOf);
  }

  #started(call: string): number {
    const count = (this.#starts.get(call) ?? 0) + 1;
    this.#starts.set(call, count);
    return count;
  }

  #observer(): Partial<Observer> {
    const { ledger } = this;
    return {
      refused: (reason) => ledger.count(`refused: ${reason}`),
      leaseLost: (_attempt, why) => ledger.count(`lease lost by stream: ${why}`),
      sessionClosed: (_session, error) => {
        if (error instanceof CallError) ledger.count(`session closed: ${error.reason}`);
        else if (error) ledger.count("session closed: silent");
      },
    };
  }

  // ── steps ──────────────────────────────────────────────────────────────────

  #call(step: Extract<Step, { do: "call" }>): void {
    const caller = this.#callers.get(step.caller);
    if (!caller) return;
    this.#open++;
    void caller.call(step).then(() => {
      if (this.#callers.get(step.caller) === caller) this.#open--;
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
        return this.#stop(step, this.#brokers.get(step.who), "broker");
      case "stop-worker":
        return this.#stop(step, this.#workers.get(step.who), "worker");
      case "pause-worker":
        return this.#pauseWorker(step);
      case "kill-caller":
        return this.#killCaller(step.who);
      case "cut":
        this.#note({ fault: "cut", on: "network", who: step.who });
        this.#deadConnections();
        return this.#network.cut(step.who);
      case "stall":
        this.#network.stall(step.who, step.direction, step.forMs);
        return this.#lasting({ fault: `stall ${step.direction}`, on: "network", who: step.who }, step.forMs, () => {});
      case "slow":
        return this.#slow(step);
      case "verbs":
        return this.#breakVerbs(step);
      case "stall-storage":
        this.storage.stalledUntil = Math.max(this.storage.stalledUntil, this.time.now + step.forMs);
        return this.#lasting({ fault: "stall", on: "storage" }, step.forMs, () => this.storage.reconnected());
      case "hints":
        this.storage.hintFaults.set(step.fault, step.rate);
        return this.#during({ fault: `hints ${step.fault}`, on: "storage", harmless: true }, step.forMs, () =>
          this.storage.hintFaults.delete(step.fault),
        );
      case "pause-queue":
        return this.#pauseQueue(step);
    }
  }

  #slow({ forMs, mostMs, harmless }: FaultOf<"slow">): void {
    this.#network.slow(forMs, mostMs);
    this.#during({ fault: "slow", on: "network", ...(harmless && { harmless }) }, forMs, () => {});
  }

  #killBroker({ who, forMs, silent }: FaultOf<"kill-broker">): void {
    const host = this.#brokers.get(who);
    if (!host) return;
    this.#brokers.delete(who);
    this.#network.unlisten(addressOf(who), host.process);
    host.process.kill();
    this.#network.died(host.process, silent);
    if (silent) this.#deadConnections();
    this.#during({ fault: "kill", on: "broker", who }, forMs, () => this.#startBroker(who));
  }

  #drainBroker({ who, forMs }: FaultOf<"drain-broker">): void {
    const host = this.#brokers.get(who);
    if (!host) return;
    this.#brokers.delete(who);
    host.process.run(() => {
      void host.role.drain().then((cut) => {
        if (cut) this.#note({ fault: "drain cut", on: "broker", who });
        this.ledger.count(cut ? "drain cut" : "drain done");
      });
    });
    const again = () => this.#startBroker(who);
    this.#during(
      { fault: "drain", on: "broker", who, harmless: true },
      this.#settings.drainTimeoutMs + 10 + forMs,
      again,
    );
  }

  /** Callers may still use connections that are dead, until a keepalive tells. */
  #deadConnections(): void {
    this.#during({ fault: "dead connections", on: "caller" }, KEEPALIVE_MS, () => {});
  }

  #killWorker({ who, forMs, silent }: FaultOf<"kill-worker">): void {
    const host = this.#workers.get(who);
    if (!host) return;
    this.#workers.delete(who);
    host.process.kill();
    this.#network.died(host.process, silent);
    this.#during({ fault: "kill", on: "worker", who }, forMs, () => this.#startWorker(this.#workerPlan(who)));
  }

  /** A handler took its process down. One that was leaving anyway has its successor planned already. */
  #crashed(who: string, process: Process): void {
    if (this.#workers.get(who)?.process === process) {
      return this.#fault({ do: "kill-worker", who, forMs: 500, silent: false });
    }
    process.kill();
    this.#network.died(process, false);
    this.#note({ fault: "kill", on: "worker", who });
  }

  #drainWorker({ who, forMs }: FaultOf<"drain-worker">): void {
    const host = this.#workers.get(who);
    if (!host) return;
    this.#workers.delete(who);
    host.process.run(() => void host.role.close());
    const lasts = this.#workerPlan(who).drainTimeoutMs + 10_000;
    const again = () => this.#startWorker(this.#workerPlan(who));
    this.#during({ fault: "drain", on: "worker", who, harmless: true }, lasts + forMs, again);
  }

  #pauseWorker({ who, forMs }: FaultOf<"pause-worker">): void {
    const host = this.#workers.get(who);
    if (!host) return;
    host.process.run(() => host.role.pause());
    this.#during({ fault: "pause", on: "worker", who, harmless: true }, forMs, () =>
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
    this.#during({ fault: "stop", on, who }, forMs, () => host.process.resume());
  }

  #killCaller(who: string): void {
    const caller = this.#callers.get(who);
    const plan = this.#plan.callers.find(({ name }) => name === who);
    if (!caller || !plan) return;
    this.#note({ fault: "kill", on: "caller", who });
    this.#open -= caller.open;
    caller.process.kill();
    this.#network.died(caller.process, false);
    this.#startCaller(plan);
  }

  #breakVerbs({ fault, rate, forMs }: FaultOf<"verbs">): void {
    this.storage.verbFaults.set(fault, rate);
    const harmless = fault === "twice" && { harmless: true as const };
    this.#during({ fault, on: "storage", ...harmless }, forMs, () => {
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
    this.#during({ fault: `pause ${queue}`, on: "storage", harmless: true }, forMs, () => pause(false));
  }

  #workerPlan(name: string): WorkerPlan {
    return this.#plan.workers.find((worker) => worker.name === name)!;
  }

  /** A fault that lasts; `over` brings things back, in time or when all is healed. */
  #during(fault: Omit<Fault, "at" | "by" | "kind" | "phase">, ms: number, over: () => void): void {
    this.#note({ ...fault, phase: "begin" });
    const revive = () => {
      if (!this.#revivals.delete(revive)) return;
      timer.cancel();
      this.#note({ ...fault, phase: "end" });
      over();
    };
    const timer = this.time.after(ms, revive);
    this.#revivals.add(revive);
  }

  /** A fault that healing does not end: what it holds back arrives when it is over. */
  #lasting(fault: Omit<Fault, "at" | "by" | "kind" | "phase">, ms: number, over: () => void): void {
    this.#note({ ...fault, phase: "begin" });
    this.time.after(ms, () => {
      this.#note({ ...fault, phase: "end" });
      over();
    });
  }

  #note(fault: Omit<Fault, "at" | "by" | "kind">): void {
    this.#record({ at: this.time.now, by: "driver", kind: "fault", ...fault });
  }
}

function addressOf(name: string): string {
  return `http://${name}:7455`;
}
