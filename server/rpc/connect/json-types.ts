/**
 * Types of the details of errors, for JSON: protobuf writes an Any of a type that it does not know as an error. Those of
 * handlers are known to them and their callers alone: they come out with their type's name, and without their fields.
 */
import { create, createFileRegistry, createRegistry, type DescMessage, type Registry } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { file_google_rpc_error_details } from "../../../gen/google/rpc/error_details_pb.js";
import { file_queuecall_v1_broker } from "../../../gen/queuecall/v1/broker_pb.js";

const known = createRegistry(file_google_rpc_error_details, file_queuecall_v1_broker);

export const jsonTypes: Registry = Object.create(known, {
  getMessage: { value: (name: string) => known.getMessage(name) ?? opaque(name) },
});

/** A message without fields. */
function opaque(name: string): DescMessage | undefined {
  const dot = name.lastIndexOf(".");
  const file = create(FileDescriptorProtoSchema, {
    name: "opaque.proto",
    package: name.slice(0, Math.max(dot, 0)),
    messageType: [{ name: name.slice(dot + 1) }],
    syntax: "proto3",
  });
  return createFileRegistry(create(FileDescriptorSetSchema, { file: [file] })).getMessage(name);
}
