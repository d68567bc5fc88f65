/** Somebody who means no harm: calls all the while, on connections that were there before and on new ones. */
import { GrpcCaller, methods } from "../support/grpc.ts";

export class Bystander implements AsyncDisposable {
  readonly #address: string;
  readonly #caller: GrpcCaller;
  readonly #loop: Promise<void>;
  #served = 0;
  #stopped = false;
  #failure: unknown;

  constructor(address: string) {
    this.#address = address;
    this.#caller = new GrpcCaller(address);
    this.#loop = this.#call();
  }

  /** Resolves after some more calls. Rejects if one failed, at any time. */
  async isServed(): Promise<void> {
    const until = this.#served + 10;
    while (this.#served < until && this.#failure === undefined) await new Promise((resolve) => setImmediate(resolve));
    if (this.#failure !== undefined) throw this.#failure;
    const newcomer = new GrpcCaller(this.#address);
    try {
      await newcomer.call(methods.enqueue, { spec: { queue: "newcomer" } });
    } finally {
      newcomer.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#loop;
    this.#caller.close();
  }

  async #call(): Promise<void> {
    try {
      for (; !this.#stopped; this.#served++) {
        const { job } = await this.#caller.call(methods.enqueue, { spec: { queue: "bystander" } });
        await this.#caller.call(methods.cancelJob, { queue: "bystander", jobId: job!.jobId });
      }
    } catch (error) {
      this.#failure = error;
    }
  }
}
