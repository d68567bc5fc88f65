/**
 * The services on connect-node: Connect, gRPC-Web and gRPC, over HTTP/1.1 and HTTP/2, in protobuf and JSON. The methods are
 * those of the gRPC port, bytes in and bytes out; transparent calls come in by the fallback.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import { type DescMessage, type DescMethod, type DescMethodUnary, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { ConnectRouter, ConnectRouterOptions, HandlerContext } from "@connectrpc/connect";
import { createConnectRouter } from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import { AdminService } from "../../../gen/queuecall/v1/admin_pb.js";
import { BrokerService } from "../../../gen/queuecall/v1/broker_pb.js";
import { MultiplexService } from "../../../gen/queuecall/v1/multiplex_pb.js";
import { WorkerService } from "../../../gen/queuecall/v1/worker_pb.js";
import { invalidField } from "../../../protocol/errors.ts";
import { maxMessageBytes } from "../../../protocol/limits.ts";
import { Metadata } from "../../../protocol/metadata.ts";
import type { Call } from "../../broker/callers.ts";
import type { Visit } from "../access.ts";
import { pathOf, type StreamMethod, type UnaryMethod } from "../bytes.ts";
import { RevocableCall } from "../door.ts";
import type { Front } from "../front.ts";
import type { Health } from "../health.ts";
import type { Reflection } from "../reflection.ts";
import { clampConnectTimeout, clampTimeout } from "../timeouts.ts";
import { noStreams, serviceOf, Transparent } from "../transparent.ts";
import { addBidi } from "./bidi.ts";
import { callOf, contextOf, credentialsOf } from "./calls.ts";
import { Cors } from "./cors.ts";
import { connectError } from "./errors.ts";
import { addHealth } from "./health.ts";
import { jsonTypes } from "./json-types.ts";
import { methodFor, streamFor } from "./methods.ts";
import { addReflection } from "./reflection.ts";

const PATH = /^\/[\w.]+\/\w+$/;

export interface ConnectPort {
  front: Front;
  health: Health;
  reflection: Reflection;
}

/** Handles every call on the HTTP port. Answers false where the path is none of a call. */
export function connectMount(port: ConnectPort): (request: IncomingMessage, response: ServerResponse) => boolean {
  const { settings } = port.front.broker;
  const handlers = new Handlers(port);
  const metadata = new Metadata(settings.passHeaders);
  const cors = new Cors(settings.corsOrigins, (name) => metadata.travels(name));
  return (request, response) => {
    const path = (request.url ?? "").split("?", 1)[0] ?? "";
    if (!PATH.test(path)) return false;
    if (cors.answer(request, response)) return true;
    clampTimeouts(request.headers);
    void handlers.handle(path, request, response);
    return true;
  };
}

class Handlers {
  readonly #options: ConnectRouterOptions;
  /** Of the broker's own methods, by path. */
  readonly #own: ReadonlyMap<string, UniversalHandler>;
  readonly #port: ConnectPort;
  readonly #front: Front;
  readonly #transparent: Transparent;

  constructor(port: ConnectPort) {
    const { broker } = port.front;
    const { settings } = broker;
    const largest = maxMessageBytes(Math.max(settings.maxPayloadBytes, settings.maxResultBytes));
    this.#port = port;
    this.#front = port.front;
    this.#transparent = new Transparent(broker);
    // Left to themselves, the first two would be 4 GiB. Compressed messages: decisions/0016.
    this.#options = {
      readMaxBytes: largest,
      writeMaxBytes: 2 * largest,
      acceptCompression: [],
      jsonOptions: { registry: jsonTypes },
    };
    const router = createConnectRouter(this.#options);
    this.#route(router);
    this.#own = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  }

  async handle(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const handler = this.#own.get(path) ?? (await this.#others(path, request));
      const universal = universalRequestFromNodeRequest(request, response, undefined, contextOf(request));
      await universalResponseToNodeResponse(await handler(universal), response);
    } catch (error) {
      // The caller went away, or the answer could not be written.
      if (!response.headersSent) response.writeHead(500);
      response.end();
      if ((error as { code?: unknown }).code === undefined) this.#front.onBug(error, path);
    }
  }

  #route(router: ConnectRouter): void {
    const { unary, streams, bidi } = this.#front;
    const described = [BrokerService, AdminService, WorkerService, MultiplexService].flatMap(({ methods }) => methods);
    const methodOf = <M extends DescMethod>(path: string) => described.find((method) => pathOf(method) === path) as M;
    for (const each of unary) this.#unary(router, methodOf<DescMethodUnary>(each.path), each);
    for (const each of streams) this.#stream(router, methodOf(each.path), each);
    for (const each of bidi) addBidi(router, methodOf(each.path), each, this.#front);
    addHealth(router, this.#port.health);
    addReflection(router, this.#port.reflection, this.#front);
  }

  /** For a call of a method that is none of the broker's own. */
  async #others(path: string, request: IncomingMessage): Promise<UniversalHandler> {
    const { broker, onBug } = this.#front;
    // Whether the caller may know of it is asked below, before anything is answered.
    const service = await broker.services.find(serviceOf(path), path).catch(() => undefined);
    const { method, described } = methodFor(service, path);
    const router = createConnectRouter({
      ...this.#options,
      requestGate: (context) => this.#mayCall(path, context, described),
    });
    // Connect says by its content type whether a call is a stream.
    if (/^application\/connect\+/.test(request.headers["content-type"] ?? "")) {
      router.rpc(streamFor(path), () => {
        throw connectError(noStreams(path), path, onBug);
      });
    } else router.rpc(method, (message, context) => this.#call(path, method, message, context));
    return router.handlers[0] as UniversalHandler;
  }

  /** Rights, existence and form, before the message is read. */
  #mayCall(path: string, context: HandlerContext, described: boolean): Promise<void> {
    const json = /json/.test(context.requestHeader.get("content-type") ?? "");
    return this.#entered(path, context, async (_call, visit) => {
      await this.#transparent.find(path, context.requestHeader, visit);
      if (json && !described) throw invalidField("content-type", noJson(path));
    });
  }

  #call(path: string, { input, output }: DescMethodUnary, message: unknown, context: HandlerContext) {
    const request = {
      path,
      headers: context.requestHeader,
      message: async () => toBinary(input, message as never),
    };
    return this.#entered(path, context, async (call, visit) => {
      const reply = await this.#transparent.handle(request, call, visit);
      for (const [name, value] of Object.entries(reply.headers)) context.responseHeader.set(name, value);
      return fromBinary(output, reply.message);
    });
  }

  #unary(router: ConnectRouter, method: DescMethodUnary, { path, handle }: UnaryMethod): void {
    router.rpc(method, (message, context) =>
      this.#entered(path, context, async (call, visit) =>
        fromBinary(method.output as DescMessage, await handle(toBinary(method.input, message as never), call, visit)),
      ),
    );
  }

  #stream(
    router: ConnectRouter,
    method: DescMethod & { methodKind: "server_streaming" },
    { path, handle }: StreamMethod,
  ): void {
    const { calls, onBug, door } = this.#front;
    router.rpc(method, async function* (message: never, context: HandlerContext) {
      const done = calls.begin();
      const inside = new RevocableCall(callOf(context));
      let shownOut: Error | undefined;
      let visit: Visit | undefined;
      try {
        visit = door?.enter(credentialsOf(context), (error) => {
          shownOut = error;
          inside.gone();
        });
        for await (const bytes of handle(toBinary(method.input, message), inside, visit)) {
          yield fromBinary(method.output, bytes);
        }
        if (shownOut) throw shownOut;
      } catch (error) {
        throw connectError(shownOut ?? error, path, onBug);
      } finally {
        visit?.leave();
        done();
      }
    } as never);
  }

  async #entered<T>(path: string, context: HandlerContext, run: (call: Call, visit?: Visit) => Promise<T>): Promise<T> {
    const { calls, door, onBug } = this.#front;
    const done = calls.begin();
    try {
      return await (door ? door.through(credentialsOf(context), callOf(context), run) : run(callOf(context)));
    } catch (error) {
      throw connectError(error, path, onBug);
    } finally {
      done();
    }
  }
}

function clampTimeouts(headers: IncomingMessage["headers"]): void {
  const { "grpc-timeout": grpc, "connect-timeout-ms": connect } = headers;
  if (typeof grpc === "string") headers["grpc-timeout"] = clampTimeout(grpc);
  if (typeof connect === "string") headers["connect-timeout-ms"] = clampConnectTimeout(connect);
}

function noJson(path: string): string {
  return `JSON is not understood for ${path}: no worker described its messages; send application/proto, or have a worker announce a descriptor_set`;
}
