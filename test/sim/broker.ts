/** A broker as a process of the simulator: the real one, behind an adapter that takes streams where another takes HTTP/2. */
import type { CallError } from "../../protocol/errors.ts";
import { maxMessageBytes } from "../../protocol/limits.ts";
import { Broker } from "../../server/broker/broker.ts";
import type { Call } from "../../server/broker/callers.ts";
import type { Observer } from "../../server/broker/observer.ts";
import type { ByteLink } from "../../server/rpc/byte-link.ts";
import type { StreamMethod, UnaryMethod } from "../../server/rpc/bytes.ts";
import { Exchanges, exchangePath } from "../../server/rpc/exchange.ts";
import { Counter } from "../../server/rpc/in-flight.ts";
import { services } from "../../server/rpc/services.ts";
import { toWireStatus } from "../../server/rpc/status.ts";
import { WorkStream, workPath } from "../../server/rpc/worker-service.ts";
import type { BrokerSettings } from "../../server/settings.ts";
import type { Storage } from "../../server/storage/storage.ts";
import type { Network } from "./network.ts";
import type { Process } from "./time.ts";
import { type Message, OK, Wire, type WireStream } from "./wire.ts";

export interface SimBrokerOptions {
  brokerId: string;
  address: string;
  process: Process;
  network: Network<Message>;
  storage: Storage;
  settings: BrokerSettings;
  observer: Partial<Observer>;
  /** Told of what must not happen. */
  onBug(error: unknown, path: string): void;
}

export class SimBroker {
  readonly #o: SimBrokerOptions;
  readonly #broker: Broker;
  readonly #unary: ReadonlyMap<string, UnaryMethod>;
  readonly #streams: ReadonlyMap<string, StreamMethod>;
  readonly #exchanges: Exchanges;
  readonly #wires = new Set<Wire>();
  readonly #calls = new Counter();

  constructor(options: SimBrokerOptions) {
    this.#o = options;
    const { brokerId, process, storage, settings, observer, onBug } = options;
    const { clock } = process;
    this.#broker = new Broker({ brokerId, clock, storage, settings, observer });
    const { unary, streams } = services(this.#broker);
    this.#unary = new Map(unary.map((method) => [method.path, method]));
    this.#streams = new Map(streams.map((method) => [method.path, method]));
    this.#exchanges = new Exchanges({
      ...{ brokerId, clock, methods: unary, calls: this.#calls, onBug },
      maxStreams: settings.maxExchanges,
      maxMessageBytes: maxMessageBytes(settings.maxPayloadBytes),
    });
  }

  get broker(): Broker {
    return this.#broker;
  }

  /** For people. */
  get holds(): string {
    return `${this.#broker.workers.size} sessions, ${this.#calls.count} calls, ${this.#exchanges.streams.size} exchanges`;
  }

  start(): void {
    const { address, process, network } = this.#o;
    this.#broker.start();
    network.listen(address, process, (side) => {
      const wire = Wire.accept(process, side, (stream, path, timeoutMs) => this.#serve(stream, path, timeoutMs));
      this.#wires.add(wire);
    });
  }

  /** As the real one does on SIGTERM. Answers whether something had to be cut. */
  async drain(): Promise<boolean> {
    const { address, process, network, settings } = this.#o;
    const ended = Promise.all([this.#broker.drain(), this.#drainCalls()]).then(() => false);
    network.unlisten(address, process);
    for (const wire of this.#wires) wire.send({ kind: "goaway" });
    const over = new Promise<boolean>((resolve) => process.after(settings.drainTimeoutMs, () => resolve(true)));
    const cut = await Promise.race([ended, over]);
    this.close();
    return cut;
  }

  close(): void {
    const { address, process, network } = this.#o;
    this.#broker.close();
    network.unlisten(address, process);
    for (const wire of this.#wires) wire.close();
  }

  #drainCalls(): Promise<void> {
    this.#exchanges.drain();
    return this.#calls.idle();
  }

  #serve(stream: WireStream, path: string, timeoutMs: number | undefined): void {
    const unary = this.#unary.get(path);
    const streaming = this.#streams.get(path);
    if (unary) this.#serveUnary(unary, stream, timeoutMs);
    else if (streaming) this.#serveStream(streaming, stream);
    else if (path === workPath)
      this.#serveBidi(stream, (link) => new WorkStream(this.#broker, link), this.#calls.begin());
    else if (path === exchangePath)
      this.#serveBidi(stream, (link) => this.#exchanges.open(link, (call, run) => run(call)));
    else throw new Error(`the simulator serves no ${path}`);
  }

  #serveUnary(method: UnaryMethod, stream: WireStream, timeoutMs: number | undefined): void {
    const call = new StreamCall(timeoutMs);
    stream.handlers = {
      lost: () => call.gone(),
      data: (bytes) => {
        const done = this.#calls.begin();
        const timer =
          timeoutMs !== undefined &&
          this.#o.process.after(timeoutMs, () =>
            call.end(() => stream.end({ ...OK, code: 4, message: "Deadline exceeded" })),
          );
        const answered = (send: () => void) => {
          if (timer) timer.cancel();
          done();
          if (!call.over) send();
          call.gone();
        };
        method.handle(bytes, call).then(
          (answer) =>
            answered(() => {
              stream.send(answer);
              stream.end(OK);
            }),
          (error) => answered(() => stream.end(this.#status(error, method.path))),
        );
      },
    };
  }

  #serveStream(method: StreamMethod, stream: WireStream): void {
    const call = new StreamCall(undefined);
    let more = () => {};
    stream.handlers = {
      lost: () => {
        call.gone();
        more();
      },
      writable: () => more(),
      data: (bytes) => void pump(bytes),
    };
    const pump = async (bytes: Uint8Array) => {
      const done = this.#calls.begin();
      try {
        for await (const message of method.handle(bytes, call)) {
          if (call.over) break;
          stream.send(message);
          if (!stream.writable) await new Promise<void>((resolve) => (more = resolve));
        }
        if (!call.over) stream.end(OK);
      } catch (error) {
        if (!call.over) stream.end(this.#status(error, method.path));
      } finally {
        done();
      }
    };
  }

  #serveBidi(
    stream: WireStream,
    open: (link: ByteLink) => Pick<WorkStream, "message" | "writable" | "ended" | "closed">,
    done: () => void = () => {},
  ): void {
    let ended = false;
    const end = (error?: Error) => {
      if (ended) return;
      ended = true;
      done();
      stream.end(error ? this.#status(error, "stream") : OK);
    };
    const link: ByteLink = {
      get writable() {
        return stream.writable && !ended;
      },
      send: (pieces) => void (ended || stream.send(Buffer.concat(pieces))),
      // What is not read is bounded by what one seed sends.
      read() {},
      hold() {},
      end,
      destroy: () => {
        if (ended) return;
        ended = true;
        done();
        stream.reset();
      },
    };
    const served = open(link);
    stream.handlers = {
      data: (bytes) => void (ended || served.message(bytes)),
      half: () => served.ended(),
      writable: () => served.writable(),
      lost: () => {
        ended = true;
        done();
        served.closed();
      },
    };
  }

  #status(error: unknown, path: string) {
    const status = toWireStatus(error);
    if ((error as Partial<CallError>)?.reason === undefined) this.#o.onBug(error, path);
    return status;
  }
}

/** A call that came by a stream of its own. */
class StreamCall implements Call {
  readonly deadlineMs: number | undefined;
  over = false;
  #onGone: (() => void)[] = [];

  constructor(deadlineMs: number | undefined) {
    this.deadlineMs = deadlineMs;
  }

  onGone(fn: () => void): void {
    this.#onGone.push(fn);
  }

  gone(): void {
    this.over = true;
    for (const fn of this.#onGone.splice(0)) fn();
  }

  end(say: () => void): void {
    if (this.over) return;
    say();
    this.gone();
  }
}
