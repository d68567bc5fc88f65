/**
 * Who may do what: principal × queue × verb. Pure policy and the two seams
 * around it: a {@link Gate} says who somebody is (server/access/ has the one
 * that reads a file), an {@link Access} answers for one call. Without a gate
 * there is no Access either, and nothing is asked.
 */
import { CallError } from "../../protocol/errors.ts";

/**
 * What can be done with a queue.
 * - `enqueue`: ask for work, and take it back: store, cancel and retry jobs, change their retention
 * - `wait`: see jobs and their outcomes
 * - `work`: take jobs, settle them
 * - `admin`: look over queues and change them
 */
export const verbs = ["enqueue", "wait", "work", "admin"] as const;
export type Verb = (typeof verbs)[number];

/** Any of the verbs on any of the queues. */
export interface Right {
  /** Names, or beginnings of names followed by `*`. */
  queues: readonly string[];
  verbs: readonly Verb[];
}

export interface Principal {
  /** For people and logs; never a secret. */
  name: string;
  rights: readonly Right[];
}

/** Stands for all queues where something is not about one: only a right on `*` covers it. */
export const EVERY_QUEUE = "*";

/** Nothing is permitted that no right names. */
export function permits({ rights }: Principal, verb: Verb, queue: string): boolean {
  return rights.some((right) => right.verbs.includes(verb) && right.queues.some((each) => matches(each, queue)));
}

function matches(pattern: string, queue: string): boolean {
  return pattern.endsWith("*") ? queue.startsWith(pattern.slice(0, -1)) : queue === pattern;
}

/** What one call may do, as long as it lasts. */
export interface Access {
  /**
   * This call needs these verbs on these queues from here on, in place of what it required before: where one is taken away
   * later, the call ends.
   * @throws CallError PERMISSION_DENIED, which says nothing about what exists
   */
  require(verbs: readonly Verb[], queues: readonly string[]): void;
  /** For one step of a call. @throws CallError PERMISSION_DENIED */
  check(verb: Verb, queue: string): void;
  permits(verb: Verb, queue: string): boolean;
}

/** What a caller shows. */
export interface Credentials {
  /** Where they come from: an address without a port, for limits; "" where it is not known. */
  peer: string;
  /** The `authorization` header. */
  authorization: string | undefined;
  /** The names in a client certificate that the transport has verified, such as "DNS:mailer.internal"; asked for only when needed. */
  certificateNames(): readonly string[];
}

/** An access that has to be left when the call is over. */
export interface Visit extends Access {
  leave(): void;
}

export interface Gate {
  /**
   * @param revoked called at most once, when what the call stands on was taken away
   * @throws CallError UNAUTHENTICATED; RATE_LIMITED in its place where there were too many of them
   */
  enter(credentials: Credentials, revoked: (error: CallError) => void): Visit;
}

export function unauthenticated(why: string): CallError {
  return new CallError("UNAUTHENTICATED", why);
}

/** "192.0.2.1:4711" and "[::1]:4711" without the port. */
export function hostOf(address: string): string {
  return address.replace(/:\d+$/, "");
}

export function denied({ name }: Principal, verb: Verb, queue: string): CallError {
  const what = queue === EVERY_QUEUE ? "all queues" : `queue ${queue}`;
  return new CallError("PERMISSION_DENIED", `${name} has no right to ${verb} on ${what}`, {
    metadata: { verb, queue, principal: name },
  });
}

/** "DNS:a.internal, URI:spiffe://b" as a list. Node puts a name with special characters in quotes, which are kept: it equals no name without. */
export function namesIn(subjectAltName = ""): string[] {
  return subjectAltName.match(/[A-Z][\w ]*:("(\\.|[^"\\])*"|[^,"]*)(?=, |$)/gi) ?? [];
}
