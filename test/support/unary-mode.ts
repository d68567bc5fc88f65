/** In place of client/default-mode.ts: QUEUECALL_TEST_MODE=unary npm test. */
export const DEFAULT_MODE = "unary";
