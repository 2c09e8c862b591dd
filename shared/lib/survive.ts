/**
 * Keeps a process alive when something throws where nobody can catch it. The NATS client leaves its
 * socket without an `error` listener between two stages of connecting: a reset just then would end
 * a proxy whose traffic has nothing to do with it.
 */
import { errorMessage } from "./log.ts";
import type { Logger } from "./log.ts";

/** Logs what nobody caught, and goes on. The returned function takes the guard away. */
export function surviveUncaught(log: Logger, target: EventTarget = globalThis): () => void {
  const onError = (event: Event) => {
    event.preventDefault();
    const error = event instanceof ErrorEvent ? event.error ?? event.message : event.type;
    log.error("uncaught_error", { error: errorMessage(error) });
  };
  const onRejection = (event: Event) => {
    event.preventDefault();
    const reason: unknown = event instanceof PromiseRejectionEvent ? event.reason : event.type;
    log.error("uncaught_rejection", { error: errorMessage(reason) });
  };
  target.addEventListener("error", onError);
  target.addEventListener("unhandledrejection", onRejection);
  return () => {
    target.removeEventListener("error", onError);
    target.removeEventListener("unhandledrejection", onRejection);
  };
}
