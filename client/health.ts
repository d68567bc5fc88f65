/** Health, as grpc.health.v1 tells it: a probe, not a client that retries. */
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus } from "../gen/grpc/health/v1/health_pb.js";
import { checkUrls } from "./options.ts";
import { openGrpcLink } from "./transport/grpc.ts";
import { bearer } from "./transport/links.ts";
import type { TlsOptions } from "./transport/transport.ts";

export interface HealthOptions {
  /** The broker. */
  url: string;
  /** "" asks whether the process is fine, "queuecall.v1.BrokerService" whether it can work. Default "". */
  service?: string | undefined;
  /** Milliseconds. Default 5,000. */
  timeout?: number | undefined;
  token?: string | undefined;
  tls?: TlsOptions | undefined;
}

/** How a broker is: `unknown` is a service that it has not got, `unreachable` comes with why. */
export type HealthStatus =
  | { status: "serving" | "not-serving" | "unknown" }
  | { status: "unreachable"; message: string };

/**
 * Asks one broker once.
 * @throws TypeError for a url that cannot be
 */
export async function checkHealth(options: HealthOptions): Promise<HealthStatus> {
  const { service = "", timeout: timeoutMs = 5_000, token, tls } = options;
  const [url] = checkUrls(options.url, tls !== undefined) as [string];
  const link = openGrpcLink(url, { tls, interceptors: token === undefined ? [] : [bearer(token)] });
  try {
    const { status } = await createClient(Health, link.transport).check({ service }, { timeoutMs });
    return { status: status === HealthCheckResponse_ServingStatus.SERVING ? "serving" : "not-serving" };
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    return code === Code.NotFound ? { status: "unknown" } : { status: "unreachable", message: rawMessage };
  } finally {
    await link.close();
  }
}
