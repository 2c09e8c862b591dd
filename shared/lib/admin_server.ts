/** The admin endpoint of a process: loopback only, plain HTTP, never on a listener's address. */

/** Answers one path. */
export type AdminRoute = (request: Request) => Response | Promise<Response>;

export interface AdminServerOptions {
  /** 0 = any free port. */
  port: number;
  /** Loopback address. Default `127.0.0.1`. */
  hostname?: string;
  /** Path → answer to GET. */
  routes: Readonly<Record<string, AdminRoute>>;
  /**
   * Path → what PUT changes. Not POST: a page of another origin could send one without asking, and
   * PUT it may not.
   */
  changes?: Readonly<Record<string, AdminRoute>>;
}

export interface AdminServer {
  port: number;
  close(): Promise<void>;
}

/** Names under which a loopback address is asked for, with or without a port. */
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i;

/**
 * Binds and serves. Throws when the port is taken.
 * @throws {TypeError} when the address is not a loopback address
 */
export function serveAdmin(options: AdminServerOptions): AdminServer {
  const { port, hostname = "127.0.0.1", routes, changes = {} } = options;
  if (hostname !== "::1" && !LOOPBACK.test(hostname)) {
    throw new TypeError(`${hostname}: the admin endpoint is for loopback addresses only`);
  }
  const server = Deno.serve({
    port,
    hostname,
    onListen: () => {},
    onError: () => new Response("internal error\n", { status: 500 }),
  }, (request) => {
    // A page that a browser shows can make its own name point here (DNS rebinding) and read the
    // answers as its own; it cannot change the Host that it sends.
    const host = request.headers.get("host");
    if (host !== null && !LOOPBACK.test(host)) {
      return new Response("ask by a loopback address\n", { status: 403 });
    }
    return answer(request, { routes, changes });
  });
  return { port: server.addr.port, close: () => server.shutdown() };
}

/** The answer of the path's route; otherwise 404 with what there is, or 405 with what is allowed. */
export function answer(
  request: Request,
  { routes, changes = {} }: Pick<AdminServerOptions, "routes" | "changes">,
): Response | Promise<Response> {
  const { pathname } = new URL(request.url);
  const read = own(routes, pathname);
  const change = own(changes, pathname);
  if (read === undefined && change === undefined) {
    const paths = [...Object.keys(routes), ...Object.keys(changes).map((path) => `PUT ${path}`)];
    return new Response(`${paths.sort().join("\n")}\n`, { status: 404 });
  }
  const { method } = request;
  const route = method === "PUT"
    ? change
    : method === "GET" || method === "HEAD"
    ? read
    : undefined;
  if (route === undefined) {
    const allow = [...read ? ["GET", "HEAD"] : [], ...change ? ["PUT"] : []].join(", ");
    return new Response(`only ${allow}\n`, { status: 405, headers: { allow } });
  }
  return route(request);
}

function own<V>(record: Readonly<Record<string, V>>, key: string): V | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

/** A JSON answer, indented for people. */
export function jsonResponse(value: unknown, status = 200): Response {
  return new Response(`${JSON.stringify(value, null, 2)}\n`, {
    status,
    headers: { "content-type": "application/json" },
  });
}
