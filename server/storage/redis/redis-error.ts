/**
 * What errors of Redis and of its client mean to a verb: whether it may have happened, and whether another try can
 * help. Their texts and arguments stay here: an error of ioredis holds the whole command, payload and all.
 */

export interface Verdict {
  /** Safe to show: the error's code, never its text. */
  code: string;
  /** "no": the server refused it before it ran. "unknown": it may have run. */
  accepted: "no" | "unknown";
  /** Another try, a little later, may succeed. */
  retry: boolean;
  /** This server does not answer for its data now: connect anew, and ask who does. */
  moved: boolean;
}

/** Answers that mean "not run". A script is refused for these before its first line, or at a read before its first write. */
const refusals: Record<string, Partial<Verdict>> = {
  OOM: {},
  NOSCRIPT: { retry: true },
  BUSY: { retry: true },
  LOADING: { retry: true },
  TRYAGAIN: { retry: true },
  CLUSTERDOWN: { retry: true },
  MOVED: { retry: true },
  ASK: { retry: true },
  READONLY: { retry: true, moved: true },
  MASTERDOWN: { retry: true, moved: true },
  NOREPLICAS: {},
  MISCONF: {},
  NOAUTH: {},
  NOPERM: {},
  WRONGPASS: {},
};

/** The client's own, before anything was written. */
const unsent = /isn't writeable|isn't ready|startup nodes|Cluster is ended|Connection is closed\.$/;
const missingFunction = /^ERR Function not found/;
const strayedScript = /non local key|undeclared key/;

export function judge(error: unknown): Verdict {
  const message = error instanceof Error ? error.message : "";
  if (isReply(error)) {
    if (strayedScript.test(message)) return verdict("MOVED", "no", refusals.MOVED);
    if (missingFunction.test(message)) return verdict("NOFUNCTION", "no", { retry: true });
    const code = /^[A-Z]+/.exec(message)?.[0] ?? "ERR";
    const refusal = refusals[code];
    return refusal ? verdict(code, "no", refusal) : verdict(scriptLine(code, message), "unknown", {});
  }
  if (unsent.test(message)) return verdict("not connected", "unknown", { retry: true });
  return verdict(systemCode(error), "unknown", { retry: true });
}

/** The line of the script, for whoever has to mend it; nothing else of the text is known to be harmless. */
function scriptLine(code: string, message: string): string {
  const line = /user_(?:script|function):(\d+)/.exec(message)?.[1];
  return line ? `${code} at line ${line} of the script` : code;
}

function verdict(code: string, accepted: "no" | "unknown", more: Partial<Verdict> = {}): Verdict {
  return { code, accepted, retry: false, moved: false, ...more };
}

function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === "ReplyError";
}

function systemCode(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" && /^[A-Z_]+$/.test(code) ? code : "connection lost";
}
