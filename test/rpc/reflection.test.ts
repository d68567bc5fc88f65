/** grpc.reflection: what is asked for is there, with all that it imports, in files of their own names. */
import { create, createFileRegistry, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import {
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
  ServerReflectionResponseSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { type BrokerServer, createBroker } from "../../server/index.ts";
import { GrpcCaller } from "../support/grpc.ts";
import { announced, SERVICE, start as startRig, Thumbnailer } from "../transparent/rig.ts";

let broker: BrokerServer;
let caller: GrpcCaller;
beforeAll(async () => {
  broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0" });
  caller = new GrpcCaller(broker.grpcAddress);
});
afterAll(async () => {
  caller.close();
  await broker.close();
});

type Question = ServerReflectionRequest["messageRequest"];

/** A stream of one question. */
async function ask(messageRequest: Question, version = "v1", by = caller) {
  const bytes = toBinary(ServerReflectionRequestSchema, create(ServerReflectionRequestSchema, { messageRequest }));
  const answer = await by.raw(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`, bytes);
  return fromBinary(ServerReflectionResponseSchema, answer).messageResponse;
}

async function files(messageRequest: Question, by = caller): Promise<FileDescriptorProto[]> {
  const { case: kind, value } = await ask(messageRequest, "v1", by);
  if (kind !== "fileDescriptorResponse") throw new Error(`${kind}`);
  return value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
}

test.each(["v1", "v1alpha"])("%s lists every service", async (version) => {
  const { value } = await ask({ case: "listServices", value: "" }, version);
  expect(value).toMatchObject({
    service: [
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
      "queuecall.v1.AdminService",
      "queuecall.v1.BrokerService",
      "queuecall.v1.MultiplexService",
      "queuecall.v1.WorkerService",
    ].map((name) => ({ name })),
  });
});

test.each([
  ["queuecall.v1.BrokerService", "queuecall/v1/broker.proto"],
  ["queuecall.v1.WorkerService.Work", "queuecall/v1/worker.proto"],
  ["queuecall.v1.JobFailure.Kind", "queuecall/v1/job.proto"],
  ["queuecall.v1.JobSpec.job_id", "queuecall/v1/job.proto"],
  ["google.rpc.Status", "google/rpc/status.proto"],
  ["grpc.health.v1.Health", "grpc/health/v1/health.proto"],
])("%s is in %s, which loads with what comes along", async (symbol, name) => {
  const found = await files({ case: "fileContainingSymbol", value: symbol });
  expect(found.at(-1)?.name).toBe(name);
  expect(createFileRegistry(create(FileDescriptorSetSchema, { file: found })).getFile(name)).toBeDefined();
  expect((await files({ case: "fileByFilename", value: name })).map((file) => file.name)).toEqual(
    found.map((file) => file.name),
  );
});

test("what is not there is NOT_FOUND, and the stream goes on", async () => {
  const notFound = { case: "errorResponse", value: { errorCode: 5 } };
  expect(await ask({ case: "fileContainingSymbol", value: "acme.v1.Nothing" })).toMatchObject(notFound);
  expect(await ask({ case: "fileByFilename", value: "acme.proto" })).toMatchObject(notFound);
  expect(await ask({ case: "allExtensionNumbersOfType", value: "acme.v1.Nothing" })).toMatchObject(notFound);
  expect(await ask({ case: "allExtensionNumbersOfType", value: "queuecall.v1.Job" })).toMatchObject({
    case: "allExtensionNumbersResponse",
    value: { baseTypeName: "queuecall.v1.Job", extensionNumber: [] },
  });
  expect(await ask({ case: undefined })).toMatchObject({ case: "errorResponse", value: { errorCode: 3 } });
});

test("malformed bytes are the caller's mistake", async () => {
  const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  expect(await caller.refused(caller.raw(path, Buffer.from([0xff])))).toMatchObject({
    code: 3,
    reason: "INVALID_FIELD",
  });
});

test("a service that a worker announced with descriptors is there like the broker's own, and its symbols", async () => {
  await using rig = await startRig();
  rig.work((worker) => worker.service(Thumbnailer, { render: () => ({}) }));
  await announced(rig.stub);
  const other = new GrpcCaller(rig.broker.grpcAddress);
  onTestFinished(() => other.close());
  const { value } = await ask({ case: "listServices", value: "" }, "v1", other);
  expect(value).toMatchObject({ service: expect.arrayContaining([expect.objectContaining({ name: SERVICE })]) });
  for (const symbol of [SERVICE, `${SERVICE}.Render`, "acme.v1.RenderRequest", "acme.v1.RenderRequest.url"]) {
    const found = await files({ case: "fileContainingSymbol", value: symbol }, other);
    expect(found.map(({ name }) => name)).toEqual(["acme/v1/thumbnailer.proto"]);
  }
});
