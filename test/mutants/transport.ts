/** Bugs in what holds a broker together when somebody means harm. */
import type { Mutant } from "./mutant.ts";

const bounds = "server/rpc/grpc/bounds.ts";
const slow = ["test/transport/slow.test.ts"];

export const transport: readonly Mutant[] = [
  {
    name: "endless-greeting",
    why: "a connection that says nothing stays for ever",
    file: bounds,
    find: `http2.on("session", (session) => endUnlessGreeted(session, bounds));`,
    replace: "",
    tests: slow,
    only: /does not confirm the settings/,
  },
  {
    name: "endless-request",
    why: "a request that never ends holds its stream for ever",
    file: bounds,
    find: "else giveTime();",
    replace: "",
    tests: slow,
    only: /of which half comes/,
  },
  {
    name: "half-closed-for-ever",
    why: "a stream that was refused stays until the other side ends it",
    file: bounds,
    find: `stream.once("finish", giveTime)`,
    replace: "return",
    tests: slow,
    only: /on a stream of a worker/,
  },
  {
    name: "long-headers",
    why: "a connection that does not confirm settings sends headers of any length",
    file: bounds,
    find: "if (bytesOf(rawHeaders) > MAX_HEADER_LIST_BYTES)",
    replace: "if (bytesOf(rawHeaders) > Number.POSITIVE_INFINITY)",
    tests: ["test/transport/attacks.test.ts"],
    only: /has not confirmed/,
  },
  {
    name: "bombs-unpacked",
    why: "10 KB unpack to 10 MB",
    file: bounds,
    find: `if (encoding !== undefined && encoding !== "identity")`,
    replace: "if (false)",
    tests: ["test/rpc/bad-input.test.ts"],
    only: /compressed/,
  },
  {
    name: "frames-beyond-the-window",
    why: "one frame of a worker keeps the storage busy for seconds",
    file: "server/rpc/worker-service.ts",
    find: "noMoreThanAWindow(name, items);",
    replace: "void [name, items];",
    tests: ["test/transport/fuzz.test.ts"],
    only: /20,000 renewals/,
  },
  {
    name: "rejection-ends-the-broker",
    why: "one lost answer ends the process for everybody",
    file: "server/main.ts",
    find: `process.on("unhandledRejection", (reason) => logger.error({ err: errorOf(reason) }, "unhandled rejection"));`,
    replace: "",
    tests: ["test/faults/bugs.test.ts"],
    only: /a rejection/,
  },
];
