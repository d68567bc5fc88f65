/** Descriptors as workers send them. */
import { create, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { Thumbnailer } from "../../examples/transparent/gen/acme/v1/thumbnailer_pb.js";
import { registryOf } from "../../server/rpc/descriptors.ts";

test("fields without a name for JSON get the one that compilers give them", () => {
  const file = structuredClone(Thumbnailer.file.proto);
  // What Python's CopyToProto makes.
  for (const message of file.messageType) for (const field of message.field) field.jsonName = "";
  const set = toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: [file] }));
  const names = registryOf(set)
    .getMessage("acme.v1.RenderResponse")
    ?.fields.map(({ jsonName }) => jsonName);
  expect(names).toEqual(["image", "mediaType"]);
});
