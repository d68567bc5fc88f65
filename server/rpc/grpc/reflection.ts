/** grpc.reflection.v1 and v1alpha, for grpcurl and `buf curl`: served by @grpc/reflection from the generated descriptors, so that no .proto file is read at run time. */
import { create, type DescFile, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import type { Server } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer, loadSync, type PackageDefinition } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { protoPath as healthProtoPath } from "grpc-health-check";
import { file_queuecall_v1_broker } from "../../../gen/queuecall/v1/broker_pb.js";
import { file_queuecall_v1_worker } from "../../../gen/queuecall/v1/worker_pb.js";

export function addReflection(server: Server): void {
  new ReflectionService(packageOf([file_queuecall_v1_broker, file_queuecall_v1_worker])).addToServer(server);
}

function packageOf(files: DescFile[]): PackageDefinition {
  const all = new Map<string, DescFile>();
  const add = (file: DescFile) => {
    if (all.has(file.name)) return;
    for (const dependency of file.dependencies) add(dependency);
    all.set(file.name, file);
  };
  for (const file of files) add(file);
  const set = create(FileDescriptorSetSchema, { file: [...all.values()].map((file) => file.proto) });
  const bytes = Buffer.from(toBinary(FileDescriptorSetSchema, set));
  return { ...loadFileDescriptorSetFromBuffer(bytes), ...loadSync(healthProtoPath) };
}
