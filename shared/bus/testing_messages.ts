/** Messages for tests of the transports. */
import type { BusMessage, BusWriter, OutMessage } from "./transport.ts";

/** Resolves once it is connected. */
export function connected(bus: BusWriter): Promise<void> {
  return bus.connected ? Promise.resolve() : nextConnect(bus);
}

function nextConnect(bus: BusWriter): Promise<void> {
  return new Promise((resolve) => {
    const remove = bus.onConnected(() => {
      remove();
      resolve();
    });
  });
}

/** A message that says `text`. */
export function message(subject: string, text: string): OutMessage {
  return {
    subject,
    signed: { headers: { "Lgw-Test": text }, body: new TextEncoder().encode(text) },
  };
}

/** What a message says. */
export function textOf(received: BusMessage): string {
  return new TextDecoder().decode(received.signed.body);
}

/** Collects what a consumer delivers; `until(n)` waits for the n-th message. */
export function collector() {
  const texts: string[] = [];
  let wake: (() => void) | undefined;
  return {
    texts,
    onMessage(received: BusMessage) {
      texts.push(textOf(received));
      wake?.();
    },
    async until(count: number) {
      while (texts.length < count) await new Promise<void>((resolve) => wake = resolve);
    },
  };
}
