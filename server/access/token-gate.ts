/** The gate of a token file: finds the principal of a token or certificate, and shows out whoever loses what they came in with. */
import { hash, timingSafeEqual } from "node:crypto";
import type { Clock, Timer } from "../../protocol/clock.ts";
import { CallError } from "../../protocol/errors.ts";
import {
  type Credentials,
  denied,
  type Gate,
  type Principal,
  permits,
  unauthenticated,
  type Verb,
  type Visit,
} from "../rpc/access.ts";
import { Failures } from "./failures.ts";

/** One principal of the file, and how it is known. */
export interface Entry extends Principal {
  /** SHA-256 of its tokens, 32 bytes each. */
  digests: readonly Uint8Array[];
  /** Names in client certificates: "DNS:mailer.internal". */
  certificateNames: readonly string[];
  /** Milliseconds since 1970; from then on it is nobody. */
  expires: number | undefined;
}

/** What somebody came in with. The token itself is not kept. */
type Known = { digest: Uint8Array } | { names: readonly string[] };

/** Expiry is looked for this often, well within the minute that docs/security.md promises. */
const EXPIRY_CHECK_MS = 10_000;

export class TokenGate implements Gate {
  readonly #clock: Clock;
  readonly #failures: Failures;
  readonly #visitors = new Set<Visitor>();
  #entries: readonly Entry[];
  #timer: Timer | undefined;

  constructor(entries: readonly Entry[], clock: Clock) {
    this.#entries = entries;
    this.#clock = clock;
    this.#failures = new Failures(clock);
  }

  enter(credentials: Credentials, revoked: (error: CallError) => void): Visit {
    const { known, principal } = this.#identified(credentials);
    const visitor = new Visitor(principal, {
      again: () => this.#principalOf(known),
      revoked,
      left: () => this.#visitors.delete(visitor),
    });
    this.#visitors.add(visitor);
    this.#watchExpiry();
    return visitor;
  }

  #identified(credentials: Credentials): { known: Known; principal: Principal } {
    try {
      const known = knownBy(credentials);
      return { known, principal: this.#principalOf(known) };
    } catch (error) {
      const retryAfterMs = this.#failures.note(credentials.peer);
      if (retryAfterMs === 0) throw error;
      const text = `too many refusals for ${credentials.peer}; the last one: ${(error as Error).message}`;
      throw new CallError("RATE_LIMITED", text, { retryAfterMs });
    }
  }

  /** From now on these hold, for calls under way too. */
  replace(entries: readonly Entry[]): void {
    this.#entries = entries;
    this.#recheck();
  }

  close(): void {
    this.#timer?.cancel();
  }

  #principalOf(known: Known): Principal {
    const entry = "digest" in known ? this.#byDigest(known.digest) : this.#byNames(known.names);
    if (!entry) throw unauthenticated(refusals["digest" in known ? "token" : "certificate"]);
    if (entry.expires !== undefined && entry.expires <= this.#clock.now()) {
      throw unauthenticated(refusals.expired);
    }
    return entry;
  }

  /** Looks at every digest, whichever matches: the time it takes says nothing about how near a guess was. */
  #byDigest(digest: Uint8Array): Entry | undefined {
    let found: Entry | undefined;
    for (const entry of this.#entries) {
      for (const each of entry.digests) if (timingSafeEqual(each, digest)) found = entry;
    }
    return found;
  }

  #byNames(names: readonly string[]): Entry | undefined {
    return this.#entries.find((entry) => entry.certificateNames.some((name) => names.includes(name)));
  }

  #recheck(): void {
    for (const visitor of [...this.#visitors]) visitor.recheck();
  }

  /** Only while somebody is in. */
  #watchExpiry(): void {
    this.#timer ??= this.#clock.setTimer(() => this.#expiryIsDue(), EXPIRY_CHECK_MS, { unref: true });
  }

  #expiryIsDue(): void {
    this.#timer = undefined;
    this.#recheck();
    if (this.#visitors.size > 0) this.#watchExpiry();
  }
}

const refusals = {
  none: "no token: send the header authorization: Bearer TOKEN",
  token: "the token is not known here",
  expired: "the token has expired",
  certificate: "no token, and the client certificate names nobody that is known here",
};

/** The digest that a token is looked up by. */
export function digestOf(token: string): Uint8Array {
  return hash("sha256", token, "buffer");
}

/** A header that is there has to be right: no certificate makes up for a wrong token. */
function knownBy({ authorization, certificateNames }: Credentials): Known {
  if (authorization === undefined) {
    const names = certificateNames();
    if (names.length === 0) throw unauthenticated(refusals.none);
    return { names };
  }
  const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
  if (token === undefined) throw unauthenticated("the authorization header is not of the form: Bearer TOKEN");
  return { digest: digestOf(token) };
}

interface Host {
  /** Who this is now. @throws CallError UNAUTHENTICATED */
  again(): Principal;
  revoked(error: CallError): void;
  left(): void;
}

/** One call that was let in. */
class Visitor implements Visit {
  readonly #host: Host;
  #principal: Principal;
  #verbs: readonly Verb[] = [];
  #queues: readonly string[] = [];

  constructor(principal: Principal, host: Host) {
    this.#principal = principal;
    this.#host = host;
  }

  require(verbs: readonly Verb[], queues: readonly string[]): void {
    for (const verb of verbs) for (const queue of queues) this.check(verb, queue);
    this.#verbs = verbs;
    this.#queues = queues;
  }

  check(verb: Verb, queue: string): void {
    if (!this.permits(verb, queue)) throw denied(this.#principal, verb, queue);
  }

  permits(verb: Verb, queue: string): boolean {
    return permits(this.#principal, verb, queue);
  }

  leave(): void {
    this.#host.left();
  }

  recheck(): void {
    try {
      this.#principal = this.#host.again();
      this.require(this.#verbs, this.#queues);
    } catch (error) {
      this.leave();
      this.#host.revoked(error as CallError);
    }
  }
}
