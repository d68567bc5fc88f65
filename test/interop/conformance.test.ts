/** A broker behaves as the gRPC specifications say, as seen by the gRPC libraries of three languages. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BrokerServer, createBroker } from "../../server/index.ts";
import { createWorker } from "../../worker/index.ts";
import { checksOf } from "./grpc-js.ts";
import { absent, type Language, languages, start } from "./rig.ts";

let broker: BrokerServer;
/** Tells every connection to go after a second. */
let ageing: BrokerServer;
let stopWorker: () => Promise<void>;
beforeAll(async () => {
  broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0" });
  ageing = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0", settings: { maxConnectionAgeMs: 1_000 } });
  const worker = createWorker({ url: `http://${broker.grpcAddress}`, concurrency: 50 }).handle<Uint8Array, Uint8Array>(
    "echo",
    (data) => data,
  );
  const running = worker.run();
  stopWorker = async () => {
    await worker.close();
    await running;
  };
});
afterAll(async () => {
  await stopWorker();
  await Promise.all([broker.close(), ageing.close()]);
});

const serving = { "": "SERVING", "queuecall.v1.BrokerService": "SERVING" };
const reflected = { listed: true, found: true, unknown: 5 };
const domain = "queuecall";

/** What is to be seen, whoever looks; `id` begins the ids of a library's jobs. */
const expected = (id: string): Record<string, unknown> => ({
  health: { ...serving, "nobody.Knows": "NOT_FOUND" },
  "health-watch": { ...serving, "nobody.Knows": "SERVICE_UNKNOWN" },
  reflection: { v1: reflected, v1alpha: reflected },
  // The broker's own answer, with its details, before the client's timer.
  deadline: {
    late: { code: "DEADLINE_EXCEEDED", reason: "WAIT_TIMEOUT", domain, job: `${id}-deadline` },
    short: "DEADLINE_EXCEEDED",
  },
  cancellation: { code: "CANCELLED", job: "JOB_STATE_QUEUED" },
  metadata: { code: "NOT_FOUND", reason: "JOB_NOT_FOUND", job_id: "ein M%C3%A4rchen", binary: true },
  large: { same: true, code: "OK", too_large: "RESOURCE_EXHAUSTED", after: "OK" },
  // docs/decisions/0016. What the specification has for an encoding that a server does not take.
  compression: { gzip: "UNIMPLEMENTED", other: "UNIMPLEMENTED", after: "OK" },
  details: { code: "INVALID_ARGUMENT", reason: "INVALID_FIELD", domain, field: "spec.queue" },
  unimplemented: { "/queuecall.v1.BrokerService/Nothing": "UNIMPLEMENTED", "/nobody.Knows/Nothing": "UNIMPLEMENTED" },
  // Many pings, and the connection still carries the answer.
  keepalive: "WAIT_TIMEOUT",
  // Proposal A9: what is under way is answered on the old connection, what comes goes over a new one, nothing fails.
  "connection-age": { held: "WAIT_TIMEOUT", failed: 0, moved: true },
  watch: { state: "JOB_STATE_SUCCEEDED", ends: true },
  many: 500,
});

const libraries: Record<Language, { name: string; id: string }> = {
  Python: { name: "grpcio", id: "py" },
  Go: { name: "grpc-go", id: "go" },
};
const clients = [
  { name: "grpc-js", id: "js", look: () => checksOf(broker.grpcAddress, ageing.grpcAddress) },
  ...languages.map((language) => ({ ...libraries[language], look: () => checksIn(language) })),
];

/** Runs a language's checks. */
async function checksIn(language: Language): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await start(language, "conformance", [broker.grpcAddress, ageing.grpcAddress]).ended;
  if (code !== 0) throw new Error(`the checks in ${language} ended with ${code}: ${stderr}${stdout}`);
  const lines = stdout.trim().split("\n");
  return Object.fromEntries(lines.map((line) => JSON.parse(line)).map(({ check, saw }) => [check, saw]));
}

test.skip.for(absent)("%s: %s", () => {});

describe.for(clients)("$name sees", ({ id, look }) => {
  let saw: Record<string, unknown>;
  beforeAll(async () => {
    saw = await look();
  });

  test.for(Object.entries(expected(id)))("%s", ([check, answer]) => {
    expect(saw[check]).toEqual(answer);
  });

  test("nothing else", () => {
    expect(Object.keys(saw).sort()).toEqual(Object.keys(expected(id)).sort());
  });
});
