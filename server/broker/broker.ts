/**
 * The broker, without transports: server/rpc translates. What callers, workers and operators can ask of it is in
 * callers.ts, session.ts and admin.ts; this is how the parts hang together, and how they begin and end.
 */
import type { Clock } from "../../protocol/clock.ts";
import type { QueueLimits } from "../job/job.ts";
import type { BrokerSettings } from "../settings.ts";
import type { Hint, Storage } from "../storage/storage.ts";
import { Admin } from "./admin.ts";
import { Announcer } from "./attached.ts";
import { Callers } from "./callers.ts";
import { Dispatcher } from "./dispatcher.ts";
import { Intake } from "./intake.ts";
import { LimitsByQueue } from "./limits-by-queue.ts";
import { News } from "./news.ts";
import { blind, type Observer } from "./observer.ts";
import { Refusals } from "./refusals.ts";
import { Services } from "./services.ts";
import { Ticker } from "./ticker.ts";
import { Waiters } from "./waiters.ts";
import { Workers } from "./workers.ts";

export interface BrokerOptions {
  brokerId: string;
  clock: Clock;
  storage: Storage;
  settings: BrokerSettings;
  /** What is to be told of what happens here. */
  observer?: Partial<Observer> | undefined;
}

export class Broker {
  readonly brokerId: string;
  readonly clock: Clock;
  readonly settings: BrokerSettings;
  /** What callers can ask. */
  readonly callers: Callers;
  /** Worker streams. */
  readonly workers: Workers;
  /** What operators can ask. */
  readonly admin: Admin;
  /** gRPC services that workers announced. */
  readonly services: Services;
  /** Enqueues under way. */
  readonly intake: Intake;
  readonly refusals: Refusals;
  readonly #storage: Storage;
  readonly #limits: LimitsByQueue;
  readonly #waiters: Waiters;
  readonly #dispatcher: Dispatcher;
  readonly #ticker: Ticker;
  readonly #announcer: Announcer;
  readonly #stops: (() => void)[] = [];

  constructor(options: BrokerOptions) {
    const { brokerId, clock, storage, settings } = options;
    const { leaseMs, maxPayloadBytes, probeIntervalMs, sweepIntervalMs } = settings;
    const observer = { ...blind, ...options.observer };
    const core = { brokerId, clock, storage, settings, observer, leaseMs };
    this.brokerId = brokerId;
    this.clock = clock;
    this.settings = settings;
    this.#storage = storage;
    const refusals = new Refusals(observer);
    const limits = new LimitsByQueue(settings);
    const intake = new Intake(settings, (error) => refusals.count(error));
    const waiters = new Waiters(clock, storage, sweepIntervalMs);
    const news = new News({
      ...core,
      waiters,
      queued: (queue) => dispatcher.signal(queue),
      expectTick: (queue, inMs) => ticker.expect(queue, inMs),
    });
    const dispatcher = new Dispatcher({
      ...core,
      maxPayloadBytes,
      probeIntervalMs,
      changed: (changed) => news.timeChanged(changed),
      claimed: ({ jobs }) => {
        for (const job of jobs) news.started(job);
      },
    });
    const ticker = new Ticker({
      ...core,
      hungryHere: (queue) => dispatcher.hungryHere(queue),
      changed: (changed) => news.timeChanged(changed),
      queued: (queue) => dispatcher.look(queue),
    });
    const services = new Services({
      clock,
      add: (service) => storage.addService(service),
      read: (name) => refusals.ask(() => storage.service(name)),
      names: () => refusals.ask(() => storage.services()),
      forget: (name) => refusals.ask(() => storage.forgetService(name)),
      noRoom: (service) => observer.serviceRefused(service),
    });
    const workers = new Workers({
      ...core,
      refusals,
      announced: (all) => services.announce(all),
      roomChanged: (session) => dispatcher.serve(session),
      changed: (changed) => news.changed(changed),
      watched: (changed) => news.watched(changed),
      hungryHere: (queue) => dispatcher.hungryHere(queue),
      claimAlong: (session, queue, freed) => dispatcher.along(session, queue, freed),
      expectTick: (queue, inMs) => ticker.expect(queue, inMs),
      closed: (session) => dispatcher.remove(session),
    });
    const callers = new Callers({
      ...core,
      ...{ refusals, intake, limits, waiters, dispatcher, news },
      expectTick: (queue, inMs) => ticker.expect(queue, inMs),
      pushCancel: (key, owner, leaseToken) => workers.pushCancel(key, owner, leaseToken),
    });
    this.admin = new Admin({
      ...core,
      get draining() {
        return refusals.draining;
      },
      get waiting() {
        return waiters.size;
      },
      sessions: () => workers.attached(),
      ask(verb) {
        refusals.whileDraining();
        return refusals.ask(verb);
      },
      hungryHere: (queue) => dispatcher.hungryHere(queue),
      limitsOf: (queue) => limits.of(queue),
      changed: (changed) => news.changed(changed),
      cancelled: (key, answer) => callers.cancelled(key, answer),
      look: (queue) => dispatcher.look(queue),
    });
    this.#announcer = new Announcer({ clock, storage, sessions: () => workers.attached() });
    this.callers = callers;
    this.workers = workers;
    this.services = services;
    this.intake = intake;
    this.refusals = refusals;
    this.#limits = limits;
    this.#waiters = waiters;
    this.#dispatcher = dispatcher;
    this.#ticker = ticker;
  }

  start(): void {
    this.#stops.push(this.#storage.onHint((hint) => this.#hinted(hint)));
    this.#stops.push(this.#storage.onReady((ready) => ready && this.#storageIsBack()));
    this.#ticker.start();
    this.#announcer.start();
  }

  /** Calls and watches that wait for a job. */
  get waiting(): number {
    return this.#waiters.size;
  }
  /** Jobs in line by queue, as this broker's ticks saw them last. */
  depths(): Iterable<[queue: string, queued: number]> {
    return this.#ticker.depths();
  }
  /** What the queue takes here. */
  limitsOf(queue: string): QueueLimits {
    return this.#limits.of(queue);
  }
  get draining(): boolean {
    return this.refusals.draining;
  }

  #hinted(hint: Hint): void {
    switch (hint.kind) {
      case "ready":
        return this.#dispatcher.look(hint.queue);
      case "changed":
        return hint.status ? this.#waiters.notify(hint.status) : this.#waiters.reread(hint);
      default:
        return this.workers.hinted(hint);
    }
  }

  #storageIsBack(): void {
    this.#waiters.rereadAll();
    this.#dispatcher.probeAll();
    this.services.announceAgain();
  }

  /** Refuses what is new, sends callers elsewhere, and resolves once every worker stream has ended. */
  async drain(): Promise<void> {
    this.refusals.draining = true;
    this.#dispatcher.close();
    this.#waiters.interruptAll();
    await this.workers.drain();
    await this.#announcer.announce();
  }

  /** Lets go of everything at once. Streams that are still open are ended. */
  close(): void {
    this.refusals.draining = true;
    for (const stop of this.#stops) stop();
    this.#dispatcher.close();
    this.#ticker.close();
    this.#announcer.close();
    this.#waiters.close();
    this.workers.close();
  }
}
