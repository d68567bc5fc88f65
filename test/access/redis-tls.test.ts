/** `rediss://` with an ACL user: a broker process whose URL comes from a file, and a server whose authority the system trusts. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createQueueClient } from "../../client/index.ts";
import { createWorker } from "../../worker/index.ts";
import { Child } from "../support/processes.ts";
import { freePort, type RedisServer, startRedis } from "../support/redis.ts";
import { Authority, hasOpenssl } from "./certificates.ts";
import { Folder } from "./rig.ts";

describe.skipIf(!hasOpenssl)("rediss://", () => {
  const folder = new Folder();
  let redis: RedisServer;
  let authority: Authority;
  let tlsPort: number;
  beforeAll(async () => {
    authority = new Authority(folder.path, "authority");
    const { cert, key } = authority.sign("redis", "IP:127.0.0.1");
    tlsPort = await freePort();
    const tls = [
      "--tls-port",
      String(tlsPort),
      "--tls-cert-file",
      cert,
      "--tls-key-file",
      key,
      "--tls-auth-clients",
      "no",
    ];
    const user = ["--user", "queuecall", "on", ">s3cret", "~qc:*", "&qc:*", "+@all", "-@dangerous", "+info"];
    redis = await startRedis({ args: [...tls, "--tls-ca-cert-file", authority.file, ...user] });
  });
  afterAll(async () => {
    await redis.stop();
    folder[Symbol.dispose]();
  });

  const serve = (password: string, env: Record<string, string>) => {
    const url = folder.write("storage-url", `rediss://queuecall:${password}@127.0.0.1:${tlsPort}/0`);
    return new Child(["cli/main.ts", "serve", "--grpc", "127.0.0.1:0", "--storage-file", url], { env });
  };

  test("an authority that the system trusts, a user with the rights it needs, no password in sight", async () => {
    await using child = serve("s3cret", { NODE_EXTRA_CA_CERTS: authority.file });
    const [, address] = await child.line(/^ready grpc=(\S+) .*storage=rediss:\/\/\S+ durability=redis-volatile$/);
    // Large payloads leave in several writes.
    await using client = createQueueClient({ url: `http://${address}` });
    const texts = ["small", "x".repeat(100_000), "also small", "y".repeat(300_000)];
    await Promise.all(texts.map((text, i) => client.queue("q").enqueue(`job ${i}`, text)));
    const worker = createWorker({ url: `http://${address}` }).handle<string>("q", (text) => `${text}!`);
    const stop = new AbortController();
    const running = worker.run({ signal: stop.signal });
    const results = await Promise.all(texts.map((text, i) => client.queue("q").enqueueAndWait(`job ${i}`, text)));
    expect(results).toEqual(texts.map((text) => `${text}!`));
    stop.abort();
    await running;
    expect(await child.kill("SIGTERM")).toMatchObject({ code: 0 });
    expect(child.stdout + child.stderr).not.toContain("s3cret");
  });

  test("not one that it does not trust: alive, not ready, and it says why", async () => {
    await using child = serve("s3cret", { NODE_EXTRA_CA_CERTS: "" });
    await child.line(/cannot be reached \((SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE)\)/);
    expect(child.stdout).not.toMatch(/^ready/m);
  });
});
