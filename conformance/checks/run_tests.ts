/**
 * Runs every test and ends with one line that counts them: `N passed, N failed`. Exits with 1 when
 * one failed, or when none ran.
 */
import { locateOptionsFromEnv, locateServer } from "../../shared/bus/server/locate.ts";
import { runDenoTest } from "./count_tests.ts";

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

const { success, summary } = await runDenoTest(
  ["--parallel", "--trace-leaks", "--doc", ...Deno.args],
  { DENO_JOBS: CONCURRENT_JOBS },
);
console.log(summary);
Deno.exit(success ? 0 : 1);
