/**
 * Messages to bytes and back, for every job: generated code where there is some and all is regular, about five times as
 * fast as the library, which does the rest and has the last word (decisions/0018).
 */
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { codecs } from "../gen/queuecall/v1/wire.js";

/** What `create` takes, as bytes. @throws what `create` and `toBinary` do */
export function encode<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): Uint8Array<ArrayBuffer> {
  const bytes = codecs.get(schema.typeName)?.encode(init);
  return bytes ?? toBinary(schema, create(schema, init));
}

/** The same behind one another in pieces: large fields of bytes are not copied, and must stay as they are until all has left. */
export function encodeInPieces<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): Uint8Array[] {
  const pieces = codecs.get(schema.typeName)?.encodeInPieces(init);
  return pieces ?? [toBinary(schema, create(schema, init))];
}

/** Fields that are not known are left out. Fields of bytes are views of what is given. @throws what `fromBinary` does */
export function decode<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  const message = codecs.get(schema.typeName)?.decode(bytes) as MessageShape<Desc> | undefined;
  return message ?? fromBinary(schema, bytes, { readUnknownFields: false });
}
