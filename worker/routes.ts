/** Which handler runs which job: by queue, and for services by method. */
import type { DescService } from "@bufbuild/protobuf";
import type { Payload } from "../gen/queuecall/v1/job_pb.js";
import type { Subscription } from "../gen/queuecall/v1/worker_pb.js";
import { messageCodec, type PayloadCodec, PayloadError } from "../protocol/codec.ts";
import { Code } from "../protocol/errors.ts";
import { MAX_SUBSCRIPTIONS, QUEUE_PATTERN } from "../protocol/limits.ts";
import type { JobContext, Task } from "./attempt.ts";
import { CodecError } from "./errors.ts";
import {
  descriptorSetOf,
  type Implemented,
  implementedBy,
  runMethod,
  type ServiceImplementation,
  unaryMethodsIn,
} from "./service.ts";

const NOTHING = new Uint8Array();

/** Runs one job. What it returns is the result; what it throws, a failure. */
export type Handler<Request, Response> = (payload: Request, ctx: JobContext) => Response | Promise<Response>;

interface Route {
  /** Of a service, for JSON and reflection. */
  descriptorSet?: Uint8Array | undefined;
  /** Undefined: one task for every method. */
  byMethod: Map<string, Task> | undefined;
  any: Task | undefined;
}

export class RouteTable {
  readonly #routes = new Map<string, Route>();

  get subscriptions(): Pick<Subscription, "queue" | "methods" | "descriptorSet">[] {
    return [...this.#routes].map(([queue, { byMethod, descriptorSet = NOTHING }]) => ({
      queue,
      methods: [...(byMethod?.keys() ?? [])],
      descriptorSet,
    }));
  }

  find(queue: string, method: string): Task | undefined {
    const route = this.#routes.get(queue);
    return route?.byMethod?.get(method) ?? route?.any;
  }

  /** @throws TypeError where the name is no queue's, or taken */
  addQueue<Request, Response>(
    queue: string,
    request: PayloadCodec<never, Request>,
    response: PayloadCodec<Response, unknown>,
    handler: Handler<Request, Response>,
  ): void {
    if (typeof handler !== "function") throw new TypeError(`queue ${queue}: the handler is not a function`);
    this.#add(queue, { byMethod: undefined, any: taskOf(request, response, handler) });
  }

  /** @throws TypeError where a name is no method of the service, or the service is taken */
  addService<Service extends DescService>(service: Service, implementation: ServiceImplementation<Service>): void {
    const byMethod = new Map<string, Task>();
    for (const implemented of implementedBy(service, implementation)) {
      byMethod.set(`/${service.typeName}/${implemented.method.name}`, methodTask(implemented));
    }
    this.#add(service.typeName, { byMethod, any: undefined, descriptorSet: descriptorSetOf(service) });
  }

  /** A service whose messages stay bytes, all of whose unary methods are one task's. */
  addForwarded(service: string, descriptorSet: Uint8Array | undefined, task: Task): void {
    const methods = descriptorSet ? unaryMethodsIn(descriptorSet, service) : ["*"];
    const byMethod = new Map(methods.map((name) => [`/${service}/${name}`, task]));
    this.#add(service, { byMethod, any: task, descriptorSet });
  }

  #add(queue: string, route: Route): void {
    if (typeof queue !== "string" || !QUEUE_PATTERN.test(queue)) {
      throw new TypeError(`queue ${JSON.stringify(queue)}: give 1–128 characters of A–Z a–z 0–9 . _ / -`);
    }
    if (this.#routes.has(queue)) throw new TypeError(`queue ${queue} has a handler already`);
    if (this.#routes.size === MAX_SUBSCRIPTIONS)
      throw new TypeError(`a worker serves at most ${MAX_SUBSCRIPTIONS} queues`);
    this.#routes.set(queue, route);
  }
}

function taskOf<Request, Response>(
  request: PayloadCodec<never, Request>,
  response: PayloadCodec<Response, unknown>,
  handler: Handler<Request, Response>,
): Task {
  return async (payload, ctx) => ({ payload: encode(response, await handler(decode(request, payload), ctx)) });
}

function methodTask(implemented: Implemented): Task {
  const { input, output } = implemented.method;
  const [request, response] = [messageCodec(input), messageCodec(output)];
  return async (payload, ctx) => {
    const { result, headers } = await runMethod(implemented, decode(request, payload), ctx);
    return { payload: encode(response, result as never), headers };
  };
}

function encode<Response>(codec: PayloadCodec<Response, unknown>, result: Response): Payload {
  try {
    const { data, contentType, messageType } = codec.encode(result);
    return { $typeName: "queuecall.v1.Payload", data, contentType, messageType };
  } catch (cause) {
    throw new CodecError(`the handler's result: ${messageOf(cause)}`, { code: Code.INTERNAL, cause });
  }
}

function decode<Request>(codec: PayloadCodec<never, Request>, payload: Payload | undefined): Request {
  try {
    return codec.decode(payload);
  } catch (cause) {
    if (!(cause instanceof PayloadError)) throw cause;
    throw new CodecError(cause.message, { code: Code.INVALID_ARGUMENT, cause });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
