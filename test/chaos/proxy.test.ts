/** The proxy itself: what it is told to do to connections, and nothing else. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TcpProxy } from "./proxy.ts";

let server: Server;
let accepted: Promise<Socket>;
let proxy: TcpProxy;

beforeEach(async () => {
  server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  server.on("connection", (socket) => socket.on("error", ignored));
  accepted = once(server, "connection").then(([socket]) => socket as Socket);
  proxy = await TcpProxy.open((server.address() as AddressInfo).port, () => 0.5);
});
afterEach(async () => {
  await proxy.close();
  server.close();
});

/** A reset is what these tests are about; that it came is seen by "close". */
const ignored = () => {};
const dial = () => connect(proxy.port, "127.0.0.1").on("error", ignored);

/** Not by once(): that rejects at the error before. */
function closed(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => socket.once("close", resolve));
}

async function pair(): Promise<{ near: Socket; far: Socket }> {
  return { near: dial(), far: await accepted };
}

test("what goes in comes out, whole and in order, also in slices, late and through a narrow pipe", async () => {
  proxy.set("up", { sliceBytes: 7, latencyMs: 5, jitterMs: 5, bytesPerSecond: 1_000_000 });
  const { near, far } = await pair();
  const sent = Array.from({ length: 500 }, (_, n) => `line ${n}\n`).join("");
  for (const part of sent.match(/.{1,100}/gs) ?? []) near.write(part);
  near.end();
  expect(await text(far)).toBe(sent);
});

test("latency: nothing arrives before its time", async () => {
  proxy.set("up", { latencyMs: 80 });
  const { near, far } = await pair();
  const began = performance.now();
  near.end("late");
  expect(await text(far)).toBe("late");
  expect(performance.now() - began).toBeGreaterThanOrEqual(79);
});

test("deaf in one direction: the other goes on, and nobody is told; healed, what was held passes", async () => {
  const { near, far } = await pair();
  proxy.set("up", { deaf: true });
  let arrived = "";
  far.on("data", (data) => (arrived += data));
  near.write("unheard");
  far.write("still spoken");
  expect(String((await once(near, "data"))[0])).toBe("still spoken");
  expect(arrived).toBe("");
  proxy.set("up", {});
  await once(far, "data");
  expect(arrived).toBe("unheard");
});

test("reset after a number of bytes: no more of them arrive, and both ends are told", async () => {
  proxy.set("down", { resetAfterBytes: 10 });
  const { near, far } = await pair();
  let arrived = 0;
  near.on("data", (data) => (arrived += data.length));
  const ends = [near, far].map(closed);
  far.write("0123456789 and more");
  expect(await Promise.all(ends)).toEqual([true, true]);
  expect(arrived).toBeLessThanOrEqual(10);
  expect(proxy.connections).toBe(0);
});

test("cut: every connection is reset, and new ones are taken", async () => {
  const { near } = await pair();
  const gone = closed(near);
  proxy.cut();
  await gone;
  const again = dial();
  await once(again, "connect");
  again.destroy();
});

test("a target that refuses: so does the proxy", async () => {
  proxy.target = 1;
  const near = dial();
  expect(await closed(near)).toBe(true);
});
