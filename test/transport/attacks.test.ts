/**
 * Floods, lies and bombs on the gRPC port of a broker that may use little memory: others are served all the while, the
 * broker lives, and what it held is given back. Each attack is on one connection; what one may do is bounded.
 */
import { spawnSync } from "node:child_process";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createQueueClient } from "../../client/index.ts";
import { exchangePath } from "../../server/rpc/exchange.ts";
import { workPath } from "../../server/rpc/worker-service.ts";
import { createWorker } from "../../worker/index.ts";
import { methods, pathOf } from "../support/grpc.ts";
import { Child } from "../support/processes.ts";
import { Bystander } from "./bystander.ts";
import { Flag, frame, grpcHeaders, headersFrame, hpack, message, RawHttp2, Type } from "./raw-http2.ts";

const HEAP_MIB = 256;
/** Generous: a heap of 256 MiB, and what is beside it. A flood that was kept would take gigabytes. */
const RSS_MIB = 900;

/** What takes most time. FLOOD_STREAMS=n, `npm run torture`: more than one connection may have. */
const STREAMS = Number(process.env.FLOOD_STREAMS ?? 5_000);
const MAX_STREAMS = 32_768;

let broker: Child;
let address: string;
let bystander: Bystander;
beforeAll(async () => {
  const args = ["cli/main.ts", "serve", "--storage", "memory:", "--grpc", "127.0.0.1:0", "--log-level", "warn"];
  broker = new Child([`--max-old-space-size=${HEAP_MIB}`, ...args]);
  address = (await broker.line(/^ready grpc=(\S+)/))[1]!;
  bystander = new Bystander(address);
});
afterAll(async () => {
  await bystander[Symbol.asyncDispose]();
  expect(await broker.kill("SIGTERM")).toMatchObject({ code: 0 });
});

function rssMib(): number {
  const { stdout } = spawnSync("ps", ["-o", "rss=", "-p", String(broker.process.pid)], { encoding: "utf8" });
  return Number(stdout) / 1024;
}

const enqueue = pathOf(methods.enqueue);
const id = (n: number) => 2 * n + 1;
const u32 = (n: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(n);
  return bytes;
};
const CANCEL = u32(8);
const INITIAL_WINDOW = Buffer.from([0, 4, 0, 1, 0, 0]);
const NO_WINDOW = Buffer.from([0, 4, 0, 0, 0, 0]);
const bomb = message(gzipSync(Buffer.alloc(10_000_000)), { compressed: 1 });
/** A header block in pieces, as large as one likes. */
const longHeaders = (stream: number, bytes: number) => {
  const more = Array.from({ length: Math.ceil(bytes / 10_000) }, (_, i) => hpack([[`x-${i}`, "y".repeat(10_000)]]));
  const pieces = [hpack(grpcHeaders(enqueue)), ...more];
  const last = pieces.length - 1;
  return Buffer.concat(
    pieces.map((piece, i) =>
      frame(i === 0 ? Type.headers : Type.continuation, i === last ? Flag.endHeaders : 0, stream, piece),
    ),
  );
};

type Attack = (raw: RawHttp2) => Promise<unknown>;

/** After each, the connection is over. */
const ended: Record<string, Attack> = {
  "a flood of CONTINUATION": async (raw) => {
    await raw.write(headersFrame(1, grpcHeaders(enqueue), 0));
    await raw.flood(100_000, (n) => frame(Type.continuation, 0, 1, hpack([[`x-${n}`, "y"]])));
  },
  "a flood of empty CONTINUATION": async (raw) => {
    await raw.write(headersFrame(1, grpcHeaders(enqueue), 0));
    await raw.flood(100_000, () => frame(Type.continuation, 0, 1));
  },
  "a flood of SETTINGS": (raw) => raw.flood(200_000, () => frame(Type.settings, 0, 0, INITIAL_WINDOW)),
  "SETTINGS of 2,000 entries": (raw) =>
    raw.flood(100, () => frame(Type.settings, 0, 0, Buffer.alloc(2_000 * INITIAL_WINDOW.length, INITIAL_WINDOW))),
  "a flood of PING": (raw) => raw.flood(300_000, () => frame(Type.ping, 0, 0, Buffer.alloc(8))),
  "a flood of empty DATA": async (raw) => {
    await raw.write(headersFrame(1, grpcHeaders(enqueue)));
    await raw.flood(100_000, () => frame(Type.data, 0, 1));
  },
  "headers of 1 MB": (raw) => raw.write(longHeaders(1, 1_000_000)),
  "a window that overflows": (raw) => raw.flood(3, () => frame(Type.window, 0, 0, u32(0x7fff_ffff))),
  "a frame of 100 KB": (raw) => raw.write(frame(Type.data, 0, 1, Buffer.alloc(100_000))),
  "a frame that breaks off": async (raw) => {
    await raw.write(headersFrame(1, grpcHeaders(enqueue)).subarray(0, 20));
    raw.socket.end();
  },
  "headers that are no HPACK": (raw) => raw.write(frame(Type.headers, Flag.endHeaders, 1, Buffer.alloc(50, 0xff))),
  "a stream that a client cannot open": (raw) => raw.write(headersFrame(2, grpcHeaders(enqueue))),
  "a push": (raw) => raw.write(frame(Type.push, Flag.endHeaders, 1, Buffer.concat([u32(2), hpack([])]))),
};

/** After each, the connection may live on; what it asked for was refused, or is bounded. */
const borne: Record<string, Attack> = {
  "requests that do not end": async (raw) => {
    await raw.flood(STREAMS, (n) => headersFrame(id(n), grpcHeaders(enqueue)));
    if (STREAMS > MAX_STREAMS) await raw.closed;
  },
  // With many of them the connection is over in the end, where the machine is fast enough for that.
  "rapid reset": (raw) =>
    raw.flood(STREAMS, (n) =>
      Buffer.concat([headersFrame(id(n), grpcHeaders(enqueue)), frame(Type.reset, 0, id(n), CANCEL)]),
    ),
  "a flood of WINDOW_UPDATE": (raw) => raw.flood(300_000, () => frame(Type.window, 0, 0, u32(1))),
  "a flood of PRIORITY": (raw) =>
    raw.flood(300_000, (n) => frame(Type.priority, 0, id(n % 1000), Buffer.from([0, 0, 0, 0, 1]))),
  "1,000 requests with headers of 50 KB": async (raw) => {
    await raw.flood(1_000, (n) => longHeaders(id(n), 50_000));
    await raw.until(() => raw.count(Type.reset) === 1_000);
  },
  "1,000 bombs of 10 MB": async (raw) => {
    await raw.flood(1_000, (n) =>
      Buffer.concat([
        headersFrame(id(n), grpcHeaders(enqueue, ["grpc-encoding", n % 2 === 0 ? "gzip" : "deflate"])),
        frame(Type.data, Flag.endStream, id(n), bomb),
      ]),
    );
    // Each is answered, in one block of headers: UNIMPLEMENTED.
    await raw.until(() => raw.count(Type.headers) === 1_000);
  },
  "messages that are compressed, and not": async (raw) => {
    const bodies = [Buffer.alloc(0), Buffer.from("rubbish"), gzipSync("whole").subarray(0, 15)];
    await raw.flood(bodies.length * 2, (n) => {
      const encoding = n < bodies.length ? "gzip" : "snappy";
      const body = message(bodies[n % bodies.length]!, { compressed: 1 });
      return Buffer.concat([
        headersFrame(id(n), grpcHeaders(enqueue, ["grpc-encoding", encoding])),
        frame(Type.data, Flag.endStream, id(n), body),
      ]);
    });
    await raw.until(() => raw.count(Type.headers) === bodies.length * 2);
  },
  "messages said to have 4 GiB": async (raw) => {
    await raw.flood(1_000, (n) =>
      Buffer.concat([
        headersFrame(id(n), grpcHeaders([enqueue, workPath, exchangePath][n % 3]!)),
        frame(Type.data, 0, id(n), message(Buffer.alloc(10), { length: 0xffff_ffff })),
      ]),
    );
    await raw.until(() => raw.count(Type.headers) === 1_000);
  },
  "messages said to have 4 MiB, of which 10 bytes come": (raw) =>
    raw.flood(3_000, (n) =>
      Buffer.concat([
        headersFrame(id(n), grpcHeaders([enqueue, workPath, exchangePath][n % 3]!)),
        frame(Type.data, 0, id(n), message(Buffer.alloc(10), { length: 4 * 1024 * 1024 })),
      ]),
    ),
};

describe("ends the connection", () => {
  test.each(Object.entries(ended))(
    "%s",
    async (_, attack) => {
      await using raw = await RawHttp2.begin(address);
      await attack(raw);
      await raw.closed;
      await bystander.isServed();
    },
    120_000,
  );

  test.each([
    ["a request of HTTP/1.1", "GET / HTTP/1.1\r\nhost: broker\r\n\r\n"],
    ["a handshake of TLS", Buffer.from("16030100050100000100", "hex")],
    ["rubbish", Buffer.alloc(1_000, 0xa5)],
    ["half of the beginning, and then rubbish", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"],
  ])("%s", async (_, bytes) => {
    await using raw = await RawHttp2.open(address);
    raw.socket.write(bytes);
    await raw.closed;
    await bystander.isServed();
  });
});

describe("is borne", () => {
  test("headers of 50 KB from somebody who has not confirmed that the limit is 16", async () => {
    await using raw = await RawHttp2.begin(address, { confirms: false });
    await raw.flood(100, (n) => longHeaders(id(n), 50_000));
    await raw.until(() => raw.count(Type.reset) === 100);
    await bystander.isServed();
  });

  test.each(Object.entries(borne))(
    "%s",
    async (_, attack) => {
      await using raw = await RawHttp2.begin(address);
      await attack(raw);
      await bystander.isServed();
    },
    120_000,
  );
});

test("500 answers of 1 MB that nobody reads: no more than 256 MiB are kept, and the connection ends", async () => {
  await storeLargeResult();
  await using raw = await RawHttp2.begin(address);
  await raw.write(frame(Type.settings, 0, 0, NO_WINDOW));
  const body = message(toBinary(methods.getJob.input, create(methods.getJob.input, { queue: "large", jobId: "a" })));
  for (let n = 0; n < 500 && !raw.over; n++) {
    const request = headersFrame(id(n), grpcHeaders(pathOf(methods.getJob)));
    await raw.write(request, frame(Type.data, Flag.endStream, id(n), body));
    await Promise.race([raw.closed, raw.until(() => raw.count(Type.headers) + raw.count(Type.reset) > n - 20)]);
  }
  await raw.closed;
  expect(raw.count(Type.headers)).toBeLessThan(300);
  await bystander.isServed();
}, 180_000);

async function storeLargeResult(): Promise<void> {
  const url = `http://${address}`;
  await using client = createQueueClient({ url });
  const stop = new AbortController();
  const worker = createWorker({ url }).handle<number, Uint8Array>("large", () => new Uint8Array(1_000_000));
  const running = worker.run({ signal: stop.signal });
  await client.queue<number, Uint8Array>("large").enqueueAndWait("a", 1);
  stop.abort();
  await running;
}

test("all of it together took a bounded part of memory", async () => {
  await bystander.isServed();
  expect(rssMib()).toBeGreaterThan(10);
  expect(rssMib()).toBeLessThan(RSS_MIB);
});
