/**
 * Runs every test and ends with one line that counts them: `N passed, N failed`. Exits with 1 when
 * one failed, or when none ran.
 */
import { locateOptionsFromEnv, locateServer } from "../../shared/bus/server/locate.ts";

const CONCURRENT_JOBS = "2";

// Once, before the tests that need it run side by side.
await locateServer({ ...locateOptionsFromEnv(Deno.env), onProgress: console.log });

// Types are checked once, here: every worker that a test starts would be checked again by itself.
const types = await new Deno.Command(Deno.execPath(), { args: ["check", "--quiet", "."] }).spawn()
  .status;
if (!types.success) {
  console.log("0 passed, 1 failed");
  Deno.exit(1);
}

const child = new Deno.Command(Deno.execPath(), {
  args: [
    "test",
    "--no-check",
    "--allow-all",
    "--parallel",
    "--trace-leaks",
    "--doc",
    ...Deno.args,
  ],
  env: { DENO_JOBS: CONCURRENT_JOBS, NO_COLOR: "1" },
  stdout: "piped",
}).spawn();

let output = "";
const decoder = new TextDecoder();
for await (const chunk of child.stdout) {
  await Deno.stdout.write(chunk);
  output += decoder.decode(chunk, { stream: true });
}
const { success } = await child.status;
const summaries = [...output.matchAll(/\| (\d+) passed(?: \(\d+ steps?\))? \| (\d+) failed/g)];
const [passed, failed] = summaries.reduce<[number, number]>(
  ([ok, bad], [, a, b]) => [ok + Number(a), bad + Number(b)],
  [0, 0],
);
const broken = !success && failed === 0 ? 1 : failed;
console.log(`${passed} passed, ${broken} failed`);
Deno.exit(success && passed > 0 ? 0 : 1);
