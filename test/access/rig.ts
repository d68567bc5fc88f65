/** A broker with a token file that tests can rewrite. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { digestOf } from "../../server/access/token-gate.ts";
import { type BrokerServer, type BrokerServerOptions, createBroker } from "../../server/index.ts";
import type { Right, Verb } from "../../server/rpc/access.ts";
import { GrpcCaller } from "../support/grpc.ts";

export const newToken = (): string => `qct_${randomBytes(32).toString("base64url")}`;
export const hexOf = (token: string): string => Buffer.from(digestOf(token)).toString("hex");
export const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

/** An entry of the token file, and the token that goes with it. */
export function role(name: string, queues: string | string[], verbs: Verb | Verb[]) {
  const token = newToken();
  const rights: Right[] = [{ queues: [queues].flat(), verbs: [verbs].flat() }];
  return { token, entry: { name, sha256: hexOf(token), rights } };
}

export class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "queuecall-access-"));

  file(name: string): string {
    return join(this.path, name);
  }

  /** As a careful writer does: the file is never half there. */
  write(name: string, content: unknown): string {
    const text = typeof content === "string" ? content : stringify(content);
    writeFileSync(this.file(`${name}.new`), text);
    renameSync(this.file(`${name}.new`), this.file(name));
    return this.file(name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export interface Guarded extends AsyncDisposable {
  folder: Folder;
  broker: BrokerServer;
  caller: GrpcCaller;
  /** What was logged, as one text. */
  log(): string;
}

export async function startGuarded(entries: object[], options: Partial<BrokerServerOptions> = {}): Promise<Guarded> {
  const folder = new Folder();
  const lines: string[] = [];
  const note = (fields: object, message: string) => void lines.push(`${message} ${JSON.stringify(fields)}`);
  const broker = await createBroker({
    storage: "memory:",
    grpc: "127.0.0.1:0",
    tokens: folder.write("tokens.yaml", entries),
    logger: { debug: note, info: note, warn: note, error: note },
    ...options,
  });
  const caller = new GrpcCaller(broker.grpcAddress);
  return {
    folder,
    broker,
    caller,
    log: () => lines.join("\n"),
    async [Symbol.asyncDispose]() {
      caller.close();
      await broker.close();
      folder[Symbol.dispose]();
    },
  };
}
