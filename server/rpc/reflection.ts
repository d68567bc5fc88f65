/**
 * grpc.reflection: what services there are, the broker's own and those that workers announced, and the files that describe
 * them. Of v1 and v1alpha alike, whose messages are the same on the wire.
 */
import { create, type DescFile, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { file_grpc_health_v1_health } from "../../gen/grpc/health/v1/health_pb.js";
import {
  file_grpc_reflection_v1_reflection,
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { file_grpc_reflection_v1alpha_reflection } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { file_queuecall_v1_admin } from "../../gen/queuecall/v1/admin_pb.js";
import { file_queuecall_v1_broker } from "../../gen/queuecall/v1/broker_pb.js";
import { file_queuecall_v1_multiplex } from "../../gen/queuecall/v1/multiplex_pb.js";
import { file_queuecall_v1_worker } from "../../gen/queuecall/v1/worker_pb.js";
import { Code } from "../../protocol/errors.ts";
import type { Services } from "../broker/services.ts";

import { decode } from "./bytes.ts";
import { registryOf } from "./descriptors.ts";

export const reflectionPaths = ["v1", "v1alpha"].map(
  (version) => `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
);

const own = closure([
  file_queuecall_v1_admin,
  file_queuecall_v1_broker,
  file_queuecall_v1_multiplex,
  file_queuecall_v1_worker,
  file_grpc_health_v1_health,
  file_grpc_reflection_v1_reflection,
  file_grpc_reflection_v1alpha_reflection,
]);

type Said = NonNullable<
  Exclude<MessageInitShape<typeof ServerReflectionResponseSchema>, ServerReflectionResponse>["messageResponse"]
>;

export class Reflection {
  readonly #announced: Pick<Services, "names" | "read">;

  constructor(announced: Pick<Services, "names" | "read">) {
    this.#announced = announced;
  }

  /** One message of the stream, and its answer. @throws CallError */
  async answer(bytes: Uint8Array): Promise<Uint8Array> {
    const request = decode(ServerReflectionRequestSchema, bytes);
    const { host: validHost } = request;
    const messageResponse = await this.#say(request);
    const response = { validHost, originalRequest: request, messageResponse };
    return toBinary(ServerReflectionResponseSchema, create(ServerReflectionResponseSchema, response));
  }

  async #say({ messageRequest: { case: what, value } }: ServerReflectionRequest): Promise<Said> {
    switch (what) {
      case "listServices":
        return { case: "listServicesResponse", value: { service: await this.#services() } };
      case "fileByFilename":
        return this.#file(value, (file) => nameOf(file) === value);
      case "fileContainingSymbol":
        return this.#file(value, (file) => symbolsOf(file).has(value));
      case "allExtensionNumbersOfType": {
        const known = await this.#find((file) => symbolsOf(file).has(value));
        return known
          ? { case: "allExtensionNumbersResponse", value: { baseTypeName: value } }
          : notFound(`there is no type ${value}`);
      }
      case "fileContainingExtension":
        return notFound("nothing here is extended");
      default:
        return {
          case: "errorResponse",
          value: { errorCode: Code.INVALID_ARGUMENT, errorMessage: "nothing was asked" },
        };
    }
  }

  async #services(): Promise<{ name: string }[]> {
    const names = own.flatMap(({ services }) => services.map(({ typeName }) => typeName));
    return [...names, ...(await this.#announced.names())].sort().map((name) => ({ name }));
  }

  async #file(asked: string, wanted: (file: DescFile) => boolean): Promise<Said> {
    const file = await this.#find(wanted);
    if (!file) return notFound(`there is no ${asked}: no worker announced it with descriptors`);
    // With all that it imports, so that nobody has to ask again.
    const fileDescriptorProto = closure([file]).map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
    return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
  }

  async #find(wanted: (file: DescFile) => boolean): Promise<DescFile | undefined> {
    const found = own.find(wanted);
    if (found) return found;
    for (const name of await this.#announced.names()) {
      const set = (await this.#announced.read(name))?.descriptorSet;
      const file = set && [...registryOf(set).files].find(wanted);
      if (file) return file;
    }
    return undefined;
  }
}

function notFound(errorMessage: string): Said {
  return { case: "errorResponse", value: { errorCode: Code.NOT_FOUND, errorMessage } };
}

const nameOf = ({ proto }: DescFile) => proto.name;

/** The files and all that they import, each once, what is imported first. */
function closure(files: readonly DescFile[]): DescFile[] {
  const all = new Map<string, DescFile>();
  const add = (file: DescFile) => {
    if (all.has(file.name)) return;
    for (const dependency of file.dependencies) add(dependency);
    all.set(file.name, file);
  };
  files.forEach(add);
  return [...all.values()];
}

const symbols = new WeakMap<DescFile, ReadonlySet<string>>();

/** Full names of what a file defines: services, methods, messages, fields, enums. */
function symbolsOf(file: DescFile): ReadonlySet<string> {
  const known = symbols.get(file) ?? new Set(definedIn(file));
  symbols.set(file, known);
  return known;
}

function definedIn({ services, messages, enums }: DescFile): string[] {
  return [
    ...services.flatMap(({ typeName, methods }) => [typeName, ...methods.map(({ name }) => `${typeName}.${name}`)]),
    ...messages.flatMap(definedInMessage),
    ...enums.map(({ typeName }) => typeName),
  ];
}

function definedInMessage({ typeName, fields, nestedMessages, nestedEnums }: DescMessage): string[] {
  return [
    typeName,
    ...fields.map(({ name }) => `${typeName}.${name}`),
    ...nestedMessages.flatMap(definedInMessage),
    ...nestedEnums.map((each) => each.typeName),
  ];
}
