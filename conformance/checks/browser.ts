/**
 * A browser as a client: headless Chromium against the running gateway, over TLS and HTTP/2, with a
 * page that asks for much at once and says what came of it. Not part of the gate: Chromium is large.
 */
import { X509Certificate } from "node:crypto";
import { backend, certificateFor, gateway, route, tlsSecret } from "../e2e/manifests.ts";
import { withGateway } from "../e2e/harness.ts";
import { PORTS } from "../e2e/ports.ts";
import { eventually, within } from "../e2e/wait.ts";
import { debianProgram } from "../programs/debian.ts";
import type { Program } from "../programs/program.ts";
import { CHECKS, page, type PageResult } from "./browser_page.ts";

const HOST = "browser.test";
const HTTP = PORTS.clients;
const HTTPS = PORTS.clients + 1;
/** Milliseconds. */
const PATIENCE = 60_000;

/** Nothing but this page: no updates, no look-ups, no other profile. */
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-dev-shm-usage",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

interface Backend {
  port: number;
  /** What the page said. */
  result: Promise<PageResult>;
  stop(): Promise<void>;
}

/** The page, what it asks for, and where it tells its result. */
function startBackend(whileOpen: () => Promise<void>): Backend {
  const { promise: result, resolve } = Promise.withResolvers<PageResult>();
  const encoder = new TextEncoder();
  const answer = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    if (pathname === "/") {
      return new Response(page(), { headers: { "content-type": "text/html" } });
    }
    if (pathname === "/result") {
      resolve(await request.json());
      return new Response("thanks");
    }
    if (pathname === "/echo") return new Response(request.body);
    if (pathname === "/open") {
      await whileOpen();
      return new Response("seen");
    }
    if (pathname === "/socket") {
      const { socket, response } = Deno.upgradeWebSocket(request);
      socket.onmessage = ({ data }) => socket.send(data);
      return response;
    }
    if (pathname === "/events") {
      const events = Array.from({ length: CHECKS.events }, (_, i) => `data: ${i}\n\n`);
      return new Response(ReadableStream.from(events.map((event) => encoder.encode(event))), {
        headers: { "content-type": "text/event-stream" },
      });
    }
    if (pathname === "/large") return new Response(new Uint8Array(CHECKS.large));
    return new Response(pathname);
  };
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, answer);
  return { port: server.addr.port, result, stop: () => server.shutdown() };
}

/** Opens the page and resolves when it has told its result. */
async function visit(
  chromium: Program,
  { certificate, result }: { certificate: string; result: Promise<PageResult> },
): Promise<PageResult> {
  const profile = await Deno.makeTempDir({ prefix: "lgw-browser-" });
  const publicKey = new X509Certificate(certificate).publicKey.export({
    type: "spki",
    format: "der",
  });
  const digest = await crypto.subtle.digest("SHA-256", new Uint8Array(publicKey));
  const child = new Deno.Command(chromium.path, {
    args: [
      ...FLAGS,
      `--user-data-dir=${profile}`,
      `--host-resolver-rules=MAP ${HOST} 127.0.0.1`,
      `--ignore-certificate-errors-spki-list=${new Uint8Array(digest).toBase64()}`,
      // It stays until the page has said what it saw.
      "--remote-debugging-port=0",
      `https://${HOST}:${HTTPS}/`,
    ],
    env: chromium.env,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    return await within("the page tells its result", result, { within: PATIENCE });
  } finally {
    try {
      child.kill();
    } catch {
      // It has ended by itself.
    }
    await child.status;
    // Its other processes write for a moment longer.
    await eventually("the profile is removed", async () => {
      await Deno.remove(profile, { recursive: true });
      return true;
    });
  }
}

const chromium = await debianProgram("chromium", {
  file: "usr/lib/chromium/chromium",
  env: Deno.env,
  onProgress: console.log,
});
const certificate = await certificateFor(HOST);
let connections = 0;
let look = () => Promise.resolve();
const behind = startBackend(() => look());
const files = {
  gateway: gateway({ http: HTTP, https: [{ name: "https", port: HTTPS, secret: "tls" }] }),
  secret: tlsSecret("tls", certificate),
  backend: backend("page", behind.port),
  route: route({ host: HOST, backend: "page" }),
};
await withGateway({ files }, async ({ ready, metrics }) => {
  await ready();
  look = async () => {
    connections = (await metrics()).get("lgw_proxy_active_connections") ?? NaN;
  };
  const { certificate: pem } = certificate;
  const said = await visit(chromium, { certificate: pem, result: behind.result });
  // A WebSocket over HTTP/2 (RFC 8441) shares the connection of the page.
  const checks = [...said.checks, {
    name: "everything over one connection, the WebSocket included",
    ok: connections === 1,
    seen: `${connections}`,
  }];
  console.log(said.agent);
  for (const { name, ok, seen } of checks) {
    console.log(`${ok ? "ok    " : "FAILED"}  ${name}: ${seen}`);
  }
  const failed = checks.filter(({ ok }) => !ok).length;
  console.log(`${checks.length - failed} passed, ${failed} failed`);
  Deno.exitCode = failed === 0 ? 0 : 1;
});
await behind.stop();
