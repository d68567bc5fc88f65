/** grpc.reflection on connect-node: a stream of questions, answered one after the other. Needs HTTP/2. */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { ServerReflection } from "../../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { pathOf } from "../bytes.ts";
import type { Door } from "../door.ts";
import type { OnBug } from "../in-flight.ts";
import type { Reflection } from "../reflection.ts";
import { credentialsOf } from "./calls.ts";
import { connectError } from "./errors.ts";

interface Port {
  reflection: Reflection;
  onBug: OnBug;
  /** Absent: everybody may look; else whoever has any valid token may. */
  door: Door | undefined;
}

export function addReflection(router: ConnectRouter, { reflection, onBug, door }: Port): void {
  for (const { method } of [ServerReflection, ServerReflectionAlpha]) {
    const { serverReflectionInfo: info } = method;
    router.rpc(info, async function* (questions: AsyncIterable<unknown>, context: HandlerContext) {
      let shownOut: Error | undefined;
      try {
        const visit = door?.enter(credentialsOf(context), (error) => (shownOut = error));
        context.signal.addEventListener("abort", () => visit?.leave());
        for await (const question of questions) {
          if (shownOut) throw shownOut;
          yield fromBinary(info.output, await reflection.answer(toBinary(info.input, question as never)));
        }
      } catch (error) {
        throw connectError(error, pathOf(info), onBug);
      }
    } as never);
  }
}
