/**
 * The worker's side of the protocol (contract.md section 4) over all its
 * streams, and how it stops. Wires together what holds jobs, keeps leases,
 * settles and connects; decides only when to start and when to leave.
 *
 *   idle ──start──► working ──drain──► draining ──nothing held──► leaving ──► closed
 */
import { create } from "@bufbuild/protobuf";
import {
  type BrokerFrame,
  type Delivery,
  type Hello,
  HelloSchema,
  type Renewal,
  RenewalSchema,
} from "../gen/queuecall/v1/worker_pb.js";
import type { Clock } from "../protocol/clock.ts";
import { MAX_WINDOW, PROTOCOL_VERSION } from "../protocol/limits.ts";
import type { Attempt } from "./attempt.ts";
import { Connection } from "./connection.ts";
import { DrainPatience } from "./drain.ts";
import { Jobs } from "./jobs.ts";
import { LeaseKeeper } from "./leases.ts";
import { CLIENT_INFO, type Dial } from "./link.ts";
import type { Logger } from "./logger.ts";
import type { RouteTable } from "./routes.ts";
import { Settlements } from "./settlements.ts";
import type { Stream, Terms } from "./stream.ts";

export interface SessionSettings {
  urls: readonly string[];
  workerId: string;
  /** The same over all streams of this session. */
  sessionId: string;
  concurrency: number;
  window: number;
  labels: Record<string, string>;
  /** A span per attempt. */
  tracing: boolean;
  drainTimeoutMs: number;
}

export interface SessionParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly dial: Dial;
  readonly routes: Pick<RouteTable, "subscriptions" | "find">;
}

type State =
  | { kind: "idle" }
  | { kind: "working" }
  | { kind: "draining"; patience: DrainPatience }
  | { kind: "leaving" }
  | { kind: "closed" };

export class Session {
  /** Resolves once the session is closed and nothing of it keeps the process alive. */
  readonly done: Promise<void>;
  readonly #settings: SessionSettings;
  readonly #parts: SessionParts;
  readonly #connection: Connection;
  readonly #jobs: Jobs;
  readonly #leases: LeaseKeeper;
  readonly #settlements: Settlements;
  readonly #resolve: () => void;
  #state: State = { kind: "idle" };
  #paused = false;
  /** The window that the newest broker was told. */
  #announced = 0;

  constructor(settings: SessionSettings, parts: SessionParts) {
    this.#settings = settings;
    this.#parts = parts;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.done = promise;
    this.#resolve = resolve;
    const { clock, logger } = parts;
    const connection = new Connection(settings.urls, parts.dial, {
      clock,
      logger,
      hello: () => this.#hello(),
      online: (terms) => this.#online(terms),
      frame: (stream, frame) => this.#frame(stream, frame),
      lost: (stream) => this.#streamLost(stream),
      closed: () => this.#closed(),
    });
    const jobs = new Jobs(settings.concurrency, {
      clock,
      logger,
      tracing: settings.tracing,
      find: (queue, method) => parts.routes.find(queue, method),
      settle: (attempt, outcome) => this.#settlements.add(attempt, outcome),
      report: (attempt, report) => connection.say((out) => out.progress.set(attempt.token, report)) !== undefined,
      changed: () => this.#jobsChanged(),
    });
    this.#connection = connection;
    this.#jobs = jobs;
    this.#settlements = new Settlements({
      clock,
      logger,
      get stream() {
        return connection.stream;
      },
      answered: (attempt) => jobs.over(attempt),
    });
    this.#leases = new LeaseKeeper({
      clock,
      held: () => jobs.held,
      renew: (attempts) => this.#renew(attempts),
      expired: (attempt) => jobs.doubt(attempt),
    });
  }

  get state(): State["kind"] {
    return this.#state.kind;
  }

  start(): void {
    this.#state = { kind: "working" };
    this.#connection.open();
  }

  /** Takes no more jobs until it is called with false; those at hand go on. */
  pause(paused: boolean): void {
    this.#paused = paused;
    this.#announceWindow();
  }

  /** Stops: hands back what has not started, finishes what runs, confirms, leaves. `done` resolves at the end. Safe to repeat. */
  drain(): void {
    if (this.#state.kind === "idle") return this.#closed();
    if (this.#state.kind !== "working") return;
    const patience = new DrainPatience(this.#parts.clock, this.#settings.drainTimeoutMs, {
      abort: () => this.#jobs.abortRunning(),
      release: () => this.#releaseRunning(),
      giveUp: () => this.#giveUp(),
    });
    this.#state = { kind: "draining", patience };
    this.#jobs.releaseWaiting();
    this.#sayDrain();
    this.#leaveIfDone();
  }

  // ── from the broker ────────────────────────────────────────────────────────

  #online(terms: Terms): void {
    this.#leases.start(terms.leaseMs);
    this.#settlements.flush();
    this.#announceWindow();
    if (this.#state.kind === "draining") this.#sayDrain();
  }

  #frame(stream: Stream, frame: BrokerFrame): void {
    for (const settled of frame.settled) this.#settlements.answered(settled);
    for (const { leaseToken } of frame.adopted) this.#jobs.adopted(leaseToken, stream.openedAt);
    this.#deliver(frame.deliveries);
    for (const lost of frame.lost) this.#jobs.lost(lost);
    for (const { leaseToken } of frame.cancels) this.#jobs.cancel(leaseToken);
    if (frame.pong) this.#leases.proven(stream, frame.pong.nonce);
    if (frame.drain) this.#drained(stream);
  }

  #deliver(deliveries: Delivery[]): void {
    const accepting = this.#state.kind === "working";
    for (const delivery of deliveries) this.#jobs.deliver(delivery, accepting);
    if (deliveries.length > 0) this.#leases.watch();
  }

  /** Our own state says what the broker's drain means: its answer to ours, or its own farewell. */
  #drained(stream: Stream): void {
    stream.drained = true;
    if (this.#state.kind === "working") this.#connection.move(stream);
    this.#leaveIfDone();
  }

  #streamLost(stream: Stream): void {
    this.#settlements.lost(stream);
    this.#leaveIfDone();
  }

  // ── to the broker ──────────────────────────────────────────────────────────

  #hello(): Hello {
    const { workerId, sessionId, labels } = this.#settings;
    this.#announced = this.#window;
    return create(HelloSchema, {
      protocolVersion: PROTOCOL_VERSION,
      workerId,
      sessionId,
      subscriptions: this.#parts.routes.subscriptions,
      window: this.#announced,
      // More than the protocol takes can only be left over from several brokers; those run out.
      held: this.#jobs.held.slice(0, MAX_WINDOW).map((attempt) => attempt.ref),
      clientInfo: CLIENT_INFO,
      labels,
    });
  }

  #renew(attempts: readonly Attempt[]): { stream: Stream; nonce: bigint } | undefined {
    const renewals = attempts.map((attempt): [string, Renewal] => [attempt.token, create(RenewalSchema, attempt.ref)]);
    const stream = this.#connection.say((out) => {
      for (const [token, renewal] of renewals) out.renewals.set(token, renewal);
    });
    return stream && { stream, nonce: stream.ping() };
  }

  /** What the worker can use: a stray handler takes room that no delivery could have. */
  get #window(): number {
    if (this.#paused || this.#state.kind !== "working") return 0;
    return Math.max(0, this.#settings.window - this.#jobs.strays);
  }

  #announceWindow(): void {
    const window = this.#window;
    if (window === this.#announced || !this.#connection.online || this.#state.kind !== "working") return;
    this.#announced = window;
    this.#connection.say((out) => {
      out.window = window;
    });
  }

  #jobsChanged(): void {
    this.#announceWindow();
    this.#leaveIfDone();
  }

  // ── the end ────────────────────────────────────────────────────────────────

  #sayDrain(): void {
    if (!this.#connection.online) return;
    this.#connection.say((out) => {
      out.drain = "shutdown";
    });
  }

  #leaveIfDone(): void {
    if (this.#state.kind !== "draining" || this.#jobs.count > 0) return;
    // Strays are waited for, too: what follows run() may close what they use.
    if (this.#jobs.strays > 0 && !this.#state.patience.over) return;
    // Until the broker confirms, a delivery may be under way; it is handed back.
    if (this.#connection.online && !this.#connection.stream?.drained) return;
    this.#state.patience.end();
    this.#state = { kind: "leaving" };
    this.#leases.stop();
    this.#connection.finish();
  }

  #releaseRunning(): void {
    this.#jobs.releaseRunning();
    this.#leaveIfDone();
  }

  #giveUp(): void {
    this.#parts.logger.error({ unconfirmed: this.#jobs.count }, "stopped without the broker's confirmation");
    this.#connection.kill();
  }

  #closed(): void {
    if (this.#state.kind === "draining") this.#state.patience.end();
    this.#state = { kind: "closed" };
    this.#leases.stop();
    this.#settlements.close();
    this.#jobs.close();
    this.#resolve();
  }
}
