/** grpc.health on grpc-js. */
import type { Server } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import type { Health } from "../health.ts";

export function addHealth(server: Server, health: Health): void {
  const implementation = new HealthImplementation();
  const show = (service: string, serving: boolean) =>
    implementation.setStatus(service, serving ? "SERVING" : "NOT_SERVING");
  for (const [service, serving] of health.services) show(service, serving);
  health.onChange(show);
  implementation.addToServer(server);
}
