/** Descriptors of methods that workers announced: their own, or, where none came along, stand-ins that let bytes through. */
import {
  create,
  createFileRegistry,
  type DescMethod,
  type DescMethodServerStreaming,
  type DescMethodUnary,
} from "@bufbuild/protobuf";
import {
  EmptySchema,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  file_google_protobuf_empty,
} from "@bufbuild/protobuf/wkt";
import type { KnownService } from "../../broker/services.ts";
import { describe, methodOf } from "../descriptors.ts";

/** @param path "/acme.v1.Thumbnailer/Render" */
export function methodFor(
  service: KnownService | undefined,
  path: string,
): { method: DescMethodUnary; described: boolean } {
  const known = service && methodOf(describe(service), path);
  if (known?.methodKind === "unary") return { method: known as DescMethodUnary, described: true };
  return { method: standIn(path), described: false };
}

/** For a call that has the form of a stream, so that it can be refused in its own form. */
export function streamFor(path: string): DescMethodServerStreaming {
  return standIn(path, true) as DescMethod as DescMethodServerStreaming;
}

/** Of Empty messages: what they do not know they keep, so what goes in comes out. */
function standIn(path: string, serverStreaming = false): DescMethodUnary {
  const [, service = "", name = ""] = /^\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
  const dot = service.lastIndexOf(".");
  const empty = `.${EmptySchema.typeName}`;
  const file = create(FileDescriptorProtoSchema, {
    name: "stand-in.proto",
    package: service.slice(0, Math.max(dot, 0)),
    dependency: [file_google_protobuf_empty.proto.name ?? ""],
    service: [
      { name: service.slice(dot + 1), method: [{ name, inputType: empty, outputType: empty, serverStreaming }] },
    ],
    syntax: "proto3",
  });
  const registry = createFileRegistry(
    create(FileDescriptorSetSchema, { file: [file_google_protobuf_empty.proto, file] }),
  );
  return registry.getService(service)?.methods[0] as DescMethodUnary;
}
