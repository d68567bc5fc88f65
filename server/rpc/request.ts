/** The bytes of a request, handed out once: a call may wait for an hour, and what it sent must not wait with it. */
export class RequestBytes {
  #bytes: Uint8Array | undefined;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  take(): Uint8Array {
    const bytes = this.#bytes ?? new Uint8Array();
    this.#bytes = undefined;
    return bytes;
  }
}
