/** grpc.reflection.v1 and v1alpha, for grpcurl and `buf curl`: served by @grpc/reflection from the generated descriptors, so that no .proto file is read at run time. */
import { create, type DescFile, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import type { handleBidiStreamingCall, Server } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer, loadSync, type PackageDefinition } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { protoPath as healthProtoPath } from "grpc-health-check";
import { file_queuecall_v1_admin } from "../../../gen/queuecall/v1/admin_pb.js";
import { file_queuecall_v1_broker } from "../../../gen/queuecall/v1/broker_pb.js";
import { file_queuecall_v1_multiplex } from "../../../gen/queuecall/v1/multiplex_pb.js";
import { file_queuecall_v1_worker } from "../../../gen/queuecall/v1/worker_pb.js";
import type { Door } from "../door.ts";
import { credentialsOf, grpcStatus } from "./calls.ts";

type BidiHandler = handleBidiStreamingCall<unknown, unknown>;

/** @param door absent: everybody may look; else whoever has any valid token may */
export function addReflection(server: Server, door?: Door): void {
  const reflection = new ReflectionService(
    packageOf([
      file_queuecall_v1_admin,
      file_queuecall_v1_broker,
      file_queuecall_v1_multiplex,
      file_queuecall_v1_worker,
    ]),
  );
  reflection.addToServer(door ? behind(door, server) : server);
}

/** A server whose every service is behind the door. The services added to it are those of reflection: bidirectional streams. */
function behind(door: Door, server: Server): Server {
  const guarded: Pick<Server, "addService"> = {
    addService(service, implementation) {
      const handlers = Object.entries(implementation as Record<string, BidiHandler>).map(([name, handler]) => {
        const entering: BidiHandler = (call) => {
          const end = (error: unknown) =>
            void call.emit(
              "error",
              grpcStatus(error, name, () => {}),
            );
          try {
            const visit = door.enter(credentialsOf(call), end);
            call.on("cancelled", () => visit.leave()).on("close", () => visit.leave());
          } catch (error) {
            return end(error);
          }
          handler(call);
        };
        return [name, entering];
      });
      server.addService(service, Object.fromEntries(handlers));
    },
  };
  return guarded as Server;
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
