/** A nats-server that is not the stack's own, as a user would run it. */
import { locateOptionsFromEnv, locateServer } from "../../shared/bus/server/locate.ts";
import { eventually } from "./wait.ts";

export interface ExternalServer {
  port: number;
  user: string;
  password: string;
}

/** Runs a server with JetStream and one user; it and its streams are gone afterwards. */
export async function withExternalServer(
  { port, user, password }: ExternalServer,
  use: (natsUrl: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "lgw-e2e-nats-" });
  const { path } = await locateServer(locateOptionsFromEnv(Deno.env));
  const child = new Deno.Command(path, {
    args: ["-a", "127.0.0.1", "-p", String(port), "-js", "-sd", folder].concat(
      ["--user", user, "--pass", password],
    ),
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    await eventually("the server listens", async () => {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => null);
      conn?.close();
      return conn !== null;
    });
    await use(`nats://${user}:${password}@127.0.0.1:${port}`);
  } finally {
    child.kill("SIGTERM");
    await child.status;
    await Deno.remove(folder, { recursive: true });
  }
}
