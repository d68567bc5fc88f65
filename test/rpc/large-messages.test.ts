/** Small and large payloads in turns, many at once, both ways: what is large travels in pieces, each in its place. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createQueueClient } from "../../client/index.ts";
import { createBroker } from "../../server/index.ts";
import { createWorker } from "../../worker/index.ts";
import { Authority, hasOpenssl } from "../access/certificates.ts";
import { Folder } from "../access/rig.ts";

const folder = new Folder();
let authority: Authority | undefined;
beforeAll(() => {
  if (hasOpenssl) authority = new Authority(folder.path, "authority");
});
afterAll(() => folder[Symbol.dispose]());

const sizes = [0, 3_000, 300_000, 1, 4_096, 70_000, 4_095, 400_000, 20, 16_384, 100_000, 5_000];
const texts = sizes.map((size, i) => `${i}${String.fromCharCode(97 + i).repeat(size)}`);

test.each([
  ["gRPC", "http", "grpcAddress"],
  ["gRPC with TLS", "https", "grpcAddress"],
  ["the HTTP port", "http", "httpAddress"],
] as const)("%s", async (_port, scheme, address) => {
  const secure = scheme === "https";
  if (secure && !authority) return;
  const pair = secure && { tls: authority!.sign("broker", "IP:127.0.0.1") };
  await using broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0", http: "127.0.0.1:0", ...pair });
  const options = { url: `${scheme}://${broker[address]}`, ...(secure && { tls: { ca: authority!.pem } }) };
  const stop = new AbortController();
  const worker = createWorker({ ...options, concurrency: 8 }).handle<string>("q", (text) => `${text}!${text}`);
  const running = worker.run({ signal: stop.signal });
  await using client = createQueueClient(options);
  for (let round = 0; round < 3; round++) {
    const results = await Promise.all(texts.map((text, i) => client.queue("q").enqueueAndWait(`${round} ${i}`, text)));
    expect(results.map((result, i) => result === `${texts[i]}!${texts[i]}`)).toEqual(texts.map(() => true));
  }
  stop.abort();
  await running;
});
