/** grpc.health on connect-node. */
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import {
  type HealthCheckRequest,
  Health as HealthService,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../gen/grpc/health/v1/health_pb.js";
import type { Health } from "../health.ts";

export function addHealth(router: ConnectRouter, health: Health): void {
  router.service(HealthService, {
    check({ service }) {
      const status = statusOf(health, service);
      if (status === Status.SERVICE_UNKNOWN) throw new ConnectError("unknown service", Code.NotFound);
      return { status };
    },
    list: () => ({
      statuses: Object.fromEntries(
        [...health.services.keys()].map((name) => [name, { status: statusOf(health, name) }]),
      ),
    }),
    watch: (request, context) => changes(health, request, context),
  });
}

/** What it is now, then each change. */
async function* changes(health: Health, { service }: HealthCheckRequest, { signal }: HandlerContext) {
  let told: Status | undefined;
  while (!signal.aborted) {
    const status = statusOf(health, service);
    if (status === told) await changeOrEnd(health, signal);
    else {
      told = status;
      // What changes while this is read is told next.
      yield { status };
    }
  }
}

async function changeOrEnd(health: Health, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const wake = () => resolve();
  const stop = health.onChange(wake);
  signal.addEventListener("abort", wake);
  await promise;
  stop();
  signal.removeEventListener("abort", wake);
}

function statusOf({ services }: Health, service: string): Status {
  const serving = services.get(service);
  if (serving === undefined) return Status.SERVICE_UNKNOWN;
  return serving ? Status.SERVING : Status.NOT_SERVING;
}
