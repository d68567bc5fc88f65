/** `https:` urls. The certificate is made by the openssl command; without it there is nothing to test with. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ServerCredentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createQueueClient } from "../../client/index.ts";
import { FakeBroker, succeeded } from "./fake-broker.ts";

const missing = spawnSync("openssl", ["version"]).status !== 0;

describe.skipIf(missing)(`tls${missing ? " (skipped: needs the openssl command)" : ""}`, () => {
  const folder = mkdtempSync(join(tmpdir(), "queuecall-tls-"));
  const file = (name: string) => join(folder, name);
  let broker: FakeBroker;
  let ca: Buffer;

  beforeAll(async () => {
    const subject = ["-subj", "/CN=broker", "-addext", "subjectAltName=DNS:broker.test,IP:127.0.0.1"];
    const output = ["-keyout", file("key.pem"), "-out", file("cert.pem"), "-days", "1", "-nodes"];
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
    execFileSync("openssl", ["req", "-x509", ...key, ...subject, ...output], { stdio: "ignore" });
    ca = readFileSync(file("cert.pem"));
    const pair = { private_key: readFileSync(file("key.pem")), cert_chain: ca };
    broker = await FakeBroker.start(0, ServerCredentials.createSsl(null, [pair]));
    broker.on("enqueueAndWait", (call) => ({ job: succeeded(call, "sealed") }));
  });
  afterAll(() => {
    broker.close();
    rmSync(folder, { recursive: true });
  });

  const address = () => broker.url.replace("http://", "");

  it("calls a broker whose certificate it is told to trust", async () => {
    await using client = createQueueClient({ url: `https://${address()}`, tls: { ca } });
    expect(await client.queue("q").enqueueAndWait("j", 1)).toBe("sealed");
  });

  it("takes an address without a scheme as https where there are TLS options", async () => {
    await using client = createQueueClient({ url: address(), tls: { ca, serverName: "broker.test" } });
    expect(await client.queue("q").enqueueAndWait("j", 1)).toBe("sealed");
  });

  it("refuses a certificate that nobody vouches for", async () => {
    await using client = createQueueClient({ url: `https://${address()}`, retry: false });
    await expect(client.queue("q").enqueueAndWait("j", 1)).rejects.toMatchObject({
      code: "BROKER_UNAVAILABLE",
      accepted: "no",
      message: expect.stringContaining("SELF_SIGNED_CERT"),
    });
  });
});
