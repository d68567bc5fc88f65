/** What workers said of the messages of their services: for JSON, for reflection, and to tell streaming methods from unary ones. */
import { createHash } from "node:crypto";
import {
  createFileRegistry,
  type DescMethod,
  type DescService,
  type FileRegistry,
  fromBinary,
} from "@bufbuild/protobuf";
import { protoCamelCase } from "@bufbuild/protobuf/reflect";
import { type DescriptorProto, type FieldDescriptorProto, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

/** Sets that are read already: many workers bring the same one. */
const MAX_READ = 100;
const read = new Map<string, FileRegistry>();

/** @throws Error the bytes are no set of descriptors, or it is not complete */
export function registryOf(descriptorSet: Uint8Array): FileRegistry {
  const key = createHash("sha1").update(descriptorSet).digest("base64");
  const known = read.get(key);
  if (known) return known;
  const set = fromBinary(FileDescriptorSetSchema, descriptorSet);
  for (const { messageType, extension } of set.file) nameForJson(messageType, extension);
  const registry = createFileRegistry(set);
  for (const oldest of read.keys()) {
    if (read.size < MAX_READ) break;
    read.delete(oldest);
  }
  read.set(key, registry);
  return registry;
}

/** Compilers say how a field is called in JSON; descriptors that a program made of itself may leave it to the reader. */
function nameForJson(messages: readonly DescriptorProto[], fields: readonly FieldDescriptorProto[]): void {
  for (const field of fields) field.jsonName ||= protoCamelCase(field.name);
  for (const { nestedType, field, extension } of messages) nameForJson(nestedType, [...field, ...extension]);
}

interface Described {
  readonly name: string;
  readonly descriptorSet?: Uint8Array | undefined;
}

const described = new WeakMap<Described, DescService>();

/** Undefined where no worker described it. */
export function describe(service: Described): DescService | undefined {
  if (!service.descriptorSet) return undefined;
  const known = described.get(service) ?? registryOf(service.descriptorSet).getService(service.name);
  if (known) described.set(service, known);
  return known;
}

/** @param path "/acme.v1.Thumbnailer/Render" */
export function methodOf(service: DescService | undefined, path: string): DescMethod | undefined {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return service?.methods.find((method) => method.name === name);
}
