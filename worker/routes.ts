/** Which handler runs which job: by queue, and for services by method. */
import {
  create,
  type DescMessage,
  type DescService,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { type Payload, PayloadSchema } from "../gen/queuecall/v1/job_pb.js";
import type { Subscription } from "../gen/queuecall/v1/worker_pb.js";
import { messageCodec, type PayloadCodec, PayloadError } from "../protocol/codec.ts";
import { Code } from "../protocol/errors.ts";
import { MAX_SUBSCRIPTIONS, QUEUE_PATTERN } from "../protocol/limits.ts";
import type { JobContext, Task } from "./attempt.ts";
import { CodecError } from "./errors.ts";

/** Runs one job. What it returns is the result; what it throws, a failure. */
export type Handler<Request, Response> = (payload: Request, ctx: JobContext) => Response | Promise<Response>;

type Methods<Service extends DescService> = Service["method"];

/** Handlers of a service's unary methods, by their names in TypeScript. */
export type ServiceHandlers<Service extends DescService> = {
  [Name in keyof Methods<Service>]?: Methods<Service>[Name] extends {
    methodKind: "unary";
    input: infer Input extends DescMessage;
    output: infer Output extends DescMessage;
  }
    ? Handler<MessageShape<Input>, MessageInitShape<Output>>
    : never;
};

interface Route {
  /** Undefined: one task for every method. */
  byMethod: Map<string, Task> | undefined;
  any: Task | undefined;
}

export class RouteTable {
  readonly #routes = new Map<string, Route>();

  get subscriptions(): Pick<Subscription, "queue" | "methods">[] {
    return [...this.#routes].map(([queue, { byMethod }]) => ({ queue, methods: [...(byMethod?.keys() ?? [])] }));
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

  /** @throws TypeError where a name is no unary method of the service, or the service is taken */
  addService<Service extends DescService>(service: Service, handlers: ServiceHandlers<Service>): void {
    const byMethod = new Map<string, Task>();
    for (const [name, handler] of Object.entries(handlers)) {
      const method = service.method[name];
      if (method?.methodKind !== "unary")
        throw new TypeError(`service ${service.typeName} has no unary method ${name}`);
      if (typeof handler !== "function") throw new TypeError(`method ${name}: the handler is not a function`);
      const task = taskOf(messageCodec(method.input), messageCodec(method.output), handler as Handler<unknown, never>);
      byMethod.set(`/${service.typeName}/${method.name}`, task);
    }
    this.#add(service.typeName, { byMethod, any: undefined });
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
  return async (payload, ctx) => {
    const result = await handler(decode(request, payload), ctx);
    try {
      return create(PayloadSchema, response.encode(result));
    } catch (cause) {
      throw new CodecError(`the handler's result: ${messageOf(cause)}`, { code: Code.INTERNAL, cause });
    }
  };
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
