import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, expectTypeOf, it } from "vitest";
import { type Backoff, BackoffSchema, type Progress, ProgressSchema } from "../../gen/queuecall/v1/job_pb.js";
import { messageCodec, PayloadError, plainCodec } from "../../protocol/codec.ts";
import { defineQueue } from "../../protocol/define-queue.ts";

const plain = plainCodec<unknown>();
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

describe("plain payloads", () => {
  it.each([null, 0, -1.5, "", "ü 😀", true, [], {}, { a: [1, { b: null }] }])("carries %j as JSON", (value) => {
    const payload = plain.encode(value);
    expect(payload.contentType).toBe("application/json");
    expect(text(payload.data)).toBe(JSON.stringify(value));
    expect(plain.decode(payload)).toEqual(value);
  });

  it("carries undefined as zero bytes without a type", () => {
    expect(plain.encode(undefined)).toEqual({ data: new Uint8Array(0), contentType: "", messageType: "" });
    expect(plain.decode(plain.encode(undefined))).toBeUndefined();
    expect(plain.decode(undefined)).toBeUndefined();
  });

  it.each([new Uint8Array([0, 255, 10]), Buffer.from([1, 2]), new Uint8Array(0)])("carries bytes as bytes", (value) => {
    const payload = plain.encode(value);
    expect(payload).toMatchObject({ contentType: "application/octet-stream", messageType: "" });
    // Never a Buffer, whatever the transport works with.
    expect(plain.decode(payload)).toEqual(new Uint8Array(value));
  });

  it("reads other spellings of JSON", () => {
    for (const contentType of ["application/json; charset=utf-8", "Application/JSON", "application/problem+json"])
      expect(plain.decode({ data: bytes("[1]"), contentType, messageType: "" })).toEqual([1]);
  });

  it("leaves bytes of an unknown type alone", () => {
    expect(plain.decode({ data: bytes("x"), contentType: "text/plain", messageType: "" })).toEqual(bytes("x"));
    expect(plain.decode({ data: bytes("x"), contentType: "", messageType: "" })).toEqual(bytes("x"));
  });

  it("names what JSON cannot carry", () => {
    const circular: { self?: unknown } = {};
    circular.self = circular;
    expect(() => plain.encode({ n: 1n })).toThrow(new TypeError(`${cannot} it contains a BigInt; send it as a string`));
    expect(() => plain.encode(circular)).toThrow(new TypeError(`${cannot} it refers to itself`));
    expect(() => plain.encode(() => 1)).toThrow(new TypeError(`${cannot} it is a function`));
    expect(() => plain.encode(Symbol("s"))).toThrow(TypeError);
  });

  it("does not quote what it cannot read", () => {
    const read = () => plain.decode({ data: bytes("secret"), contentType: "application/json", messageType: "" });
    expect(read).toThrow(new PayloadError("the payload cannot be read as JSON (6 bytes)"));
    const latin1 = { data: new Uint8Array([0x22, 0xe9, 0x22]), contentType: "application/json", messageType: "" };
    expect(() => plain.decode(latin1)).toThrow(PayloadError);
  });
});

describe("protobuf payloads", () => {
  const codec = messageCodec(ProgressSchema);

  it("carries an initialiser as the message's binary form", () => {
    const payload = codec.encode({ current: 3, message: "m" });
    expect(payload).toEqual({
      data: toBinary(ProgressSchema, create(ProgressSchema, { current: 3, message: "m" })),
      contentType: "application/protobuf",
      messageType: "queuecall.v1.Progress",
    });
    expect(codec.decode(payload)).toEqual(create(ProgressSchema, { current: 3, message: "m" }));
  });

  it("reads zero bytes as the empty message", () => {
    expect(codec.decode(undefined)).toEqual(create(ProgressSchema));
  });

  it("reads protobuf JSON, unknown fields left out", () => {
    const data = bytes('{"current":2,"later":true}');
    expect(codec.decode({ data, contentType: "application/json", messageType: "" }).current).toBe(2);
  });

  it("refuses another message and another content type", () => {
    const other = messageCodec(BackoffSchema).encode({ multiplier: 2 });
    expect(() => codec.decode(other)).toThrow("the payload is a queuecall.v1.Backoff, not a queuecall.v1.Progress");
    expect(() => codec.decode({ data: bytes("x"), contentType: "text/plain", messageType: "" })).toThrow(PayloadError);
    expect(() => codec.decode({ data: bytes("x"), contentType: "", messageType: "" })).toThrow(PayloadError);
  });
});

describe("defineQueue", () => {
  it("keeps the name and the types of both ends", () => {
    const fetches = defineQueue<{ url: string }, { status: number }>("fetch");
    expect(fetches.name).toBe("fetch");
    expectTypeOf(fetches.request.encode).parameter(0).toEqualTypeOf<{ url: string }>();
    expectTypeOf(fetches.response.decode).returns.toEqualTypeOf<{ status: number }>();

    const typed = defineQueue("typed", { request: ProgressSchema, response: BackoffSchema });
    expectTypeOf(typed.request.decode).returns.toEqualTypeOf<Progress>();
    expectTypeOf(typed.response.decode).returns.toEqualTypeOf<Backoff>();
    expectTypeOf(typed.request.encode).parameter(0).toExtend<Progress | { current?: number }>();
    expect(typed.response.encode({ multiplier: 3 }).messageType).toBe("queuecall.v1.Backoff");
  });
});

const cannot = "the value cannot be sent as JSON:";
