import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ProgressSchema } from "../../gen/queuecall/v1/job_pb.js";
import { canonicalJson, contentId } from "../../protocol/content-id.ts";

const sha256 = (data: string | Uint8Array) => createHash("sha256").update(data).digest("hex");

/** RFC 8785, appendix B: IEEE 754 bits and their text. */
const numbers: [string, string][] = [
  ["0000000000000000", "0"],
  ["8000000000000000", "0"],
  ["0000000000000001", "5e-324"],
  ["8000000000000001", "-5e-324"],
  ["7fefffffffffffff", "1.7976931348623157e+308"],
  ["ffefffffffffffff", "-1.7976931348623157e+308"],
  ["4340000000000000", "9007199254740992"],
  ["c340000000000000", "-9007199254740992"],
  ["4430000000000000", "295147905179352830000"],
  ["44b52d02c7e14af5", "9.999999999999997e+22"],
  ["44b52d02c7e14af6", "1e+23"],
  ["44b52d02c7e14af7", "1.0000000000000001e+23"],
  ["444b1ae4d6e2ef4e", "999999999999999700000"],
  ["444b1ae4d6e2ef4f", "999999999999999900000"],
  ["444b1ae4d6e2ef50", "1e+21"],
  ["3eb0c6f7a0b5ed8c", "9.999999999999997e-7"],
  ["3eb0c6f7a0b5ed8d", "0.000001"],
  ["41b3de4355555553", "333333333.3333332"],
  ["41b3de4355555554", "333333333.33333325"],
  ["41b3de4355555555", "333333333.3333333"],
  ["41b3de4355555556", "333333333.3333334"],
  ["41b3de4355555557", "333333333.33333343"],
  ["becbf647612f3696", "-0.0000033333333333333333"],
  ["43143ff3c1cb0959", "1424953923781206.2"],
];

describe("canonical JSON", () => {
  it("is the example of RFC 8785, section 3.2.2", () => {
    const value = {
      numbers: [JSON.parse("333333333.33333329"), 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
      string: "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"/",
      literals: [null, true, false],
    };
    expect(canonicalJson(value)).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    );
  });

  it("orders keys by UTF-16 code units, as in section 3.2.3", () => {
    const value = {
      "\u20ac": "Euro Sign",
      "\r": "Carriage Return",
      "\ufb33": "Hebrew Letter Dalet With Dagesh",
      "1": "One",
      "\ud83d\ude00": "Emoji: Grinning Face",
      "\u0080": "Control",
      "\u00f6": "Latin Small Letter O With Diaeresis",
    };
    expect(Object.values(JSON.parse(canonicalJson(value)))).toHaveLength(7);
    expect([...canonicalJson(value).matchAll(/:"(.*?)"/g)].map(([, name]) => name)).toEqual([
      "Carriage Return",
      "One",
      "Control",
      "Latin Small Letter O With Diaeresis",
      "Euro Sign",
      "Emoji: Grinning Face",
      "Hebrew Letter Dalet With Dagesh",
    ]);
  });

  it.each(numbers)("writes the number of bits %s as %s", (bits, text) => {
    expect(canonicalJson(Buffer.from(bits, "hex").readDoubleBE())).toBe(text);
  });

  it("takes values as JSON.stringify does", () => {
    const value = { b: undefined, a: new Date(0), c: [undefined, () => 1], d: new Number(3), e: { toJSON: () => "e" } };
    expect(canonicalJson(value)).toBe('{"a":"1970-01-01T00:00:00.000Z","c":[null,null],"d":3,"e":"e"}');
    const shared = { x: 1 };
    expect(canonicalJson([shared, shared])).toBe('[{"x":1},{"x":1}]');
  });

  it("keeps a key named __proto__", () => {
    expect(canonicalJson(JSON.parse('{"z":1,"__proto__":2}'))).toBe('{"__proto__":2,"z":1}');
  });

  it("is the same for the same value, whatever the order of its keys", () => {
    const reversed = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(reversed);
      if (typeof value !== "object" || value === null) return value;
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([key, each]) => [key, reversed(each)]),
      );
    };
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: "binary" }), (value) => {
        fc.pre(!JSON.stringify(value).includes("__proto__"));
        expect(canonicalJson(reversed(value))).toBe(canonicalJson(value));
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it("refuses what JSON cannot say", () => {
    const circular: unknown[] = [];
    circular.push({ circular });
    for (const value of [
      Number.NaN,
      [Number.POSITIVE_INFINITY],
      undefined,
      () => 1,
      Symbol("s"),
      1n,
      { n: 1n },
      circular,
    ]) {
      expect(() => canonicalJson(value)).toThrow(TypeError);
    }
    expect(() => canonicalJson({ a: { size: Number.NaN } })).toThrow('no canonical JSON: at "size", NaN');
    expect(() => canonicalJson("\ud800")).toThrow("lone surrogate");
    expect(() => canonicalJson({ "\udfff": 1 })).toThrow("lone surrogate");
  });
});

describe("contentId", () => {
  it("is the hash of the canonical JSON", () => {
    expect(contentId({ b: 1, a: "ü" })).toBe(sha256('{"a":"ü","b":1}'));
    expect(contentId({ b: 1, a: 2 })).toBe(contentId({ a: 2, b: 1 }));
    expect(contentId(null)).toBe(sha256("null"));
  });

  it("is the hash of bytes as they are", () => {
    expect(contentId(new Uint8Array([1, 2]))).toBe(sha256(new Uint8Array([1, 2])));
  });

  it("is the hash of a message's binary form", () => {
    const message = create(ProgressSchema, { current: 1, message: "m" });
    expect(contentId(ProgressSchema, { current: 1, message: "m" })).toBe(sha256(toBinary(ProgressSchema, message)));
    expect(contentId(ProgressSchema, message)).toBe(contentId(ProgressSchema, { current: 1, message: "m" }));
    expect(() => contentId(message)).toThrow("contentId of a queuecall.v1.Progress needs its schema");
  });
});
