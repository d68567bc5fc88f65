/** What verbs are told and answer in one piece: as a server's cmsgpack reads and writes it. */
import * as fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { pack, unpack } from "../../../server/storage/redis/packed.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
  return () => server.stop();
});

const asked = (script: string, ...args: (string | Buffer)[]) =>
  server.admin.callBuffer("eval", script, 0, ...args) as Promise<Buffer>;

describe("packed", () => {
  test("the server gets what was packed, and it comes back", async () => {
    const text = fc.oneof(fc.string({ maxLength: 50 }), fc.string({ unit: "binary", maxLength: 300 }), fc.constant(""));
    const bytes = fc.uint8Array({ maxLength: 300 });
    const long = fc.integer({ min: 1, max: 70_000 }).map((length) => Buffer.alloc(length, "x"));
    // Lua writes whole numbers as such, and -0 is none of them; nothing here is ever -0.
    const double = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
    const number = fc.oneof(fc.maxSafeInteger(), double);
    const values = fc.array(fc.oneof(text, bytes, number, long), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(values, async (values) => {
        const back = unpack(
          await asked("return cmsgpack.pack({ cmsgpack.unpack(ARGV[1]) })", Buffer.concat(pack(values))),
        );
        const sent = values.map((value) => (typeof value === "number" ? value : Buffer.from(value)));
        expect(back).toEqual(sent);
      }),
      { numRuns: 200 },
    );
  });

  test.each([
    ...[0, 1, 31, 127, 128, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 1.7e15, 2 ** 53],
    ...[-1, -32, -33, -128, -129, -32_768, -32_769, -(2 ** 31), -(2 ** 31) - 1, -(2 ** 53), 0.5, 0.1, -1e300],
  ])("a number is read as it was written: %d", async (number) => {
    expect(unpack(await asked("return cmsgpack.pack(tonumber(ARGV[1]))", String(number)))).toBe(number);
  });

  test("bytes in parts are one value, and none of a large part is copied", () => {
    const large = Buffer.alloc(100_000, "x");
    const parts = [Buffer.from("a\0b\0"), large];
    const packed = pack(["verb", parts, 1]);
    expect(Buffer.concat(packed)).toEqual(Buffer.concat(pack(["verb", Buffer.concat(parts), 1])));
    expect(packed.filter((piece) => piece === large)).toHaveLength(1);
  });

  test("what is not there is null, lists are lists, also empty and long ones", async () => {
    const script = `local long = {}
      for i = 1, 70000 do long[i] = i % 7 end
      return cmsgpack.pack({ false, true, {}, { 'a', { false } }, long })`;
    const long = Array.from({ length: 70_000 }, (_, i) => (i + 1) % 7);
    expect(unpack(await asked(script))).toEqual([null, 1, [], [Buffer.from("a"), [null]], long]);
  });

  test("a table with names is no reply", async () => {
    const packed = await asked("return cmsgpack.pack({ a = 1 })");
    expect(() => unpack(packed)).toThrow("0x81");
  });
});
