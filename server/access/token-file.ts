/**
 * The file of tokens: a YAML list of who may do what. docs/security.md shows one.
 * What is wrong with it is one line that names file, line and field.
 */
import { isMap, isScalar, isSeq, LineCounter, type Node, type ParsedNode, parseDocument } from "yaml";
import { QUEUE_PATTERN } from "../../protocol/limits.ts";
import { type Right, type Verb, verbs } from "../rpc/access.ts";
import { AccessRefused } from "./refused.ts";
import type { Entry } from "./token-gate.ts";

/** Every call is compared with every hash; a thousand cost it less than 0.1 ms. */
const MAX_HASHES = 1_000;

/** @throws AccessRefused one line: file, line, field, what is expected */
export function parseTokens(text: string, file: string): Entry[] {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const [error] = document.errors;
  const fail: Fail = (node, message) => {
    const line = node?.range ? lines.linePos(node.range[0]).line : 1;
    throw new AccessRefused(`token file ${file}:${line}: ${message}`);
  };
  if (error) {
    const [{ line }] = error.linePos ?? [{ line: 1 }];
    throw new AccessRefused(`token file ${file}:${line}: ${error.message.split("\n")[0]?.replace(/ at line.*$/, "")}`);
  }
  const root = document.contents;
  // Half a file must not lock everybody out: to let nobody in is written "[]".
  if (!isSeq(root)) fail(root, 'expected a list of "- name: …" ([] lets nobody in)');
  const entries = itemsOf(root).map((item, index) => entryFrom(item as Node, `[${index}]`, fail));
  const names = new Set<string>();
  const digests = new Set<string>();
  for (const [index, { name, digests: own }] of entries.entries()) {
    const item = itemsOf(root)[index] as Node;
    if (names.has(name)) fail(item, `[${index}].name: "${name}" is here twice`);
    names.add(name);
    for (const digest of own.map((each) => Buffer.from(each).toString("hex"))) {
      if (digests.has(digest)) fail(item, `[${index}].sha256: a hash of ${name} is here twice`);
      digests.add(digest);
    }
  }
  if (digests.size > MAX_HASHES) fail(root, `has ${digests.size} hashes, the limit is ${MAX_HASHES}`);
  return entries;
}

type Fail = (node: Node | null | undefined, message: string) => never;

const entryFields = ["name", "sha256", "san", "expires", "rights"];

function entryFrom(node: Node, at: string, fail: Fail): Entry {
  const fields = fieldsOf(node, at, entryFields, fail);
  const name = textOf(fields.name ?? fail(node, `${at}.name is required`), `${at}.name`, fail);
  if (!/^[\w.@/ -]{1,64}$/.test(name))
    fail(fields.name, `${at}.name: expected 1 to 64 of A-Z a-z 0-9 _ . @ / - and space`);
  const digests = listOf(fields.sha256, `${at}.sha256`, fail).map(([each, where]) => {
    const text = textOf(each, where, fail);
    // The text is not shown: it may be a token that was put into the wrong place.
    if (!/^[\da-f]{64}$/i.test(text)) fail(each, `${where}: expected the SHA-256 of a token, 64 hex digits`);
    return Buffer.from(text, "hex");
  });
  const certificateNames = listOf(fields.san, `${at}.san`, fail).map(([each, where]) => {
    const text = textOf(each, where, fail);
    if (!/^(DNS|URI|email|IP Address):\S+$/.test(text))
      fail(each, `${where}: expected DNS:NAME, URI:URI, email:ADDRESS or "IP Address:ADDRESS"`);
    return text;
  });
  if (digests.length + certificateNames.length === 0) fail(node, `${at} (${name}) has neither sha256 nor san`);
  const rights = listOf(fields.rights ?? fail(node, `${at}.rights is required`), `${at}.rights`, fail);
  return {
    name,
    digests,
    certificateNames,
    expires: fields.expires && timeOf(fields.expires, `${at}.expires`, fail),
    rights: rights.map(([each, where]) => rightFrom(each, where, fail)),
  };
}

function rightFrom(node: Node, at: string, fail: Fail): Right {
  const fields = fieldsOf(node, at, ["queues", "verbs"], fail);
  const queues = listOf(fields.queues ?? fail(node, `${at}.queues is required`), `${at}.queues`, fail);
  const allowed = listOf(fields.verbs ?? fail(node, `${at}.verbs is required`), `${at}.verbs`, fail);
  return {
    queues: queues.map(([each, where]) => {
      const text = textOf(each, where, fail);
      const name = text.replace(/\*$/, "");
      if (name !== "" && QUEUE_PATTERN.test(name)) return text;
      return text === "*" ? text : fail(each, `${where}: "${text}" is no queue name; * may stand at its end`);
    }),
    verbs: allowed.map(([each, where]) => {
      const text = textOf(each, where, fail);
      const verb = verbs.find((known) => known === text);
      return verb ?? (fail(each, `${where}: "${text}" is none of ${verbs.join(", ")}`) as Verb);
    }),
  };
}

function timeOf(node: Node, at: string, fail: Fail): number {
  const time = Date.parse(textOf(node, at, fail));
  return Number.isNaN(time) ? fail(node, `${at}: expected a time such as 2030-01-31T00:00:00Z`) : time;
}

function fieldsOf(node: Node, at: string, known: string[], fail: Fail): Record<string, Node | undefined> {
  if (!isMap(node)) return fail(node, `${at}: expected ${known.join(", ")}`);
  return Object.fromEntries(
    node.items.map(({ key, value }) => {
      const name = String(isScalar(key) ? key.value : "");
      if (!known.includes(name)) fail(key as Node, `${at}: unknown field "${name}"; known are ${known.join(", ")}`);
      return [name, (value as Node | null) ?? (fail(key as Node, `${at}.${name} is empty`) as Node)];
    }),
  );
}

/** A list, or one thing in place of a list of one; nothing where the field is absent. */
function listOf(node: Node | undefined, at: string, fail: Fail): [Node, string][] {
  if (node === undefined) return [];
  if (!isSeq(node)) return [[node, at]];
  if (node.items.length === 0) fail(node, `${at} is empty`);
  return itemsOf(node).map((item, index) => [item, `${at}[${index}]`]);
}

function itemsOf(node: unknown): Node[] {
  return isSeq<ParsedNode>(node) ? node.items : [];
}

function textOf(node: Node, at: string, fail: Fail): string {
  if (!isScalar(node) || node.value === null) return fail(node, `${at}: expected a text`);
  // As it was written: YAML takes 64 digits for a number.
  return node.source ?? String(node.value);
}
