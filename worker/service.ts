/** A service implementation as Connect's router takes it, run by jobs. */
import {
  create,
  createFileRegistry,
  type DescFile,
  type DescMessage,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import {
  ConnectError,
  createContextKey,
  createContextValues,
  createHandlerContext,
  type HandlerContext,
  type ServiceImpl,
} from "@connectrpc/connect";
import { MAX_DESCRIPTOR_SET_BYTES } from "../protocol/limits.ts";
import type { JobContext } from "./attempt.ts";

/** What Connect's `router.service` takes, or a part of it. Streaming methods are left out: they cannot be jobs. */
export type ServiceImplementation<Service extends DescService> = Partial<ServiceImpl<Service>>;

/** The job that runs a service's method: `context.values.get(jobContext)`. Undefined where it was not called by a job. */
export const jobContext = createContextKey<JobContext | undefined>(undefined, { description: "the job of this call" });

/** A unary method and what implements it. */
export interface Implemented {
  method: DescMethodUnary<DescMessage, DescMessage>;
  call(request: unknown, context: HandlerContext): unknown;
}

/** @throws TypeError where the implementation names something that the service does not have, or implements nothing */
export function implementedBy<Service extends DescService>(
  service: Service,
  implementation: ServiceImplementation<Service>,
): Implemented[] {
  checkNames(service, implementation);
  const functions = implementation as Record<string, unknown>;
  const implemented = service.methods.flatMap((method): Implemented[] => {
    const call = functions[method.localName];
    if (call === undefined || method.methodKind !== "unary") return [];
    if (typeof call !== "function") throw new TypeError(`method ${method.localName}: the handler is not a function`);
    // As in a router, it may be a method of an object.
    return [{ method: method as Implemented["method"], call: call.bind(implementation) }];
  });
  if (implemented.length === 0) throw new TypeError(`service ${service.typeName}: no unary method is implemented`);
  return implemented;
}

/** Of a plain object: what is no method was misspelt. An object of a class may have more. */
function checkNames(service: DescService, implementation: object): void {
  if (Object.getPrototypeOf(implementation) !== Object.prototype) return;
  const strange = Object.keys(implementation).find((name) => !Object.hasOwn(service.method, name));
  if (strange !== undefined) throw new TypeError(`service ${service.typeName} has no method ${strange}`);
}

/** Runs the method. What it puts into the headers and trailers of its response goes along with the outcome. */
export async function runMethod(
  { method, call }: Implemented,
  request: unknown,
  job: JobContext,
): Promise<{ result: unknown; headers: Record<string, string> }> {
  const context = createHandlerContext({
    service: method.parent,
    method,
    protocolName: "queuecall",
    requestMethod: "POST",
    url: `queuecall:${job.method}`,
    requestHeader: new Headers(job.headers),
    requestSignal: job.signal,
    ...(job.timeoutMs !== undefined && { timeoutMs: job.timeoutMs }),
    contextValues: createContextValues().set(jobContext, job),
  });
  try {
    const result = await call(request, context);
    return { result, headers: Object.fromEntries(responseHeaders(context)) };
  } catch (error) {
    if (error instanceof ConnectError)
      for (const [name, value] of responseHeaders(context)) error.metadata.append(name, value);
    throw error;
  } finally {
    // Frees its timer.
    context.abort();
  }
}

function responseHeaders({ responseHeader, responseTrailer }: HandlerContext): [string, string][] {
  return [...responseHeader, ...responseTrailer];
}

/** For announcement: the service and all that its files import. Undefined where that is more than a broker takes. */
export function descriptorSetOf(service: DescService): Uint8Array | undefined {
  const files = new Map<string, DescFile>();
  const add = (file: DescFile) => {
    if (files.has(file.name)) return;
    for (const dependency of file.dependencies) add(dependency);
    files.set(file.name, file);
  };
  add(service.file);
  const set = create(FileDescriptorSetSchema, { file: [...files.values()].map(({ proto }) => proto) });
  const bytes = toBinary(FileDescriptorSetSchema, set);
  return bytes.length <= MAX_DESCRIPTOR_SET_BYTES ? bytes : undefined;
}

/** @throws TypeError where the set cannot be read, or has no such service */
export function unaryMethodsIn(descriptorSet: Uint8Array, service: string): string[] {
  let found: DescService | undefined;
  try {
    found = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptorSet)).getService(service);
  } catch (cause) {
    throw new TypeError("the descriptors are no FileDescriptorSet that has all that its files import", { cause });
  }
  if (!found) throw new TypeError(`the descriptors have no service ${service}`);
  return found.methods.filter(({ methodKind }) => methodKind === "unary").map(({ name }) => name);
}
