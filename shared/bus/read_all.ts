/** Reading what a stream holds now, once. */
import type { StreamName } from "./streams.ts";
import { BusError, type BusMessage, type BusReader } from "./transport.ts";

/** How long a read may take, ms. */
const TIMEOUT = 15_000;

/**
 * Hands every message of `filter` that is stored now to `onMessage`, in order.
 * @throws {BusError} `unavailable` when the bus does not deliver them in time.
 */
export async function readAll(
  bus: BusReader,
  options: {
    stream: StreamName;
    filter: string;
    onMessage(message: BusMessage): void;
    /** Gives up when it aborts. */
    signal?: AbortSignal;
  },
): Promise<void> {
  const { stream, filter, onMessage, signal } = options;
  const done = Promise.withResolvers<void>();
  const timer = setTimeout(
    () => done.reject(new BusError("unavailable", `${stream} was not read in ${TIMEOUT} ms`)),
    TIMEOUT,
  );
  const giveUp = () => done.reject(new BusError("unavailable", `${stream} is not read any more`));
  if (signal?.aborted) giveUp();
  signal?.addEventListener("abort", giveUp, { once: true });
  const consumption = bus.consume({
    stream,
    filter,
    start: () => ({ from: "all" }),
    onMessage,
    onCaughtUp: () => done.resolve(),
    onReplaced: () => done.reject(new BusError("unavailable", `${stream} was replaced`)),
  });
  try {
    await done.promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
    await consumption.close();
  }
}
