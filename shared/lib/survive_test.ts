import { assertEquals } from "@std/assert";
import { silentLogger } from "./log.ts";
import { surviveUncaught } from "./survive.ts";

Deno.test("surviveUncaught() logs what nobody caught and keeps it from ending the process", () => {
  const events: string[] = [];
  const target = new EventTarget();
  const release = surviveUncaught({
    ...silentLogger,
    error: (event, fields) => events.push(`${event} ${fields?.error}`),
  }, target);
  const reset = new ErrorEvent("error", { error: new Error("read ECONNRESET"), cancelable: true });
  target.dispatchEvent(reset);
  const rejection = new PromiseRejectionEvent("unhandledrejection", {
    promise: Promise.resolve(),
    reason: "why",
    cancelable: true,
  });
  target.dispatchEvent(rejection);
  assertEquals([reset.defaultPrevented, rejection.defaultPrevented], [true, true]);
  assertEquals(events, ["uncaught_error read ECONNRESET", "uncaught_rejection why"]);
  release();
  const later = new ErrorEvent("error", { cancelable: true });
  target.dispatchEvent(later);
  assertEquals(later.defaultPrevented, false);
});
