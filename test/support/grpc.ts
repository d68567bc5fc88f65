/** Plain grpc-js against a broker, with the generated messages: what any language's stub does. */
import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type ChannelCredentials, Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import {
  type BadRequest,
  BadRequestSchema,
  type ErrorInfo,
  ErrorInfoSchema,
  type RetryInfo,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { BrokerService, type WaitTimeout, WaitTimeoutSchema } from "../../gen/queuecall/v1/broker_pb.js";

export const methods = BrokerService.method;

/** What an error carries, decoded. */
export interface Refusal {
  code: number;
  message: string;
  reason: string;
  info: ErrorInfo | undefined;
  badRequest: BadRequest | undefined;
  retryInfo: RetryInfo | undefined;
  waitTimeout: WaitTimeout | undefined;
  trailers: Metadata;
}

export interface CallOptions {
  /** Milliseconds. Undefined: none. */
  deadlineMs?: number;
  metadata?: Record<string, string | Buffer>;
}

/** A connection of its own. */
export class GrpcCaller {
  readonly client: Client;

  constructor(address: string, security: ChannelCredentials = credentials.createInsecure(), options: object = {}) {
    this.client = new Client(address, security, {
      ...options,
      "grpc.max_receive_message_length": -1,
      "grpc.use_local_subchannel_pool": 1,
    });
  }

  /** Resolves with the answer, rejects with the ServiceError. */
  call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    init: MessageInitShape<I>,
    options: CallOptions = {},
  ): Promise<MessageShape<O>> {
    const request = toBinary(method.input, create(method.input, init));
    return this.raw(pathOf(method), request, options).then((bytes) => fromBinary(method.output, bytes));
  }

  /** The same with bytes, so that they can be wrong. */
  raw(path: string, request: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    const metadata = metadataOf(options.metadata);
    const deadline = options.deadlineMs === undefined ? {} : { deadline: Date.now() + options.deadlineMs };
    return new Promise((resolve, reject) => {
      this.client.makeUnaryRequest(path, same, same, request as Buffer, metadata, deadline, (error, answer) =>
        error ? reject(error) : resolve(answer as Uint8Array),
      );
    });
  }

  /** A server stream, as an async iterable that ends or throws like the stream. */
  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    init: MessageInitShape<I>,
    options: Pick<CallOptions, "metadata"> = {},
  ): AsyncGenerator<MessageShape<O>, void> {
    const request = toBinary(method.input, create(method.input, init)) as Buffer;
    const stream = this.client.makeServerStreamRequest(
      pathOf(method),
      same,
      same,
      request,
      metadataOf(options.metadata),
    );
    try {
      for await (const bytes of stream) yield fromBinary(method.output, bytes as Buffer);
    } finally {
      stream.cancel();
    }
  }

  /** The refusal that a call must end in. */
  async refused(promise: Promise<unknown>): Promise<Refusal> {
    try {
      await promise;
    } catch (error) {
      return refusalOf(error as ServiceError);
    }
    throw new Error("the call was accepted");
  }

  close(): void {
    this.client.close();
  }
}

export function metadataOf(headers: Record<string, string | Buffer> = {}): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}

export function refusalOf(error: ServiceError): Refusal {
  const bytes = error.metadata?.get("grpc-status-details-bin")[0] as Buffer | undefined;
  const status = bytes && fromBinary(StatusSchema, bytes);
  const detail = <Desc extends DescMessage>(schema: Desc): MessageShape<Desc> | undefined => {
    const any = status?.details.find(({ typeUrl }) => typeUrl.endsWith(`/${schema.typeName}`));
    return any && fromBinary(schema, any.value);
  };
  const info = detail(ErrorInfoSchema);
  return {
    code: error.code,
    message: error.details,
    reason: info?.reason ?? "",
    info,
    badRequest: detail(BadRequestSchema),
    retryInfo: detail(RetryInfoSchema),
    waitTimeout: detail(WaitTimeoutSchema),
    trailers: error.metadata,
  };
}

export function pathOf(method: { parent: { typeName: string }; name: string }): string {
  return `/${method.parent.typeName}/${method.name}`;
}

const same = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
