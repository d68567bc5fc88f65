/** What a worker's subscriptions say of gRPC services: a subscription announces methods of the service that its queue is named after. */
import type { Subscription } from "../../gen/queuecall/v1/worker_pb.js";
import { CallError } from "../../protocol/errors.ts";
import * as limit from "../../protocol/limits.ts";
import type { Service } from "../storage/storage.ts";
import { methodOf, registryOf } from "./descriptors.ts";

/** Packages whose services are the broker's own, or nobody's: no worker's, ever. */
const RESERVED = ["queuecall.", "grpc.", "externalscaler."];

export const isReserved = (service: string): boolean => RESERVED.some((start) => service.startsWith(start));

/** The name that stands for every unary method, of workers that do not know them. */
const ANY_METHOD = "*";
const METHOD_NAME = /^[A-Za-z_]\w*$/;

/** Whether a call of this path is one that workers announced. @param kind of the method, where it is known */
export function takes(methods: ReadonlySet<string>, path: string, kind: string | undefined): boolean {
  const any = `${path.slice(0, path.lastIndexOf("/") + 1)}${ANY_METHOD}`;
  return methods.has(path) || (methods.has(any) && (kind ?? "unary") === "unary");
}

/** @throws CallError PROTOCOL_VIOLATION */
export function servicesFrom(field: string, subscriptions: readonly Subscription[]): Service[] {
  return subscriptions.flatMap((subscription) => serviceFrom(field, subscription) ?? []);
}

function serviceFrom(field: string, { queue, methods, descriptorSet }: Subscription): Service | undefined {
  if (methods.length > limit.MAX_SERVICE_METHODS) {
    throw violation(`${field}.methods of ${queue} are ${methods.length}, the limit is ${limit.MAX_SERVICE_METHODS}`);
  }
  const own = [...new Set(methods)].filter((path) => path.startsWith(`/${queue}/`)).sort();
  if (own.length === 0) return undefined;
  if (isReserved(queue))
    throw violation(`${field}: ${queue} is reserved: packages ${RESERVED.join(" ")} are no worker's`);
  for (const path of own) checkPath(`${field}.methods`, path);
  if (descriptorSet.length === 0) return { name: queue, methods: own };
  checkDescriptors(`${field}.descriptor_set`, queue, own, descriptorSet);
  return { name: queue, methods: own, descriptorSet };
}

function checkPath(field: string, path: string): void {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (path.length > limit.MAX_METHOD_BYTES) {
    throw violation(`${field} has a name of ${path.length} bytes, the limit is ${limit.MAX_METHOD_BYTES}`);
  }
  if (path.split("/").length !== 3 || (name !== ANY_METHOD && !METHOD_NAME.test(name))) {
    throw violation(`${field} has a name that is no method's: send /package.Service/Method`);
  }
}

function checkDescriptors(field: string, name: string, methods: readonly string[], set: Uint8Array): void {
  if (set.length > limit.MAX_DESCRIPTOR_SET_BYTES) {
    const remedy = "leave out comments (source_code_info), or send none";
    throw violation(`${field} has ${set.length} bytes, the limit is ${limit.MAX_DESCRIPTOR_SET_BYTES}: ${remedy}`);
  }
  const service = serviceIn(field, name, set);
  for (const path of methods) {
    if (path.endsWith(`/${ANY_METHOD}`)) continue;
    const kind = methodOf(service, path)?.methodKind;
    if (kind === undefined) throw violation(`${field} has no method ${path}`);
    if (kind !== "unary") throw violation(`${path} is a streaming method: only unary ones can be announced`);
  }
}

function serviceIn(field: string, name: string, set: Uint8Array) {
  let service: ReturnType<ReturnType<typeof registryOf>["getService"]>;
  try {
    service = registryOf(set).getService(name);
  } catch (cause) {
    const why = "it is no FileDescriptorSet that has all that its files import";
    throw new CallError("PROTOCOL_VIOLATION", `${field} cannot be read: ${why}`, { cause });
  }
  if (!service) throw violation(`${field} has no service ${name}`);
  return service;
}

function violation(message: string): CallError {
  return new CallError("PROTOCOL_VIOLATION", message);
}
