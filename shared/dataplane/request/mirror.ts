/**
 * RequestMirror: copies of requests, whose answers nobody waits for (Gateway API
 * HTTPRequestMirrorFilter). A mirror may fail, lag or be cut; the request it copies never notices.
 */
import type { TableMirror } from "../table/types.ts";
import { Deadline } from "../upstream/deadlines.ts";
import { UpstreamError } from "../upstream/errors.ts";
import { headerValue, isGrpcContent } from "../table/match.ts";
import { verdictOfAnswer, verdictOfError } from "../upstream/verdict.ts";
import type { RequestHead } from "../upstream/request_head.ts";
import { drain } from "./drain.ts";
import type { RequestCore } from "./handle.ts";
import { MirrorBody, MirrorCut, TeeBody } from "./mirror_body.ts";
import type { BodyReader } from "./types.ts";

/** What becomes of a mirrored request: label `outcome` of `lgw_proxy_mirrors_total`. */
export type MirrorOutcome =
  /** The endpoint answered. */
  | "answered"
  /** It did not, or not in time. */
  | "failed"
  /** The mirror fell behind the client's body, or the client's request ended in the middle. */
  | "cut"
  /** Too many were running. */
  | "refused"
  | "no_endpoints"
  /** A request to switch protocols: there is nobody to talk to a copy of it. */
  | "skipped";

/** Bytes of a mirror's answer that are read for the sake of its connection. */
const DRAIN_BYTES = 256 * 1024;

type Core = Pick<
  RequestCore,
  "endpoints" | "limits" | "random" | "stats" | "tls" | "upstream" | "upstreamHttp2"
>;

/** The mirrors of one request core. */
export class Mirrors {
  readonly #core: Core;
  #running = 0;

  constructor(core: Core) {
    this.#core = core;
  }

  /**
   * Starts the copies of a request that is about to be sent.
   *
   * @returns the body for the request itself
   */
  start(
    mirrors: readonly TableMirror[],
    request: { head: RequestHead; body: Uint8Array | BodyReader | null },
  ): Uint8Array | BodyReader | null {
    const { random } = this.#core;
    const { head, body } = request;
    const copies: MirrorBody[] = [];
    for (const mirror of mirrors) {
      if (mirror.share < 1 && random() >= mirror.share) continue;
      if (head.upgrade !== undefined) this.#count("skipped");
      else if (this.#running >= this.#core.limits.maxMirrors) this.#count("refused");
      else if (body === null || body instanceof Uint8Array) void this.#run(mirror, head, body);
      else {
        const copy = new MirrorBody(body.length, this.#core.limits.maxMirrorBodyBytes);
        copies.push(copy);
        void this.#run(mirror, head, copy);
      }
    }
    if (copies.length === 0 || body === null || body instanceof Uint8Array) return body;
    return new TeeBody(body, copies);
  }

  async #run(
    mirror: TableMirror,
    head: RequestHead,
    body: Uint8Array | MirrorBody | null,
  ): Promise<void> {
    const { endpoints, limits, tls, upstream, upstreamHttp2 } = this.#core;
    const endpoint = endpoints.pick(mirror.endpoints);
    const profile = mirror.tls === null ? null : tls.get(mirror.tls);
    if (endpoint === undefined || profile === undefined) {
      if (body instanceof MirrorBody) body.cancel();
      return this.#count(endpoint === undefined ? "no_endpoints" : "failed");
    }
    this.#running++;
    const client = mirror.protocol === "h2c" ? upstreamHttp2 : upstream;
    const { epoch } = endpoint;
    const exchange = client.exchange(endpoint, { ...head, body }, profile);
    const deadline = new Deadline(() =>
      exchange.abort(new UpstreamError("timeout", "the mirror took too long"))
    );
    upstream.deadlines.start(deadline, limits.mirrorTimeout);
    try {
      const response = await exchange.response;
      const call = isGrpcContent(headerValue(head.headers, "content-type"));
      endpoint.report(verdictOfAnswer(response, { call }), epoch);
      this.#count("answered");
      await drain(response.body, DRAIN_BYTES);
    } catch (error) {
      endpoint.report(verdictOfError(error), epoch);
      this.#count(isCut(error) ? "cut" : "failed");
    } finally {
      deadline.stop();
      this.#running--;
      // Whoever still copies into it need not.
      if (body instanceof MirrorBody) body.cancel();
    }
  }

  #count(outcome: MirrorOutcome): void {
    const { mirrors } = this.#core.stats;
    mirrors.set(outcome, (mirrors.get(outcome) ?? 0) + 1);
  }
}

/** Did the copy of the body end it? */
function isCut(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof MirrorCut) return true;
  }
  return false;
}
