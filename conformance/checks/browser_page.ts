/** The page of `browser.ts`, and what it tells. */

/** What the page told. */
export interface PageResult {
  /** Who the browser says that it is. */
  agent: string;
  checks: { name: string; ok: boolean; seen: string }[];
}

/** How much of each. */
export const CHECKS = {
  /** Requests at the same time: more than a server allows streams at once. */
  many: 300,
  /** Bytes. */
  large: 8 * 1024 * 1024,
  upload: 2 * 1024 * 1024,
  events: 200,
  messages: 200,
} as const;

/** HTML with a script that runs in a browser. */
export function page(): string {
  return `<!doctype html><meta charset="utf-8"><title>checks</title>
<script type="module">(${script})(${JSON.stringify(CHECKS)});</script>`;
}

/** Runs in the browser; its text is all that gets there. */
const script = `async ({ many, large, upload, events, messages }) => {
  const checks = [];
  const check = async (name, run) => {
    try {
      const { ok, seen } = await run();
      checks.push({ name, ok, seen: String(seen) });
    } catch (error) {
      checks.push({ name, ok: false, seen: String(error) });
    }
  };
  await check("the page came over HTTP/2", () => {
    const seen = performance.getEntriesByType("navigation")[0].nextHopProtocol;
    return { ok: seen === "h2", seen };
  });
  await check("many requests at once", async () => {
    const paths = Array.from({ length: many }, (_, i) => "/n/" + i);
    const texts = await Promise.all(paths.map(async (path) => (await fetch(path)).text()));
    const right = texts.filter((text, i) => text === paths[i]).length;
    return { ok: right === many, seen: right + " of " + many };
  });
  await check("all of them over HTTP/2", () => {
    const protocols = performance.getEntriesByType("resource").map((entry) => entry.nextHopProtocol);
    const seen = [...new Set(protocols)].join(", ");
    return { ok: seen === "h2", seen };
  });
  await check("a large answer", async () => {
    const seen = (await (await fetch("/large")).arrayBuffer()).byteLength;
    return { ok: seen === large, seen };
  });
  await check("a large body, and its echo", async () => {
    const body = new Uint8Array(upload).map((_, i) => i * 31);
    const echo = new Uint8Array(
      await (await fetch("/echo", { method: "POST", body })).arrayBuffer(),
    );
    const right = echo.length === body.length && echo.every((octet, i) => octet === body[i]);
    return { ok: right, seen: echo.length };
  });
  await check("an answer that the page gives up in the middle", async () => {
    const gone = new AbortController();
    const reader = (await fetch("/large", { signal: gone.signal })).body.getReader();
    await reader.read();
    gone.abort();
    const end = await (async () => {
      while (!(await reader.read()).done);
      return "all of it";
    })().catch((error) => error.name);
    const after = await (await fetch("/n/after")).text();
    return { ok: end === "AbortError" && after === "/n/after", seen: end + ", then " + after };
  });
  await check("server-sent events, in order", async () => {
    const source = new EventSource("/events");
    const seen = [];
    await new Promise((resolve) => {
      source.onmessage = ({ data }) => seen.push(data) === events && resolve();
      source.onerror = () => resolve();
    });
    source.close();
    return { ok: seen.every((data, i) => data === String(i)) && seen.length === events, seen: seen.length };
  });
  await check("a WebSocket, in order", async () => {
    const socket = new WebSocket("wss://" + location.host + "/socket");
    const seen = [];
    await new Promise((resolve, reject) => {
      socket.onopen = async () => {
        await fetch("/open");
        for (let i = 0; i < messages; i++) socket.send(String(i));
      };
      socket.onmessage = ({ data }) => seen.push(data) === messages && resolve();
      socket.onerror = () => reject(new Error("failed"));
    });
    socket.close();
    return { ok: seen.every((data, i) => data === String(i)), seen: seen.length };
  });
  const body = JSON.stringify({ agent: navigator.userAgent, checks });
  await fetch("/result", { method: "POST", body });
}`;
