/** How calls travel where nobody says: docs of `mode` in options.ts. By itself, so that the tests can be run with the other one. */
export const DEFAULT_MODE: "multiplex" | "unary" = "multiplex";
