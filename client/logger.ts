/** Where the client says what a program should know. pino fits, and so does the worker's logger. */
export interface Logger {
  warn(fields: object, message: string): void;
}

/** The default: a process warning, which a program can listen for or turn off. */
export const processLogger: Logger = {
  warn(fields, message) {
    process.emitWarning(message, { type: "QueuecallWarning", detail: JSON.stringify(fields) });
  },
};
