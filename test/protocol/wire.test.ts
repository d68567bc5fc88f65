/** The generated code says what the library says, or leaves it to the library. */
import { create, type DescField, type DescMessage, fromBinary, ScalarType, toBinary } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as broker from "../../gen/queuecall/v1/broker_pb.js";
import * as multiplex from "../../gen/queuecall/v1/multiplex_pb.js";
import { codecs } from "../../gen/queuecall/v1/wire.js";
import * as worker from "../../gen/queuecall/v1/worker_pb.js";
import { decode, encode, encodeInPieces } from "../../protocol/wire.ts";

const roots: DescMessage[] = [
  multiplex.ExchangeRequestSchema,
  multiplex.ExchangeResponseSchema,
  worker.WorkRequestSchema,
  worker.WorkResponseSchema,
  broker.EnqueueRequestSchema,
  broker.EnqueueResponseSchema,
  broker.EnqueueBatchRequestSchema,
  broker.EnqueueBatchResponseSchema,
  broker.EnqueueAndWaitRequestSchema,
  broker.EnqueueAndWaitResponseSchema,
];

const text = fc.oneof(
  { weight: 40, arbitrary: fc.string({ unit: "binary-ascii", maxLength: 80 }) },
  { weight: 10, arbitrary: fc.string({ unit: "grapheme", maxLength: 70 }) },
  { weight: 1, arbitrary: fc.constant("__proto__") },
);

/** Mostly what is usual, so that whole messages are regular often enough. */
function mostly(usual: fc.Arbitrary<unknown>, any: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 40, arbitrary: usual }, { weight: 1, arbitrary: any });
}

const scalars: Partial<Record<ScalarType, fc.Arbitrary<unknown>>> = {
  [ScalarType.UINT32]: fc.oneof(fc.nat(300), fc.nat(), fc.integer({ min: 0, max: 0xffffffff })),
  [ScalarType.INT32]: mostly(fc.oneof(fc.nat(300), fc.nat()), fc.integer()),
  [ScalarType.BOOL]: fc.boolean(),
  [ScalarType.UINT64]: mostly(fc.bigInt(0n, 1n << 53n), fc.bigInt(0n, (1n << 64n) - 1n)),
  [ScalarType.INT64]: mostly(fc.bigInt(0n, 1n << 53n), fc.bigInt(-(1n << 63n), (1n << 63n) - 1n)),
  [ScalarType.DOUBLE]: fc.double(),
  [ScalarType.STRING]: text,
  [ScalarType.BYTES]: fc.uint8Array({ maxLength: 300 }),
};

/** What `create` takes: any field may be there, or not. */
function initOf(desc: DescMessage): fc.Arbitrary<object> {
  const members = desc.members.map((member) => {
    const value =
      member.kind === "oneof"
        ? fc.oneof(...member.fields.map((field) => fc.record({ case: fc.constant(field.localName), value: of(field) })))
        : of(member);
    return [member.localName, value] as const;
  });
  return fc.record(Object.fromEntries(members), { requiredKeys: [] });
}

function of(field: DescField): fc.Arbitrary<unknown> {
  if (field.fieldKind === "map") return fc.dictionary(text, text, { maxKeys: 4 });
  if (field.fieldKind === "list") return fc.array(single(field), { maxLength: 3 });
  return single(field);
}

function single(field: DescField): fc.Arbitrary<unknown> {
  if (field.message) return initOf(field.message);
  if (field.enum) return mostly(fc.nat(8), fc.integer());
  return scalars[field.scalar as ScalarType] as fc.Arbitrary<unknown>;
}

describe.each(roots)("$typeName", (schema) => {
  test("is written as the library writes it, and read as it reads it", () => {
    let generated = 0;
    fc.assert(
      fc.property(initOf(schema), (init) => {
        const message = create(schema, init as never);
        const bytes = toBinary(schema, message);
        expect(Buffer.from(encode(schema, init as never))).toEqual(Buffer.from(bytes));
        expect(Buffer.concat(encodeInPieces(schema, init as never))).toEqual(Buffer.from(bytes));
        expect(decode(schema, bytes)).toEqual(fromBinary(schema, bytes));
        if (codecs.get(schema.typeName)?.decode(bytes) && codecs.get(schema.typeName)?.encode(message)) generated++;
      }),
      { numRuns: 100 },
    );
    // Else all that was shown is that the library agrees with itself.
    expect(generated).toBeGreaterThan(20);
  });

  test("bytes that somebody else made, or nobody, mean what they mean to the library", () => {
    const bytesOf = initOf(schema).map((init) => toBinary(schema, create(schema, init as never)));
    const edit = fc.record({ at: fc.nat(1_000), byte: fc.nat(255), cut: fc.boolean() });
    fc.assert(
      fc.property(bytesOf, fc.array(edit, { minLength: 1, maxLength: 3 }), bytesOf, (one, edits, other) => {
        // Two of the same kind behind each other are one, merged.
        const bytes = Buffer.concat([one, other]);
        for (const { at, byte } of edits) bytes[at % Math.max(1, bytes.length)] = byte;
        const cut = edits[0]?.cut ? bytes.subarray(0, (edits[0]?.at ?? 0) % (bytes.length + 1)) : bytes;
        expect(outcome(() => decode(schema, cut))).toEqual(
          outcome(() => fromBinary(schema, cut, { readUnknownFields: false })),
        );
      }),
      { numRuns: 200 },
    );
  });
});

test("what is no message is refused in the library's words", () => {
  const wrong = { spec: { queue: "q", maxAttempts: 1.5 } };
  expect(() => encode(broker.EnqueueRequestSchema, wrong)).toThrow(/invalid u?int32: 1\.5/);
  expect(encode(broker.EnqueueRequestSchema, { spec: { queue: "after" } })).toEqual(
    toBinary(broker.EnqueueRequestSchema, create(broker.EnqueueRequestSchema, { spec: { queue: "after" } })),
  );
});

test("a message of megabytes is written whole, and the next small one too", () => {
  const data = new Uint8Array(3 * 1024 * 1024).fill(7);
  for (const payload of [data, new Uint8Array([1])]) {
    const init = { spec: { queue: "q", payload: { data: payload } } };
    const back = decode(broker.EnqueueRequestSchema, encode(broker.EnqueueRequestSchema, init));
    expect(back.spec?.payload?.data.length).toBe(payload.length);
  }
});

test("large bytes are written between small ones, and in pieces without a copy", () => {
  const large = new Uint8Array(100_000).fill(7);
  const message = (...sizes: number[]) => ({
    items: sizes.map((size) => ({
      spec: { queue: "q", jobId: `of ${size}`, payload: { data: large.subarray(0, size) } },
    })),
  });
  for (const sizes of [[0], [1, 4_095, 4_096], [100_000], [70_000, 3, 100_000, 0, 30_000, 4_000]]) {
    const whole = Buffer.from(
      toBinary(broker.EnqueueBatchRequestSchema, create(broker.EnqueueBatchRequestSchema, message(...sizes))),
    );
    expect(whole.equals(encode(broker.EnqueueBatchRequestSchema, message(...sizes)))).toBe(true);
    const pieces = encodeInPieces(broker.EnqueueBatchRequestSchema, message(...sizes));
    expect(whole.equals(Buffer.concat(pieces))).toBe(true);
    expect(pieces.filter(({ buffer }) => buffer === large.buffer).length).toBe(
      sizes.filter((size) => size >= 4_096).length,
    );
  }
  // What was gathered before a mistake is not in the next message.
  const wrong = [...message(100_000).items, { spec: { maxAttempts: 1.5 } }, ...message(100_000).items];
  expect(() => encode(broker.EnqueueBatchRequestSchema, { items: wrong })).toThrow(/1\.5/);
  expect(encode(broker.EnqueueBatchRequestSchema, {})).toHaveLength(0);
});

function outcome(read: () => unknown): unknown {
  try {
    return read();
  } catch {
    return "refused";
  }
}
