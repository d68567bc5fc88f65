/** What a broker announces of its workers, as it is stored: JSON, with short names. A newer or older broker's may lack fields. */
import type { Attached, AttachedWorker } from "../storage.ts";

interface Stored {
  n?: number;
  q?: [queue: string, workers: number][];
  w?: Partial<AttachedWorker>[];
}

export function encodeAttached({ workers, byQueue, listed }: Attached): string {
  return JSON.stringify({ n: workers, q: [...byQueue], w: listed as AttachedWorker[] } satisfies Stored);
}

/** @param reply broker, what it said, and so on. What cannot be read is left out */
export function decodeAnnounced(reply: readonly Buffer[]): Map<string, Attached> {
  const announced = new Map<string, Attached>();
  for (let i = 0; i + 1 < reply.length; i += 2) {
    const attached = decode(reply[i + 1]!.toString());
    if (attached) announced.set(reply[i]!.toString(), attached);
  }
  return announced;
}

const absent: AttachedWorker = {
  ...{ workerId: "", sessionId: "", queues: [], window: 0, outstanding: 0, connectTime: 0, clientInfo: "" },
  draining: false,
};

function decode(text: string): Attached | undefined {
  try {
    const { n = 0, q = [], w = [] } = JSON.parse(text) as Stored;
    return { workers: n, byQueue: new Map(q), listed: w.map((worker) => ({ ...absent, ...worker })) };
  } catch {
    return undefined;
  }
}
