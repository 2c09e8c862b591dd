/**
 * The example backends of the quick start: two versions of a shop and an echo, on loopback. Each
 * answers with JSON that says which backend it is and what reached it.
 */

/** Name → port, as in `deploy/samples/quickstart`. */
export const EXAMPLE_BACKENDS: Readonly<Record<string, number>> = {
  "shop-v1": 18101,
  "shop-v2": 18102,
  "echo": 18103,
};

/** The answer of a backend to a request. */
export function answer(backend: string, request: Request): Response {
  const url = new URL(request.url);
  const headers = Object.fromEntries(
    [...request.headers].filter(([name]) => name === "host" || name.startsWith("x-")),
  );
  return Response.json({
    backend,
    method: request.method,
    path: url.pathname + url.search,
    headers,
  });
}

if (import.meta.main) {
  for (const [name, port] of Object.entries(EXAMPLE_BACKENDS)) {
    Deno.serve(
      { hostname: "127.0.0.1", port, onListen: () => {} },
      (request) => answer(name, request),
    );
  }
  console.log("ready");
  // Ends with its parent: our standard input closes when it does.
  for await (const _ of Deno.stdin.readable);
  Deno.exit(0);
}
