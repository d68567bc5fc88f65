/** What a command is on the wire: as ioredis writes it itself. */
import * as fc from "fast-check";
import { Command } from "ioredis";
import { expect, test } from "vitest";
import { respOf } from "../../../server/storage/redis/resp.ts";

test("a command is written as ioredis writes it", () => {
  const text = fc.oneof(fc.string({ maxLength: 50 }), fc.string({ unit: "binary", maxLength: 50 }), fc.constant(""));
  const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
  const long = fc.nat(40_000).map((length) => Buffer.alloc(length, "x"));
  const args = fc.array(fc.oneof(text, bytes, { weight: 1, arbitrary: long }), { maxLength: 20 });
  fc.assert(
    fc.property(fc.constantFrom("get", "evalsha", "publish"), args, (name, args) => {
      const theirs = new Command(name, [...args]).toWritable({});
      expect(Buffer.concat(respOf(name, args))).toEqual(Buffer.from(theirs));
    }),
    { numRuns: 300 },
  );
});

test("arguments in pieces stand behind the others; what is large is not copied", () => {
  const small = Buffer.from("small");
  const large = Buffer.alloc(100_000, "x");
  const written = respOf("fcall", ["f", "0"], [[small], [small, large, small], []]);
  const whole = Buffer.concat([small, large, small]);
  const theirs = new Command("fcall", ["f", "0", small, whole, Buffer.alloc(0)]).toWritable({});
  expect(Buffer.concat(written)).toEqual(Buffer.from(theirs));
  expect(written.map((piece) => piece === large)).toEqual([false, true, false]);
  expect(respOf("get", ["a"])).toHaveLength(1);
});
