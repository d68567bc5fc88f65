/** A process of the benchmark: answers what its parent asks over the channel between them, and ends with it. */
type Verbs = Record<string, (question: never) => unknown>;

interface Question {
  id: number;
  verb: string;
  about: unknown;
}

/** What this process can be asked. Call it once. */
export function answer(verbs: Verbs): void {
  process.on("message", async ({ id, verb, about }: Question) => {
    try {
      process.send?.({ id, answer: (await verbs[verb]?.(about as never)) ?? null });
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  });
  process.once("disconnect", () => process.exit());
  process.send?.({ ready: true });
}
