/** The HTTP port with tokens: metrics for those who may look over everything, health for everybody. */
import { expect, test } from "vitest";
import { bearer, newToken, role, startGuarded } from "./rig.ts";

test("metrics need the right to admin all queues; health does not", async () => {
  const roles = {
    watcher: role("watcher", "*", "admin"),
    some: role("some", "mail/*", "admin"),
    mailer: role("mailer", "*", ["enqueue", "wait", "work"]),
  };
  await using guarded = await startGuarded(
    Object.values(roles).map(({ entry }) => entry),
    { http: "127.0.0.1:0" },
  );
  const status = async (path: string, headers: Record<string, string> = {}) =>
    (await fetch(`http://${guarded.broker.httpAddress}${path}`, { headers })).status;
  expect(await status("/metrics")).toBe(401);
  expect(await status("/metrics", bearer(newToken()))).toBe(401);
  expect(await status("/metrics", bearer(roles.mailer.token))).toBe(403);
  expect(await status("/metrics", bearer(roles.some.token))).toBe(403);
  expect(await status("/metrics", bearer(roles.watcher.token))).toBe(200);
  for (const path of ["/healthz", "/readyz"]) expect(await status(path)).toBe(200);
});
