/** grpc.reflection on connect-node: a stream of questions, answered one after the other. Needs HTTP/2. */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { ServerReflection } from "../../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { pathOf } from "../bytes.ts";
import type { Front } from "../front.ts";
import type { Reflection } from "../reflection.ts";
import { credentialsOf } from "./calls.ts";
import { connectError } from "./errors.ts";

/** Where there is a door: whoever has any valid token may look. */
export function addReflection(router: ConnectRouter, reflection: Reflection, { door, onBug }: Front): void {
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
