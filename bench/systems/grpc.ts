/** Ordinary unary calls from @grpc/grpc-js: to a bare echo, and to a broker of ours. */
import type { Seen } from "../parts/load.ts";
import { type Contender, withUsage } from "../rounds.ts";
import { type Shape, start } from "./queuecall.ts";

export function echo({ inFlight, bytes = 200 }: { inFlight: number; bytes?: number }): Contender {
  return async (stage, size) => {
    const [server, caller] = await Promise.all([stage.part("echo.ts"), stage.part("grpc-caller.ts")]);
    await caller.ask("connect", { address: await server.ask("listen") });
    const load = { inFlight, bytes, seconds: size.seconds };
    return () => withUsage({ client: caller.pid, server: server.pid }, () => caller.ask<Seen>("echo", load));
  };
}

export function unaryWaiting(shape: Shape, { inFlight, bytes = 200 }: { inFlight: number; bytes?: number }): Contender {
  return async (stage, size) => {
    const system = await start(stage, shape);
    const { broker, processes } = system;
    const { part, work } = await system.worker();
    await part.ask("start", work);
    const caller = await stage.part("grpc-caller.ts");
    await caller.ask("connect", { address: broker.address });
    const load = { inFlight, bytes, queue: "q", seconds: size.seconds };
    return () => withUsage({ ...processes, client: caller.pid }, () => caller.ask<Seen>("wait", load));
  };
}
