/** The methods of every service that is called with one message: what each adapter serves. */
import type { Broker } from "../broker/broker.ts";
import { adminService } from "./admin-service.ts";
import { brokerService } from "./broker-service.ts";
import type { StreamMethod, UnaryMethod } from "./bytes.ts";

export function services(broker: Broker): { unary: UnaryMethod[]; streams: StreamMethod[] } {
  const { unary, streams } = brokerService(broker);
  return { unary: [...unary, ...adminService(broker)], streams };
}
