/** Where the worker writes what an operator should know. pino fits. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The default: warnings and errors go to the console, the rest nowhere. */
export const consoleLogger: Logger = {
  debug() {},
  info() {},
  warn: (fields, message) => console.warn(`queuecall worker: ${message}`, fields),
  error: (fields, message) => console.error(`queuecall worker: ${message}`, fields),
};
