/** What both ports share: the methods, the door, and what is counted over all callers, wherever they came in. */
import { CallError } from "../../protocol/errors.ts";
import { maxMessageBytes } from "../../protocol/limits.ts";
import type { Broker } from "../broker/broker.ts";
import type { BidiMethod } from "./bidi.ts";
import type { StreamMethod, UnaryMethod } from "./bytes.ts";
import type { Door } from "./door.ts";
import { Exchanges, exchangePath } from "./exchange.ts";
import { Counter, type OnBug } from "./in-flight.ts";
import { type Flow, Outflow } from "./outflow.ts";
import { services } from "./services.ts";
import { WorkStream, workPath } from "./worker-service.ts";

export class Front {
  readonly broker: Broker;
  readonly unary: readonly UnaryMethod[];
  readonly streams: readonly StreamMethod[];
  readonly bidi: readonly BidiMethod[];
  /** Calls under way, so that a drain can wait for them. */
  readonly calls = new Counter();
  readonly onBug: OnBug;
  /** Absent: everybody may do everything. */
  readonly door: Door | undefined;
  readonly #exchanges: Exchanges;
  readonly #outflow: Outflow;

  constructor(broker: Broker, onBug: OnBug, door?: Door) {
    const { brokerId, clock, settings } = broker;
    const { unary, streams } = services(broker);
    this.broker = broker;
    this.unary = unary;
    this.streams = streams;
    this.onBug = onBug;
    this.door = door;
    this.#outflow = new Outflow(settings.maxUnreadBytes);
    this.#exchanges = new Exchanges({
      brokerId,
      clock,
      methods: unary,
      maxStreams: settings.maxExchanges,
      maxMessageBytes: maxMessageBytes(Math.max(settings.maxPayloadBytes, settings.maxResultBytes)),
      calls: this.calls,
      onBug,
    });
    this.bidi = [
      {
        path: workPath,
        open: (link, _credentials, visit) => ({
          // First: it may be refused.
          stream: new WorkStream(broker, link, visit),
          over: this.calls.begin(),
        }),
      },
      {
        path: exchangePath,
        // Each call goes through the door by itself, so that it ends as an ordinary one does when its right is taken away.
        open: (link, credentials) => ({
          stream: this.#exchanges.open(link, (inside, run) =>
            door ? door.through(credentials(), inside, run) : run(inside),
          ),
        }),
      },
    ];
  }

  /** Multiplexed streams. */
  get exchanges(): number {
    return this.#exchanges.streams.size;
  }

  /** What peers have not read. */
  get unreadBytes(): number {
    return this.#outflow.bytes;
  }

  /** What waits for one peer. Where all hold too much, `reset` drops the call, with all of it. */
  flow(reset: () => void): Flow {
    return this.#outflow.open(() => {
      this.broker.refusals.count(new CallError("RATE_LIMITED", "the peer does not read"));
      reset();
    });
  }

  /** Sends multiplexed callers elsewhere, and resolves once no call is under way. */
  drain(): Promise<void> {
    this.#exchanges.drain();
    return this.calls.idle();
  }
}

/** Whether requests of the method do not end by themselves: bidirectional streams. */
export function staysOpen(path: string): boolean {
  return path === workPath || path === exchangePath || path.startsWith("/grpc.reflection.");
}
