/** What stands in a token file, and what is said about one that is wrong. */
import { describe, expect, test } from "vitest";
import { parseTokens } from "../../server/access/token-file.ts";
import { hexOf, newToken } from "./rig.ts";

const hash = hexOf(newToken());
const good = `
- name: mailer
  sha256: ${hash}
  rights:
    - queues: ["mail/*", reports]
      verbs: [enqueue, wait]
`;

test("names, hashes, rights", () => {
  const [mailer] = parseTokens(good, "t");
  expect(mailer).toMatchObject({
    name: "mailer",
    rights: [{ queues: ["mail/*", "reports"], verbs: ["enqueue", "wait"] }],
    expires: undefined,
  });
  expect(Buffer.from(mailer?.digests[0] ?? []).toString("hex")).toBe(hash);
});

test("several hashes for a change of tokens, certificates, an end", () => {
  const digits = "1".repeat(64); // YAML takes it for a number
  const [entry] = parseTokens(
    `- {name: a, sha256: [${digits}, "${hash}"], san: "URI:spiffe://corp/a", expires: 2030-01-31T00:00:00Z, rights: {queues: "*", verbs: admin}}`,
    "t",
  );
  expect(entry?.digests.map((each) => Buffer.from(each).toString("hex"))).toEqual([digits, hash]);
  expect(entry).toMatchObject({ certificateNames: ["URI:spiffe://corp/a"], expires: Date.UTC(2030, 0, 31) });
});

test("JSON is YAML; an empty list lets nobody in", () => {
  expect(
    parseTokens(JSON.stringify([{ name: "a", sha256: hash, rights: [{ queues: ["*"], verbs: ["work"] }] }]), "t"),
  ).toHaveLength(1);
  expect(parseTokens("[]", "t")).toEqual([]);
});

test("at most 1,000 hashes", () => {
  const many = (count: number) =>
    JSON.stringify([
      {
        name: "a",
        sha256: Array.from({ length: count }, (_, i) => hexOf(String(i))),
        rights: [{ queues: ["*"], verbs: ["wait"] }],
      },
    ]);
  expect(parseTokens(many(1_000), "t")).toHaveLength(1);
  expect(() => parseTokens(many(1_001), "t")).toThrow("token file t:1: has 1001 hashes, the limit is 1000");
});

describe("one line with file, line and field", () => {
  test.each([
    ["", /^token file t:1: expected a list/],
    ["mailer: 1", /^token file t:1: expected a list/],
    ["- name: a\n  sha256: [\n", /^token file t:\d+: /],
    [good.replace("name: mailer", "nmae: mailer"), /^token file t:2: \[0\]: unknown field "nmae"; known are name, /],
    [good.replace("mailer", '"two\\nlines"'), /^token file t:2: \[0\]\.name: /],
    [good.replace(hash, newToken()), /^token file t:3: \[0\]\.sha256: expected the SHA-256/],
    [good.replace(`sha256: ${hash}`, "sha256:"), /^token file t:3: \[0\]\.sha256: expected a text/],
    [good.replace(`  sha256: ${hash}\n`, ""), /^token file t:2: \[0\] \(mailer\) has neither sha256 nor san/],
    [good.replace("mail/*", "*/mail"), /^token file t:5: \[0\]\.rights\[0\]\.queues\[0\]: "\*\/mail" is no queue name/],
    [
      good.replace("wait]", "wiat]"),
      /^token file t:6: \[0\]\.rights\[0\]\.verbs\[1\]: "wiat" is none of enqueue, wait/,
    ],
    [good.replace("      verbs: [enqueue, wait]\n", ""), /^token file t:5: \[0\]\.rights\[0\]\.verbs is required/],
    [good + good, /^token file t:8: \[1\]\.name: "mailer" is here twice/],
    [good + good.replace("mailer", "other"), /^token file t:8: \[1\]\.sha256: a hash of other is here twice/],
    [`${good}  expires: soon\n`, /^token file t:7: \[0\]\.expires: expected a time/],
  ])("%#", (text, expected) => {
    expect(() => parseTokens(text, "t")).toThrow(expected);
    expect(() => parseTokens(text, "t")).not.toThrow(/\n|qct_/);
  });
});
