/** Who takes part in a simulated history: brokers, workers and callers, each in a process of its own that can die and come again. */
import { CallError } from "../../protocol/errors.ts";
import type { Observer } from "../../server/broker/observer.ts";
import type { BrokerSettings } from "../../server/settings.ts";
import type { Worker } from "../../worker/index.ts";
import type { Event } from "../history/events.ts";
import { SimBroker } from "./broker.ts";
import { SimCaller } from "./caller.ts";
import type { Ledger } from "./ledger.ts";
import type { Network } from "./network.ts";
import type { CallerPlan, Plan, WorkerPlan } from "./plan.ts";
import { Random } from "./random.ts";
import type { SharedStorage } from "./storage.ts";
import { Process, type Time } from "./time.ts";
import { View } from "./view.ts";
import type { Message } from "./wire.ts";
import { createSimWorker } from "./worker.ts";

export interface Host<T> {
  process: Process;
  role: T;
}

export interface CastOptions {
  plan: Plan;
  time: Time;
  network: Network<Message>;
  settings: BrokerSettings;
  storage: SharedStorage;
  ledger: Ledger;
  record(event: Event): void;
  onBug(error: unknown, path: string): void;
  /** A handler took its process down. */
  crashed(worker: string, process: Process): void;
}

export class Cast {
  readonly brokers = new Map<string, Host<SimBroker>>();
  readonly workers = new Map<string, Host<Worker>>();
  readonly callers = new Map<string, SimCaller>();
  readonly #o: CastOptions;
  /** How often the payload of each call was started. */
  readonly #starts = new Map<string, number>();
  #incarnations = 0;

  constructor(options: CastOptions) {
    this.#o = options;
    const { plan } = options;
    for (const name of plan.brokers) this.startBroker(name);
    for (const { name } of plan.workers) this.startWorker(name);
    for (const { name } of plan.callers) this.startCaller(name);
  }

  startBroker(name: string): void {
    const { network, settings, storage, onBug } = this.#o;
    const process = this.#process(name);
    const brokerId = `${name}${this.#incarnations.toString(36).padStart(2, "0")}`;
    const role = new SimBroker({
      ...{ brokerId, address: addressOf(name), process, network, settings },
      storage: new View(storage, brokerId, process),
      observer: this.#observer(),
      onBug,
    });
    this.brokers.set(name, { process, role });
    process.run(() => role.start());
  }

  startWorker(name: string): void {
    const { network, record, crashed } = this.#o;
    const process = this.#process(name);
    const role = createSimWorker({
      ...{ plan: this.workerPlan(name), process, network, record, brokers: this.#addresses },
      starts: (call) => this.#started(call),
      killed: () => crashed(name, process),
    });
    this.workers.set(name, { process, role });
    void role.run();
  }

  startCaller(name: string): void {
    const { network, record, onBug } = this.#o;
    const plan = this.#o.plan.callers.find((each) => each.name === name) as CallerPlan;
    const process = this.#process(name);
    this.callers.set(name, new SimCaller({ plan, process, network, record, brokers: this.#addresses, onBug }));
  }

  workerPlan(name: string): WorkerPlan {
    return this.#o.plan.workers.find((worker) => worker.name === name) as WorkerPlan;
  }

  #process(name: string): Process {
    const incarnation = this.#incarnations++;
    const random = new Random(`${this.#o.plan.seed} ${name} ${incarnation}`);
    return new Process(name, this.#o.time, random, random.between(-500, 500));
  }

  get #addresses(): string[] {
    return this.#o.plan.brokers.map(addressOf);
  }

  #started(call: string): number {
    const count = (this.#starts.get(call) ?? 0) + 1;
    this.#starts.set(call, count);
    return count;
  }

  #observer(): Partial<Observer> {
    const { ledger } = this.#o;
    return {
      refused: (reason) => ledger.count(`refused: ${reason}`),
      leaseLost: (_attempt, why) => ledger.count(`lease lost by stream: ${why}`),
      sessionClosed: (_session, error) => {
        if (error instanceof CallError) ledger.count(`session closed: ${error.reason}`);
        else if (error) ledger.count("session closed: silent");
      },
    };
  }
}

export function addressOf(name: string): string {
  return `http://${name}:7455`;
}
