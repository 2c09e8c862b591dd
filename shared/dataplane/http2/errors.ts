/** What can be wrong with what a peer sends, in the two sizes that RFC 9113 §5.4 knows. */

/** Ends the connection with GOAWAY. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  /** @param code error code of RFC 9113 §7 */
  constructor(readonly code: number, problem: string) {
    super(problem);
  }
}

/** Ends one stream with RST_STREAM; the connection goes on. */
export class StreamError extends Error {
  override readonly name = "StreamError";
  /** @param code error code of RFC 9113 §7 */
  constructor(readonly code: number, problem: string) {
    super(problem);
  }
}
