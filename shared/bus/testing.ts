/** Real buses for tests: a nats-server with the roles' users, and a folder. */
import { connect } from "nats";
import { type BusRole, inboxPrefix, permissionsFor } from "./permissions.ts";
import { locateOptionsFromEnv, locateServer } from "./server/locate.ts";
import type { StreamName } from "./streams.ts";
import type { BusWriter } from "./transport.ts";
import { openFileBus } from "./transport_file.ts";
import { openNatsBus } from "./transport_nats.ts";

/** What tests need of either bus. */
export interface TestBus {
  /** Opens it with a role's rights. */
  open(user: "controller" | "proxy" | "reader"): BusWriter;
  /** Deletes a stream, as an operator would. */
  wipe(stream: StreamName): Promise<void>;
  /** A bus of its own process can be away; a folder cannot. */
  outage?: {
    /** Kills it without notice; file streams stay on disk. */
    kill(): Promise<void>;
    /** Starts it again on the same port and folder. */
    start(): Promise<void>;
  };
  close(): Promise<void>;
}

/** Every kind of bus, for tests that all of them must pass. */
export const TEST_BUSES: ReadonlyMap<string, () => Promise<TestBus>> = new Map([
  ["nats", () => startTestServer()],
  ["file", () => startTestFolder()],
]);

/** A folder as a bus. */
export async function startTestFolder(): Promise<TestBus> {
  const folder = await Deno.makeTempDir({ prefix: "lgw-bus-" });
  return {
    open: () => openFileBus({ folder }),
    wipe: (stream) => Deno.remove(`${folder}/${stream}`, { recursive: true }),
    close: () => Deno.remove(folder, { recursive: true }),
  };
}

/** A running server. */
export interface TestServer extends TestBus {
  url: string;
  /** Users by role; the password of each is its name with `-pass`. */
  users: { controller: string; proxy: string; reader: string };
  passwordOf(user: string): string;
  outage: NonNullable<TestBus["outage"]>;
}

/** Starts the nats-server that `server/locate.ts` finds. */
export async function startTestServer(options: { fleet?: string } = {}): Promise<TestServer> {
  const { fleet = "default" } = options;
  const folder = await Deno.makeTempDir({ prefix: "lgw-nats-" });
  const port = freePort();
  const roles: BusRole[] = [
    { role: "controller", user: "controller" },
    { role: "proxy", user: "proxy", fleet },
    { role: "reader", user: "reader" },
  ];
  const users = roles.map((role) => ({
    user: role.user,
    password: `${role.user}-pass`,
    permissions: permissionsFor(role),
  }));
  await Deno.writeTextFile(
    `${folder}/nats.conf`,
    JSON.stringify(
      {
        host: "127.0.0.1",
        port,
        jetstream: { store_dir: `${folder}/data` },
        authorization: { users },
      },
      null,
      2,
    ),
  );
  const { path } = await locateServer(locateOptionsFromEnv(Deno.env));
  let child: Deno.ChildProcess | undefined;
  const start = async () => {
    child = new Deno.Command(path, {
      args: ["-c", `${folder}/nats.conf`],
      stdout: "null",
      stderr: "null",
    }).spawn();
    await listening(port);
  };
  const kill = async () => {
    if (child === undefined) return;
    child.kill("SIGKILL");
    await child.status;
    child = undefined;
  };
  await start();
  return {
    url: `nats://127.0.0.1:${port}`,
    users: { controller: "controller", proxy: "proxy", reader: "reader" },
    passwordOf: (user) => `${user}-pass`,
    open: (user) =>
      openNatsBus({
        access: { url: `nats://127.0.0.1:${port}`, user, password: `${user}-pass` },
      }),
    outage: { kill, start },
    async wipe(stream) {
      const connection = await connect({
        servers: `nats://127.0.0.1:${port}`,
        user: "controller",
        pass: "controller-pass",
        inboxPrefix: inboxPrefix("controller"),
      });
      await connection.request(`$JS.API.STREAM.DELETE.${stream}`);
      await connection.close();
    },
    async close() {
      await kill();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

async function listening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt++) {
    try {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port });
      // The greeting comes only when the server is ready for clients.
      const read = await connection.read(new Uint8Array(16));
      connection.close();
      if (read !== null) return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  throw new Error(`nats-server did not listen on 127.0.0.1:${port}`);
}
