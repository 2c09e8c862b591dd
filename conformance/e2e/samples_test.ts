/** `deno task run --dir deploy/samples/protocols`: every line that it prints, by its real client. */
import { assert, assertEquals } from "@std/assert";
import { withFixedPorts } from "./fixed_ports.ts";
import { type ProgramName, realProgram } from "./real_clients.ts";
import { allGone, withRun } from "./run_process.ts";
import { within } from "./wait.ts";

/** The beginning of a line → what it prints, in the order of the guide. */
const EXPECTED: readonly [start: string, stdout: string][] = [
  ["grpcurl -plaintext 127", "grpc.reflection.v1.ServerReflection\nsamples.Echo\n"],
  ["grpcurl -plaintext -d", '{\n  "message": "hello"\n}\n'],
  ["redis-cli -p", "OK\n"],
  ["redis-cli -p", "hello\n"],
  ["redis-cli -p", "hello\n"],
  ["printf", "+PONG\r\n+OK\r\n"],
  ["echo hello | openssl", "hello, says the backend that ended the TLS\n"],
  ["dig", "192.0.2.10\n192.0.2.11\n"],
  ["dig", '"served by a UDPRoute"\n'],
];
const CLIENTS: readonly ProgramName[] = ["grpcurl", "redis-cli", "openssl", "dig"];

/** A shell finds the clients by their names, each with the libraries that it needs. */
async function folderOfClients(): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "lgw-e2e-clients-" });
  for (const name of CLIENTS) {
    const { path, env } = await realProgram(name);
    const variables = Object.entries(env).map(([key, value]) => `${key}='${value}' `).join("");
    await Deno.writeTextFile(`${folder}/${name}`, `#!/bin/sh\n${variables}exec '${path}' "$@"\n`, {
      mode: 0o755,
    });
  }
  return folder;
}

Deno.test("the samples of protocols: the printed lines do what they say, and nothing is left", () =>
  withFixedPorts(async () => {
    const folder = await folderOfClients();
    try {
      await withRun(["--dir", "deploy/samples/protocols"], async (run) => {
        const lines = run.output.split("\n").map((line) => line.trim())
          .filter((line) => /^(grpcurl|redis-cli|printf|echo|dig) /.test(line));
        assertEquals(lines.length, EXPECTED.length, run.output);
        for (const [index, [start, stdout]] of EXPECTED.entries()) {
          const line = lines[index] as string;
          assert(line.startsWith(start), line);
          const result = await within(
            line,
            new Deno.Command("sh", {
              args: ["-c", line],
              env: { PATH: `${folder}:${Deno.env.get("PATH")}` },
              stdin: "null",
            }).output(),
          );
          const said = new TextDecoder().decode(result.stderr);
          assertEquals(new TextDecoder().decode(result.stdout), stdout, `${line}\n${said}`);
          assertEquals(result.code, 0, `${line}\n${said}`);
        }
        const processes = await run.descendants();
        run.interrupt();
        assertEquals(await within("it ends", run.ended), 0, run.output);
        await allGone(processes);
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }));
