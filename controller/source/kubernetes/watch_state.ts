/**
 * What to ask next for a collection that is kept up to date, as a pure state machine: list, watch,
 * bookmarks, expired versions, waits. `watch.ts` does what it says.
 *
 * An answer that failed, broke off or was refused never deletes anything: only a complete list
 * tells what is gone. (Kubernetes API concepts: "Efficient detection of changes", "410 Gone",
 * "Streaming lists".)
 */

/** Where a collection stands. */
export interface WatchState {
  phase:
    /** Everything comes as a stream of events that ends with a bookmark. */
    | "stream_list"
    /** Everything comes in pages. */
    | "page_list"
    /** Changes since `resourceVersion`. */
    | "watch";
  /** Of the newest thing seen; empty before the first list. */
  resourceVersion: string;
  /** Does the server stream lists? Assumed until it refuses. */
  streams: boolean;
  /** Failures in a row. */
  failures: number;
  /** Answers in a row that the resource is not there. */
  absences: number;
  /** A complete list was seen once. */
  synced: boolean;
  /** The version was too old, and nothing was heard of a watch since. */
  expired: boolean;
}

export const INITIAL: WatchState = {
  phase: "stream_list",
  resourceVersion: "",
  streams: true,
  failures: 0,
  absences: 0,
  synced: false,
  expired: false,
};

/** Failures in a row after which a list is asked for in pages, which every server knows. */
const STREAM_TRIES = 4;

/**
 * So many answers in a row make a resource absent: a server that has just started may not know all
 * of its own yet, and what stands before one may answer for it. What was there once is given more
 * time between the answers: everything that belongs to it would be deleted.
 */
export const ABSENCES = 3;

/** How a request ended. */
export type Outcome =
  /** The list is complete, at a version. */
  | { kind: "listed"; resourceVersion: string }
  /** An object or bookmark came. */
  | { kind: "seen"; resourceVersion: string }
  /** The answer ended as it may at any time; `lively` = after it had lasted. */
  | { kind: "ended"; lively: boolean }
  /** The version is too old to continue from. */
  | { kind: "expired" }
  /** The server does not stream lists. */
  | { kind: "streams_refused" }
  /** The resource is not there. */
  | { kind: "absent" }
  /** We may not read it. */
  | { kind: "forbidden" }
  /** Unreachable, overloaded, broken off; `lost` = something that was heard has to be told again. */
  | { kind: "failed"; retryAfter?: number; lost?: boolean };

/** How long to wait before the next request. */
export type Wait = "none" | "soon" | "backoff" | "long";

export interface Step {
  state: WatchState;
  wait: Wait;
}

/** Starts over with a list; what is known stays until it is complete. */
function relist(state: WatchState): WatchState {
  const streams = state.streams && state.failures < STREAM_TRIES;
  return { ...state, phase: streams ? "stream_list" : "page_list", resourceVersion: "" };
}

/** The state after an outcome, and how long to wait before acting on it. */
export function step(state: WatchState, outcome: Outcome): Step {
  switch (outcome.kind) {
    case "listed":
      return {
        state: {
          ...state,
          phase: "watch",
          resourceVersion: outcome.resourceVersion,
          // A list after an expired version may lead to the next one: not in a circle.
          failures: state.expired ? state.failures : 0,
          absences: 0,
          synced: true,
        },
        wait: "none",
      };
    case "seen":
      // Objects of a list that is not complete are no place to continue from.
      return state.phase === "watch"
        ? {
          state: {
            ...state,
            resourceVersion: outcome.resourceVersion,
            failures: 0,
            expired: false,
          },
          wait: "none",
        }
        : { state, wait: "none" };
    case "ended":
      if (state.phase !== "watch") return failed(relist(state));
      return outcome.lively
        ? { state: { ...state, failures: 0, expired: false }, wait: "none" }
        // A server that closes at once must not be asked in a circle.
        : failed(state);
    case "expired":
      return {
        state: { ...relist(state), failures: state.failures + 1, expired: true },
        wait: state.expired || state.failures > 0 ? "backoff" : "none",
      };
    case "streams_refused":
      return {
        state: relist({ ...state, streams: false }),
        wait: state.streams ? "none" : "backoff",
      };
    case "absent": {
      const absences = Math.min(state.absences + 1, ABSENCES);
      return {
        state: { ...relist(state), failures: 0, absences },
        wait: absences < ABSENCES && !state.synced ? "soon" : "long",
      };
    }
    case "forbidden":
      return { state: { ...relist(state), failures: 0 }, wait: "long" };
    case "failed":
      // A watch goes on where it was; a list starts over.
      return failed(state.phase === "watch" && outcome.lost !== true ? state : relist(state));
    default:
      return outcome satisfies never;
  }
}

function failed(state: WatchState): Step {
  return { state: { ...state, failures: state.failures + 1 }, wait: "backoff" };
}

/** What a status code means for a list or a watch. */
export function outcomeOf(
  { status, reason, retryAfter }: {
    status: number;
    reason: string;
    retryAfter?: number | undefined;
  },
  state: WatchState,
): Outcome {
  switch (status) {
    case 410:
      return { kind: "expired" };
    case 404:
      return { kind: "absent" };
    case 403:
      return { kind: "forbidden" };
    case 400:
    case 422:
      if (state.phase === "stream_list") return { kind: "streams_refused" };
      break;
  }
  if (reason === "Expired" || reason === "Gone") return { kind: "expired" };
  return { kind: "failed", ...(retryAfter === undefined ? {} : { retryAfter }) };
}
