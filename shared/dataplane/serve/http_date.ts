import type { Clock } from "../../lib/clock.ts";

/** A function that gives the value of the Date header (RFC 9110 §5.6.7), formatted once a second. */
export function httpDate(clock: Pick<Clock, "now">): () => string {
  let second = -1;
  let text = "";
  return () => {
    const now = Math.floor(clock.now() / 1000);
    if (now !== second) {
      second = now;
      text = new Date(now * 1000).toUTCString();
    }
    return text;
  };
}
