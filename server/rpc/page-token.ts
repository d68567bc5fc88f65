/**
 * Where a list goes on, as callers carry it: opaque, and of use only for the list that it came from. It starts with a
 * digest of the rest, so that what was cut, mixed up or made up is refused before a storage sees it.
 */
import { createHash } from "node:crypto";
import { invalidField } from "../../protocol/errors.ts";

const DIGEST_BYTES = 6;

/** @param list what is listed: tokens of another list are refused · `cursor` undefined at the end, which is the empty token */
export function pageToken(list: readonly string[], cursor: string | undefined): string {
  if (cursor === undefined) return "";
  return Buffer.concat([digestOf(list, cursor), Buffer.from(cursor, "utf8")]).toString("base64url");
}

/** The cursor; undefined for the first page. */
export function cursorOf(list: readonly string[], token: string): string | undefined {
  if (token === "") return undefined;
  const bytes = Buffer.from(token, "base64url");
  const cursor = bytes.toString("utf8", DIGEST_BYTES);
  if (!bytes.subarray(0, DIGEST_BYTES).equals(digestOf(list, cursor))) {
    const remedy =
      "send the next_page_token of the page before with the same queue and state, or nothing for the first";
    throw invalidField("page_token", `is not from this list: ${remedy}`);
  }
  return cursor;
}

function digestOf(list: readonly string[], cursor: string): Buffer {
  return createHash("sha256")
    .update(JSON.stringify([...list, cursor]))
    .digest()
    .subarray(0, DIGEST_BYTES);
}
