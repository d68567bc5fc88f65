/** Running programs, and stopping with a reason. */
import { spawn } from "node:child_process";
import { constants } from "node:os";

/** Ends the script: its message is all there is to say. */
export class Stop extends Error {
  /**
   * @param {string} message
   * @param {number} exitCode
   */
  constructor(message, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/**
 * Runs a program on our own terminal; signals reach it too. Resolves with its exit code.
 * @param {string} program
 * @param {string[]} args
 * @param {import("node:child_process").SpawnOptions} [options]
 * @returns {Promise<number>}
 */
export function run(program, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: "inherit", ...options });
    const forward = (/** @type {NodeJS.Signals} */ signal) => void child.kill(signal);
    const signals = /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]);
    for (const signal of signals) process.on(signal, forward);
    child.once("error", (error) => reject(new Stop(`cannot run ${program}: ${error.message}`)));
    child.once("exit", (code, signal) => {
      for (const each of signals) process.off(each, forward);
      // As a shell does: 128 + the signal's number.
      resolve(code ?? 128 + (signal ? constants.signals[signal] : 0));
    });
  });
}
