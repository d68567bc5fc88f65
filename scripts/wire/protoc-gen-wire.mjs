#!/usr/bin/env node
/**
 * A plugin of buf: straight code that writes and reads the messages of the hot path, and those in them. What it does not
 * do, and runtime.js calls irregular, @bufbuild/protobuf does.
 */
import { readFileSync } from "node:fs";
import { ScalarType } from "@bufbuild/protobuf";
import { createEcmaScriptPlugin, runNodeJs } from "@bufbuild/protoplugin";

/** What a job, its result and the streams that carry them are made of. */
const ROOTS = [
  "ExchangeRequest",
  "ExchangeResponse",
  "WorkRequest",
  "WorkResponse",
  "EnqueueRequest",
  "EnqueueResponse",
  "EnqueueBatchRequest",
  "EnqueueBatchResponse",
  "EnqueueAndWaitRequest",
  "EnqueueAndWaitResponse",
].map((name) => `queuecall.v1.${name}`);

// Not imported where it is used: calls within a file are the cheapest there are.
const runtime = readFileSync(new URL("runtime.js", import.meta.url), "utf8").replaceAll(/^export /gm, "");

const plugin = createEcmaScriptPlugin({
  name: "protoc-gen-wire",
  version: "1",
  generateJs(schema) {
    const messages = closure(ROOTS.map((name) => find(schema, name)));
    const file = schema.generateFile("queuecall/v1/wire.js");
    file.print("// Made by scripts/wire/protoc-gen-wire.mjs from the .proto files. Do not edit.");
    file.print(runtime);
    for (const message of messages) {
      file.print(writer(message));
      file.print(reader(message));
    }
    file.print("/** By the full name of a message. */\nexport const codecs = new Map([");
    for (const message of messages) {
      const name = local(message);
      file.print(
        `  ["${message.typeName}", {
    encode: (message) => encode(write${name}, message, finish),
    encodeInPieces: (message) => encode(write${name}, message, finishInPieces),
    decode: (bytes) => decode(read${name}, bytes),
  }],`,
      );
    }
    file.print("]);");
  },
  generateDts(schema) {
    const file = schema.generateFile("queuecall/v1/wire.d.ts");
    file.print("/** By the full name of a message: undefined where the message or its bytes are not regular. */");
    file.print("export declare const codecs: ReadonlyMap<");
    file.print("  string,");
    file.print("  {");
    file.print("    encode(message: unknown): Uint8Array<ArrayBuffer> | undefined;");
    file.print("    encodeInPieces(message: unknown): Uint8Array[] | undefined;");
    file.print("    decode(bytes: Uint8Array): unknown;");
    file.print("  }");
    file.print(">;");
  },
});

runNodeJs(plugin);

function find(schema, typeName) {
  const found = schema.allFiles.flatMap(({ messages }) => messages).find((message) => message.typeName === typeName);
  if (!found) throw new Error(`no message ${typeName}`);
  return found;
}

/** These, and all in them. */
function closure(roots) {
  const all = new Set(roots);
  for (const message of all) {
    for (const field of message.fields) if (field.message) all.add(field.message);
  }
  return [...all];
}

/** "queuecall.v1.JobFailure.Attempt" → "JobFailureAttempt" */
function local(message) {
  return message.typeName.split(".").slice(2).join("");
}

const kinds = {
  [ScalarType.UINT32]: { put: "putUint32", read: "varint()", zero: "0", wire: 0 },
  [ScalarType.INT32]: { put: "putInt32", read: "int32()", zero: "0", wire: 0 },
  [ScalarType.BOOL]: { put: "putBool", read: "bool()", zero: "false", wire: 0 },
  [ScalarType.UINT64]: { put: "putLong", read: "long()", zero: "0n", wire: 0 },
  [ScalarType.INT64]: { put: "putLong", read: "long()", zero: "0n", wire: 0 },
  [ScalarType.DOUBLE]: { put: "putDouble", read: "double()", zero: "0", wire: 1 },
  [ScalarType.STRING]: { put: "putText", read: "text(end)", zero: '""', wire: 2 },
  [ScalarType.BYTES]: { put: "putBytes", read: "binary(end)", zero: "EMPTY_BYTES", wire: 2 },
};

function kindOf(field) {
  if (field.enum) return kinds[ScalarType.INT32];
  const kind = kinds[field.scalar];
  if (!kind) throw new Error(`${field}: a type that is not done here yet`);
  return kind;
}

/** "LEGACY_REQUIRED" and the like do not come up: all is proto3. */
const optional = (field) => field.proto.proto3Optional === true;
const inOneof = (field) => field.oneof !== undefined && !optional(field);
const tagOf = (field, wire) => (field.number << 3) | wire;
const backwards = (fields) => [...fields].sort((a, b) => b.number - a.number);

// ── writing ──

function writer(message) {
  const lines = backwards(message.fields).map((field) => (inOneof(field) ? oneofCase(field) : put(field)));
  return `function write${local(message)}(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
${lines.join("\n")}
}
`;
}

function oneofCase(field) {
  return `  if (m.${field.oneof.localName}?.case === "${field.localName}") {
    const v = m.${field.oneof.localName}.value;
${nested(field, "v", "    ")}
  }`;
}

function put(field) {
  const { localName } = field;
  const value = `m.${localName}`;
  if (field.fieldKind === "map") return map(field, value);
  if (field.fieldKind === "list") return list(field, value);
  if (field.fieldKind === "message") return `  if (${value} != null) {\n${nested(field, value, "    ")}\n  }`;
  const { put, zero, wire } = kindOf(field);
  const tag = tagOf(field, wire);
  if (optional(field)) {
    if (put === "putBool")
      return `  if (${value} != null) { if (${value} === false) { putVarint(0); putVarint(${tag}); } else putBool(${value}, ${tag}); }`;
    return `  if (${value} != null) ${put}(${value}, ${tag});`;
  }
  const empty = put === "putBytes" ? `${value}.length !== 0` : `${value} !== ${zero}`;
  // −0 is not zero on the wire.
  const differs = put === "putDouble" ? `!Object.is(${value}, 0)` : empty;
  return `  if (${value} != null && ${differs}) ${put}(${value}, ${tag});`;
}

function nested(field, value, indent) {
  return `${indent}const before${field.number} = written();
${indent}write${local(field.message)}(${value});
${indent}putVarint(written() - before${field.number});
${indent}putVarint(${tagOf(field, 2)});`;
}

function list(field, value) {
  const item =
    field.listKind === "message"
      ? nested(field, `${value}[i]`, "      ")
      : `      ${kindOf(field).put}(${value}[i], ${tagOf(field, 2)});`;
  if (field.listKind !== "message" && kindOf(field).wire !== 2) throw new Error(`${field}: packed lists are not done`);
  return `  if (${value} != null) {
    for (let i = ${value}.length - 1; i >= 0; i--) {
${item}
    }
  }`;
}

function map(field, value) {
  if (field.mapKey !== ScalarType.STRING || field.scalar !== ScalarType.STRING)
    throw new Error(`${field}: another map`);
  return `  if (${value} != null) {
    const keys = Object.keys(${value});
    for (let i = keys.length - 1; i >= 0; i--) {
      const before = written();
      putText(${value}[keys[i]], 18);
      putText(keys[i], 10);
      putVarint(written() - before);
      putVarint(${tagOf(field, 2)});
    }
  }`;
}

// ── reading ──

function reader(message) {
  const members = message.members.flatMap(member);
  const cases = message.fields.map(readCase);
  const last = Math.max(0, ...message.fields.map(({ number }) => number));
  return `function read${local(message)}(end) {
  const m = { $typeName: "${message.typeName}"${members.map((each) => `, ${each}`).join("")} };
  while (at < end) {
    const tag = varint();
    switch (tag) {
${cases.join("\n")}
      default:
        skip(tag, end, ${last});
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}
`;
}

/** What is there from the start. */
function member(each) {
  if (each.kind === "oneof") return [`${each.localName}: { case: undefined }`];
  if (each.fieldKind === "list") return [`${each.localName}: []`];
  if (each.fieldKind === "map") return [`${each.localName}: {}`];
  if (each.fieldKind === "message" || optional(each)) return [];
  const { zero } = kindOf(each);
  return [`${each.localName}: ${zero === "EMPTY_BYTES" ? "new Uint8Array(0)" : zero}`];
}

function readCase(field) {
  const { localName } = field;
  const kind = field.fieldKind === "map" || field.message ? undefined : kindOf(field);
  const label = `      case ${tagOf(field, kind?.wire ?? 2)}:`;
  if (field.fieldKind === "map") return `${label}\n        entry(end, m.${localName});\n        break;`;
  const value = kind ? kind.read : `read${local(field.message)}(extent(end))`;
  if (field.fieldKind === "list") return `${label}\n        m.${localName}.push(${value});\n        break;`;
  if (inOneof(field)) {
    const { localName: oneof } = field.oneof;
    return `${label}\n        if (m.${oneof}.case !== undefined) throw IRREGULAR;\n        m.${oneof} = { case: "${localName}", value: ${value} };\n        break;`;
  }
  // Twice means to merge.
  const once = field.message ? `        if (m.${localName} !== undefined) throw IRREGULAR;\n` : "";
  return `${label}\n${once}        m.${localName} = ${value};\n        break;`;
}
