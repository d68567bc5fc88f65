/** Who is let in, and who is shown out again. */
import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { describe, expect, test, vi } from "vitest";
import type { CallError } from "../../protocol/errors.ts";
import { ManualClock, turns } from "../../protocol/manual-clock.ts";
import { Failures } from "../../server/access/failures.ts";
import { digestOf, type Entry, TokenGate } from "../../server/access/token-gate.ts";
import { EVERY_QUEUE, hostOf, namesIn, permits, verbs } from "../../server/rpc/access.ts";
import { newToken } from "./rig.ts";

const NOW = 1_800_000_000_000;
const clock = () => new ManualClock(NOW, turns(2));
const token = newToken();

function entry(fields: Partial<Entry> = {}): Entry {
  const rights = [{ queues: ["mail/*"], verbs: ["enqueue" as const] }];
  return { name: "mailer", digests: [digestOf(token)], certificateNames: [], expires: undefined, rights, ...fields };
}
const shown = (authorization?: string, names: string[] = [], peer = "192.0.2.1") => ({
  ...{ peer, authorization },
  certificateNames: () => names,
});
const enter = (gate: TokenGate, authorization?: string, names?: string[], revoked = vi.fn()) =>
  gate.enter(shown(authorization, names), revoked);

describe("policy", () => {
  const mailer = { name: "m", rights: [{ queues: ["mail/*", "reports"], verbs: ["enqueue" as const] }] };
  test.each([
    ["mail/a", true],
    ["mail/", true],
    ["mail/a/b", true],
    ["mail", false],
    ["mailx", false],
    ["Mail/a", false],
    ["reports", true],
    ["reports/a", false],
    [EVERY_QUEUE, false],
  ])("%s: %s", (queue, expected) => {
    expect(permits(mailer, "enqueue", queue)).toBe(expected);
    for (const verb of verbs.slice(1)) expect(permits(mailer, verb, queue)).toBe(false);
  });

  test("* is all queues, and what is about none", () => {
    const admin = { name: "a", rights: [{ queues: ["*"], verbs: ["admin" as const] }] };
    expect(permits(admin, "admin", EVERY_QUEUE)).toBe(true);
    expect(permits(admin, "admin", "any")).toBe(true);
    expect(permits(admin, "wait", "any")).toBe(false);
  });
});

describe("refusals by address", () => {
  const refused = (gate: TokenGate, peer?: string) => {
    try {
      gate.enter(shown("Bearer wrong", [], peer), () => {});
    } catch (error) {
      return error as CallError;
    }
    throw new Error("let in");
  };

  test("are limited, with the reason and the time to wait; who has a good token comes in all the same", async () => {
    const time = clock();
    const gate = new TokenGate([entry()], time);
    for (let n = 0; n < 200; n++) expect(refused(gate).reason).toBe("UNAUTHENTICATED");
    const { reason, message, options } = refused(gate);
    expect([reason, options.retryAfterMs]).toEqual(["RATE_LIMITED", 100]);
    expect(message).toBe("too many refusals for 192.0.2.1; the last one: the token is not known here");
    expect(enter(gate, `Bearer ${token}`).permits("enqueue", "mail/a")).toBe(true);
    expect(refused(gate, "192.0.2.2").reason).toBe("UNAUTHENTICATED");
    await time.advance(100);
    expect(refused(gate).reason).toBe("UNAUTHENTICATED");
    expect(refused(gate).reason).toBe("RATE_LIMITED");
    await time.advance(3_600_000);
    for (let n = 0; n < 200; n++) expect(refused(gate).reason).toBe("UNAUTHENTICATED");
    expect(refused(gate).reason).toBe("RATE_LIMITED");
  });

  test("of ten thousand addresses at a time: the one that was quiet longest is forgotten", () => {
    const failures = new Failures(clock());
    for (let n = 0; n < 201; n++) failures.note("a");
    for (let n = 0; n < 9_999; n++) failures.note(`b${n}`);
    expect(failures.note("a")).toBe(100);
    for (let n = 0; n < 10_000; n++) failures.note(`c${n}`);
    expect(failures.note("a")).toBe(0);
  });

  test.each([
    ["192.0.2.1:4711", "192.0.2.1"],
    ["[::1]:4711", "[::1]"],
    ["unknown", "unknown"],
  ])("%s is %s", (address, host) => expect(hostOf(address)).toBe(host));
});

describe("who is let in", () => {
  test("by token, whatever the case of Bearer", () => {
    const gate = new TokenGate([entry()], clock());
    for (const scheme of ["Bearer", "bearer", "BEARER "]) {
      expect(enter(gate, `${scheme} ${token}`).permits("enqueue", "mail/a")).toBe(true);
    }
  });

  test("either of two hashes, while tokens are changed", () => {
    const next = newToken();
    const gate = new TokenGate([entry({ digests: [digestOf(token), digestOf(next)] })], clock());
    for (const each of [token, next]) enter(gate, `Bearer ${each}`);
  });

  test.each([
    undefined,
    "",
    "Bearer",
    `Basic ${token}`,
    token,
    `Bearer ${token}x`,
    `Bearer ${token.slice(1)}`,
    `Bearer ${token} ${token}`,
    `Bearer ${token}, Bearer ${token}`,
    `Bearer ${"x".repeat(10_000)}`,
  ])("not with %s", (authorization) => {
    const gate = new TokenGate([entry()], clock());
    let error: unknown;
    try {
      enter(gate, authorization);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ reason: "UNAUTHENTICATED" });
    expect(String((error as Error).message)).not.toContain(token.slice(4));
  });

  test("by certificate, but not with a wrong token beside it", () => {
    const gate = new TokenGate([entry({ digests: [], certificateNames: ["DNS:mailer.internal"] })], clock());
    enter(gate, undefined, ["DNS:other", "DNS:mailer.internal"]);
    expect(() => enter(gate, undefined, ["DNS:mailer.internal.evil"])).toThrow(/names nobody/);
    expect(() => enter(gate, `Bearer ${newToken()}`, ["DNS:mailer.internal"])).toThrow(/not known/);
  });

  test("names of a certificate cannot be smuggled in through one that has a comma", () => {
    expect(namesIn("DNS:a.internal, IP Address:10.0.0.1, URI:spiffe://b/c")).toEqual([
      "DNS:a.internal",
      "IP Address:10.0.0.1",
      "URI:spiffe://b/c",
    ]);
    expect(namesIn('URI:"http://x/, DNS:mailer.internal", DNS:b')).not.toContain("DNS:mailer.internal");
    expect(namesIn(undefined)).toEqual([]);
  });

  test("every hash is compared in constant time, whichever one matches", () => {
    const others = Array.from({ length: 20 }, (_, i) => entry({ name: `n${i}`, digests: [digestOf(newToken())] }));
    const compare = vi.spyOn(crypto, "timingSafeEqual");
    // Named imports of built-in modules see the spy only after this.
    syncBuiltinESMExports();
    try {
      for (const entries of [
        [entry(), ...others],
        [...others, entry()],
        [...others, entry({ digests: [digestOf("x")] })],
      ]) {
        compare.mockClear();
        const gate = new TokenGate(entries, clock());
        if (entries.some(({ digests }) => Buffer.compare(digests[0] as Uint8Array, digestOf(token)) === 0)) {
          enter(gate, `Bearer ${token}`);
        } else expect(() => enter(gate, `Bearer ${token}`)).toThrow();
        expect(compare).toHaveBeenCalledTimes(21);
      }
    } finally {
      compare.mockRestore();
      syncBuiltinESMExports();
    }
  });
});

describe("who is shown out", () => {
  const inside = (gate: TokenGate) => {
    const revoked = vi.fn();
    const visit = enter(gate, `Bearer ${token}`, [], revoked);
    visit.require(["enqueue"], ["mail/a"]);
    return { visit, revoked };
  };

  test("whoever is nobody any more", () => {
    const gate = new TokenGate([entry()], clock());
    const { revoked } = inside(gate);
    gate.replace([entry()]);
    expect(revoked).not.toHaveBeenCalled();
    gate.replace([]);
    gate.replace([]);
    expect(revoked).toHaveBeenCalledTimes(1);
    expect(revoked.mock.calls[0]?.[0]).toMatchObject({ reason: "UNAUTHENTICATED" });
  });

  test("whoever lost what the call stands on, not whoever lost something else", () => {
    const gate = new TokenGate([entry()], clock());
    const { visit, revoked } = inside(gate);
    gate.replace([entry({ rights: [{ queues: ["mail/a"], verbs: ["enqueue"] }] })]);
    expect(revoked).not.toHaveBeenCalled();
    expect(visit.permits("enqueue", "mail/b")).toBe(false);
    gate.replace([entry({ rights: [{ queues: ["mail/b"], verbs: ["enqueue"] }] })]);
    expect(revoked.mock.calls[0]?.[0]).toMatchObject({ reason: "PERMISSION_DENIED" });
  });

  test("whoever has expired, within a minute", async () => {
    const time = clock();
    const gate = new TokenGate([entry({ expires: NOW + 5_000 })], time);
    const { revoked } = inside(gate);
    await time.advance(4_000);
    enter(gate, `Bearer ${token}`).leave();
    await time.advance(20_000);
    expect(revoked.mock.calls[0]?.[0]).toMatchObject({ reason: "UNAUTHENTICATED" });
    expect(() => enter(gate, `Bearer ${token}`)).toThrow(/expired/);
  });

  test("nobody who has left", () => {
    const gate = new TokenGate([entry()], clock());
    const { visit, revoked } = inside(gate);
    visit.leave();
    gate.replace([]);
    expect(revoked).not.toHaveBeenCalled();
  });
});
