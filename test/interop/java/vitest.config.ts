/** `npm run test:interop:java`. It needs a JDK and Maven, so neither `npm test` nor `npm run test:interop` has it. */
import { mergeConfig } from "vitest/config";
import interop from "../vitest.config.ts";

export default { ...mergeConfig(interop, {}), test: { ...interop.test, include: ["test/interop/java/*.test.ts"] } };
