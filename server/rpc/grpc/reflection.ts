/** grpc.reflection on grpc-js: a stream of questions, answered one after the other. */
import { once } from "node:events";
import type { handleBidiStreamingCall, Server, ServerDuplexStream } from "@grpc/grpc-js";
import type { Front } from "../front.ts";
import { type Reflection, reflectionPaths } from "../reflection.ts";
import { credentialsOf, grpcStatus, same } from "./calls.ts";

type Call = ServerDuplexStream<Uint8Array, Uint8Array>;

/** Where there is a door: whoever has any valid token may look. */
export function addReflection(server: Server, reflection: Reflection, { door, onBug }: Front): void {
  for (const path of reflectionPaths) {
    const handler: handleBidiStreamingCall<Uint8Array, Uint8Array> = (call) => {
      let over = false;
      const end = (error?: unknown) => {
        if (over) return;
        over = true;
        if (error === undefined) call.end();
        else call.emit("error", grpcStatus(error, path, onBug));
      };
      try {
        const visit = door?.enter(credentialsOf(call), end);
        call.on("cancelled", () => visit?.leave()).on("close", () => visit?.leave());
      } catch (error) {
        return end(error);
      }
      answerAll(call, reflection).then(() => end(), end);
    };
    server.register(path, handler, same, same, "bidi");
  }
}

async function answerAll(call: Call, reflection: Reflection): Promise<void> {
  // Left open where a message is refused: the status has yet to be sent.
  for await (const bytes of call.iterator({ destroyOnReturn: false })) {
    if (!call.write(await reflection.answer(bytes))) await once(call, "drain");
  }
}
