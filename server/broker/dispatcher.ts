/**
 * Brings queued jobs to sessions with room. Nothing is claimed unless a session
 * has window and its stream is writable. A queue is asked only when there is
 * reason to: `signals` counts jobs that this broker saw become QUEUED;
 * `backlog` says that there may be more than were counted (a hint, a tick, a
 * probe, a new subscription), until a claim comes back short. A short claim is
 * also what makes the storage remember this broker as hungry.
 *
 * What a claim would do can also travel with another verb: with the enqueue of
 * a job that nothing is ahead of (`offer`), and with the settlement that makes
 * room (`along`).
 */
import type { Clock, Timer } from "../../protocol/clock.ts";
import { LEASE_TOKEN_BYTES, MAX_CLAIM_BATCH } from "../../protocol/limits.ts";
import type { JobKey } from "../job/job.ts";
import type { Changed, Claim, ClaimAnswer, ClaimAtOnce, Claimed, Storage } from "../storage/storage.ts";
import { deliveryLeaseMs, type Session } from "./session.ts";
import { graceMs } from "./ticker.ts";

/** One claim carries at most this much payload. Bytes. */
const CLAIM_BYTES = 2 * 1024 * 1024;
/**
 * Claims of one queue under way at one time, beside those that travel with settlements: ten thousand workers that come to
 * an empty queue do not ask ten thousand times whether it is.
 */
const MAX_CLAIMS = 64;
/** A claim that the storage did not confirm is repeated (same id, same tokens) this often, with this pause between. */
const CLAIM_TRIES = 20;
const CLAIM_RETRY_MS = 250;

export interface DispatcherOptions {
  clock: Clock;
  storage: Storage;
  leaseMs: number;
  maxPayloadBytes: number;
  probeIntervalMs: number;
  changed(changed: Changed): void;
  claimed(answer: ClaimAnswer): void;
}

/** Room set aside for a job that is being enqueued. One of the two follows. */
export interface Offer {
  readonly claim: ClaimAtOnce;
  /** The enqueue was answered; with the job, if it was leased. */
  answered(job: Claimed | undefined): void;
  /** It was not: whether the job is leased, nobody knows. */
  failed(key: JobKey): void;
}

/** A claim that is sent. One of the two follows. */
export interface ClaimUnderWay {
  readonly request: Claim;
  answered(answer: ClaimAnswer | undefined): void;
  /** It travelled with another verb, which the storage did not confirm. */
  failed(): void;
}

interface QueueState {
  name: string;
  sessions: Session[];
  /** Jobs that this broker saw join the line and nobody here has claimed. */
  signals: number;
  /** Counts every signal and look, to see whether one came while a claim was under way. */
  heard: number;
  /** What had been heard when the latest claim began that came back short. */
  emptyAt: number;
  backlog: boolean;
  /** The last claim said that the queue is on hold: only a look asks again. */
  paused: boolean;
  /** Jobs asked for by claims under way. */
  asking: number;
  /** Claims under way. */
  claims: number;
  turn: number;
  /** One in each group that has it. */
  places: Place[];
}

/** Sessions that work on the same queues. In line are the queues that may have jobs: first the one that was asked least recently, so that none starves. */
interface Group {
  readonly key: string;
  readonly names: ReadonlySet<string>;
  readonly line: Place[];
  sessions: number;
}

interface Place {
  readonly state: QueueState;
  readonly group: Group;
  inLine: boolean;
}

interface SessionClaims {
  /** Queues with a claim under way. */
  readonly busy: Set<string>;
  /** Given out. */
  ids: number;
  /** As the session has them; a list that it replaces, never changes. */
  queues: readonly string[];
  group: Group | undefined;
}

export class Dispatcher {
  readonly #o: DispatcherOptions;
  readonly #queues = new Map<string, QueueState>();
  readonly #groups = new Map<string, Group>();
  readonly #claims = new Map<Session, SessionClaims>();
  /** What was under way for them may be answered later. */
  readonly #gone = new WeakSet<Session>();
  #probe: Timer | undefined;
  #closed = false;

  constructor(options: DispatcherOptions) {
    this.#o = options;
    this.#scheduleProbe();
  }

  /** Whether a session here has room for a job of the queue that nobody is fetching yet. */
  hungryHere(queue: string): boolean {
    const state = this.#queues.get(queue);
    if (!state || state.backlog) return false;
    let room = -state.signals;
    for (const session of state.sessions) {
      room += session.room;
      if (room > 0) return true;
    }
    return false;
  }

  /** For a job of the queue that is about to be enqueued: room for it, if a session here has some that nobody is fetching for. */
  offer(queue: string): Offer | undefined {
    const state = this.#queues.get(queue);
    if (!state || state.paused || this.#closed || !this.hungryHere(queue)) return undefined;
    const session = this.#nextWithRoom(state);
    if (!session) return undefined;
    const { lane, workerId } = session;
    const leaseToken = this.#o.clock.randomBytes(LEASE_TOKEN_BYTES);
    const end = (jobs: Claimed[]) => {
      session.taken(1, jobs);
      this.#o.claimed({ jobs, changed: [] });
      if (jobs.length === 0) this.serve(session);
    };
    session.reserve(1);
    return {
      claim: { lane, workerId, leaseToken, leaseMs: deliveryLeaseMs(this.#o.leaseMs) },
      answered: (job) => end(job ? [job] : []),
      failed: ({ queue, jobId }) => {
        end([]);
        session.disown({ queue, jobId, leaseToken });
      },
    };
  }

  /**
   * For settlements of the session that make room for `freed` jobs: the claim that would follow them, if there is one. Not
   * where the session has several queues, for each of them is to have its turn.
   */
  along(session: Session, queue: string, freed: number): ClaimUnderWay | undefined {
    const state = this.#queues.get(queue);
    if (!state || this.#closed || session.queues.length > 1 || !this.#wants(state)) return undefined;
    return this.#begin(state, session, session.roomAfter(freed));
  }

  /** One more job of the queue is in line. */
  signal(queue: string): void {
    const state = this.#queues.get(queue);
    if (!state) return;
    state.signals++;
    state.heard++;
    this.#serveQueue(state);
  }

  /** The queue may have any number of jobs in line: ask until it has no more. */
  look(queue: string): void {
    const state = this.#queues.get(queue);
    if (!state) return;
    state.backlog = true;
    state.heard++;
    this.#serveQueue(state);
  }

  /** The session opened, or has other queues, or has more room. */
  serve(session: Session): void {
    if (this.#closed || this.#gone.has(session)) return;
    this.#subscribe(session);
    const claims = this.#claims.get(session);
    if (!claims?.group) return;
    const { line } = claims.group;
    for (let i = 0; i < line.length && session.room > 0; ) {
      const place = line[i] as Place;
      const { state } = place;
      if (!this.#wants(state)) stepOut(place, i);
      else if (!this.#mayAsk(state) || claims.busy.has(state.name)) i++;
      else {
        stepOut(place, i);
        lineUp(place);
        void this.#claim(state, session);
      }
    }
  }

  /** The session is gone. */
  remove(session: Session): void {
    const claims = this.#claims.get(session);
    this.#gone.add(session);
    this.#claims.delete(session);
    for (const name of claims?.group?.names ?? []) this.#leave(session, name);
    if (claims?.group) this.#quit(claims.group);
  }

  /** Sessions with room look again, in case every hint was lost. */
  probeAll(): void {
    for (const state of [...this.#queues.values()]) {
      if (state.asking === 0) this.look(state.name);
    }
  }

  close(): void {
    this.#closed = true;
    this.#probe?.cancel();
  }

  #subscribe(session: Session): void {
    const known = this.#claims.get(session);
    if (known?.queues === session.queues) return;
    const claims = known ?? { busy: new Set<string>(), ids: 0, queues: [], group: undefined };
    const before = claims.group;
    const names = new Set(session.queues);
    claims.queues = session.queues;
    this.#claims.set(session, claims);
    for (const name of before?.names ?? []) if (!names.has(name)) this.#leave(session, name);
    for (const name of names) if (!before?.names.has(name)) this.#join(session, name);
    claims.group = this.#enter(names);
    if (before) this.#quit(before);
  }

  #enter(names: ReadonlySet<string>): Group {
    const key = JSON.stringify([...names].sort());
    const group = this.#groups.get(key) ?? { key, names, line: [], sessions: 0 };
    if (group.sessions++ > 0) return group;
    this.#groups.set(key, group);
    for (const name of names) {
      const state = this.#queues.get(name) as QueueState;
      const place = { state, group, inLine: false };
      state.places.push(place);
      if (this.#wants(state)) lineUp(place);
    }
    return group;
  }

  #quit(group: Group): void {
    if (--group.sessions > 0) return;
    this.#groups.delete(group.key);
    for (const name of group.names) {
      const state = this.#queues.get(name);
      if (state) state.places = state.places.filter((place) => place.group !== group);
    }
  }

  #join(session: Session, name: string): void {
    const state = this.#queues.get(name) ?? {
      name,
      sessions: [],
      signals: 0,
      heard: 0,
      emptyAt: 0,
      backlog: false,
      paused: false,
      asking: 0,
      claims: 0,
      turn: 0,
      places: [],
    };
    this.#queues.set(name, state);
    state.sessions.push(session);
    // Jobs may have been in line before anybody here cared for the queue.
    state.backlog = true;
    state.heard++;
    for (const place of state.places) lineUp(place);
  }

  #leave(session: Session, name: string): void {
    const state = this.#queues.get(name);
    if (!state) return;
    state.sessions = state.sessions.filter((other) => other !== session);
    if (state.sessions.length === 0) this.#queues.delete(name);
  }

  #wants(state: QueueState): boolean {
    return state.backlog || (!state.paused && state.signals > state.asking);
  }

  #mayAsk(state: QueueState): boolean {
    return state.claims < MAX_CLAIMS && this.#wants(state);
  }

  #serveQueue(state: QueueState): void {
    const { sessions } = state;
    if (this.#wants(state)) for (const place of state.places) lineUp(place);
    for (let i = 0; i < sessions.length && this.#mayAsk(state) && !this.#closed; i++) {
      const session = sessions[(state.turn + i) % sessions.length] as Session;
      if (session.room === 0 || this.#claims.get(session)?.busy.has(state.name)) continue;
      state.turn = (state.turn + i + 1) % sessions.length;
      i = -1;
      void this.#claim(state, session);
    }
  }

  /** The sessions of a queue take turns. */
  #nextWithRoom(state: QueueState): Session | undefined {
    const { sessions } = state;
    for (let i = 0; i < sessions.length; i++) {
      const session = sessions[(state.turn + i) % sessions.length] as Session;
      if (session.room === 0) continue;
      state.turn = (state.turn + i + 1) % sessions.length;
      return session;
    }
    return undefined;
  }

  async #claim(state: QueueState, session: Session): Promise<void> {
    const claim = this.#begin(state, session, session.room);
    claim?.answered(await this.#askStorage(claim.request));
  }

  /** Sets aside what a claim needs until it is answered. A session has one under way for each queue. */
  #begin(state: QueueState, session: Session, room: number): ClaimUnderWay | undefined {
    const claims = this.#claims.get(session);
    const wanted = state.backlog ? MAX_CLAIM_BATCH : state.signals - state.asking;
    const max = Math.min(room, MAX_CLAIM_BATCH, wanted);
    if (!claims || max <= 0 || claims.busy.has(state.name)) return undefined;
    const heard = state.heard;
    claims.busy.add(state.name);
    session.reserve(max);
    state.asking += max;
    state.claims++;
    const request = this.#request(state.name, session, claims.ids++, max);
    const answered = (answer: ClaimAnswer | undefined) => {
      state.asking -= max;
      state.claims--;
      claims.busy.delete(state.name);
      if (answer) state.paused = answer.paused === true;
      this.#learn(state, max, answer?.jobs ?? [], heard);
      session.taken(max, answer?.jobs ?? []);
      if (answer) {
        for (const changed of answer.changed) this.#o.changed(changed);
        this.#o.claimed(answer);
      }
      if (this.#queues.get(state.name) === state) this.#serveQueue(state);
      this.serve(session);
    };
    return { request, answered, failed: () => void this.#askStorage(request).then(answered) };
  }

  #learn(state: QueueState, max: number, jobs: Claimed[], heard: number): void {
    state.signals = Math.max(0, state.signals - jobs.length);
    if (jobs.length === max) return;
    const bytes = jobs.reduce((sum, job) => sum + job.payload.data.length, 0);
    // Short of `max` means that the queue is empty, unless the next payload might not have fitted.
    const cutBySize = jobs.length > 0 && bytes + this.#o.maxPayloadBytes > CLAIM_BYTES;
    if (!cutBySize) state.signals = 0;
    // What a later claim found, this one cannot know better.
    state.emptyAt = Math.max(state.emptyAt, heard);
    state.backlog = cutBySize || state.heard > state.emptyAt;
  }

  #request(queue: string, session: Session, claimId: number, max: number): Claim {
    const { clock, leaseMs } = this.#o;
    const random = clock.randomBytes(max * LEASE_TOKEN_BYTES);
    const tokens = Array.from({ length: max }, (_, i) =>
      random.subarray(i * LEASE_TOKEN_BYTES, (i + 1) * LEASE_TOKEN_BYTES),
    );
    return {
      queue,
      lane: session.lane,
      claimId,
      workerId: session.workerId,
      max,
      maxBytes: CLAIM_BYTES,
      tokens,
      leaseMs: deliveryLeaseMs(leaseMs),
      jitter: clock.random(),
      graceMs: graceMs(leaseMs),
    };
  }

  /** Repeats until it is answered: a claim whose reply was lost may have leased jobs that only the repeat can name. */
  async #askStorage(request: Claim): Promise<ClaimAnswer | undefined> {
    for (let tries = 0; tries < CLAIM_TRIES && !this.#closed; tries++) {
      try {
        return await this.#o.storage.claim(request);
      } catch {
        await new Promise<void>((resolve) => this.#o.clock.setTimer(resolve, CLAIM_RETRY_MS, { unref: true }));
      }
    }
    return undefined;
  }

  #scheduleProbe(): void {
    const ms = this.#o.probeIntervalMs * (0.5 + this.#o.clock.random());
    this.#probe = this.#o.clock.setTimer(
      () => {
        this.probeAll();
        if (!this.#closed) this.#scheduleProbe();
      },
      ms,
      { unref: true },
    );
  }
}

function lineUp(place: Place): void {
  if (place.inLine) return;
  place.inLine = true;
  place.group.line.push(place);
}

function stepOut(place: Place, at: number): void {
  place.group.line.splice(at, 1);
  place.inLine = false;
}
