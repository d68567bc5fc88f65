/** The worker streams of this broker: opened, found by lane and by session, told what concerns them, and dismissed. */
import type { Clock } from "../../protocol/clock.ts";
import { maxMessageBytes } from "../../protocol/limits.ts";
import type { JobKey } from "../job/job.ts";
import type { BrokerSettings } from "../settings.ts";
import type { Hint, Storage } from "../storage/storage.ts";
import type { Link } from "./frames.ts";
import type { Observer } from "./observer.ts";
import { type Refusals, tooManySessions } from "./refusals.ts";
import { Session, type SessionHost } from "./session.ts";

export interface WorkersOptions extends Omit<SessionHost, "maxMessageBytes" | "opened" | "supersede" | "closed"> {
  readonly clock: Clock;
  readonly storage: Storage;
  readonly settings: BrokerSettings;
  readonly observer: Observer;
  readonly refusals: Refusals;
  /** A stream is gone. */
  closed(session: Session): void;
}

export class Workers {
  readonly #o: WorkersOptions;
  readonly #host: SessionHost;
  readonly #lanes = new Map<string, Session>();
  readonly #sessions = new Map<string, Session>();
  #nextLane = 0;
  #allClosed: (() => void) | undefined;

  constructor(options: WorkersOptions) {
    this.#o = options;
    this.#host = this.#makeHost();
  }

  /** Streams, also those that have not said hello. */
  get size(): number {
    return this.#lanes.size;
  }

  /** Jobs that the workers of all streams would hold at most, and those they hold. */
  get load(): { window: number; outstanding: number } {
    const load = { window: 0, outstanding: 0 };
    for (const session of this.#lanes.values()) {
      load.window += session.window;
      load.outstanding += session.outstanding;
    }
    return load;
  }

  /** Worker streams that have said hello, in the order in which they came. */
  attached(): Session[] {
    return [...this.#lanes.values()].filter(({ state }) => state === "open" || state === "draining");
  }

  /** A worker opened a stream. */
  open(link: Link): Session {
    // Twice as many: a worker that comes back opens its next stream before the last one is seen to be gone.
    if (this.#lanes.size >= 2 * this.#o.settings.maxSessions)
      throw this.#o.refusals.count(tooManySessions(this.#o.settings));
    const session = new Session((this.#nextLane++).toString(36), this.#host, link);
    this.#lanes.set(session.lane, session);
    return session;
  }

  #makeHost(): SessionHost {
    const { brokerId, clock, storage, settings, observer, refusals: _, ...rest } = this.#o;
    return {
      ...{ brokerId, clock, storage, settings, observer },
      maxMessageBytes: maxMessageBytes(Math.max(settings.maxPayloadBytes, settings.maxResultBytes)),
      ...rest,
      opened: (session, held) => this.#opened(session, held),
      supersede: (owner) => this.#superseded(owner),
      closed: (session) => this.#closed(session),
    };
  }

  #opened(session: Session, held: Parameters<Session["supersede"]>[0]): void {
    this.#o.refusals.whileDraining();
    if (this.#lanes.size > this.#o.settings.maxSessions) {
      throw this.#o.refusals.count(tooManySessions(this.#o.settings));
    }
    if (session.sessionId === "") return;
    this.#sessions.get(session.sessionId)?.supersede(held);
    this.#sessions.set(session.sessionId, session);
  }

  #closed(session: Session): void {
    this.#lanes.delete(session.lane);
    if (this.#sessions.get(session.sessionId) === session) this.#sessions.delete(session.sessionId);
    this.#o.closed(session);
    if (this.#lanes.size === 0) this.#allClosed?.();
  }

  /** Another stream of the same session took its leases over: "broker.lane". */
  #superseded(owner: string): void {
    const [broker = "", lane = ""] = owner.split(".");
    if (broker !== this.#o.brokerId) return this.#o.storage.hint(broker, { kind: "superseded", lane });
    this.#lanes.get(lane)?.supersede();
  }

  /** Whoever holds the job is to be told that its end was asked for. */
  pushCancel(key: JobKey, owner: string, leaseToken: Uint8Array): void {
    const [broker = "", lane = ""] = owner.split(".");
    if (broker !== this.#o.brokerId) return this.#o.storage.hint(broker, { kind: "cancel", ...key, lane, leaseToken });
    this.#lanes.get(lane)?.pushCancel({ ...key, leaseToken });
  }

  /** What another broker says of a stream. */
  hinted(hint: Extract<Hint, { lane: string }>): void {
    const session = this.#lanes.get(hint.lane);
    if (hint.kind === "cancel") session?.pushCancel(hint);
    else session?.supersede();
  }

  /** Sends every worker elsewhere, and resolves once every stream has ended. */
  async drain(): Promise<void> {
    for (const session of [...this.#lanes.values()]) session.dismiss("shutdown");
    if (this.#lanes.size > 0) await new Promise<void>((resolve) => (this.#allClosed = resolve));
  }

  close(): void {
    for (const session of [...this.#lanes.values()]) session.finish();
  }
}
