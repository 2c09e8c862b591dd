/** `deno test` as a child process: its output passed on, its results counted. */

export interface TestCounts {
  /** Every test passed, and there was one. */
  success: boolean;
  /** `N passed, N failed`. */
  summary: string;
}

/** Runs `deno test` with these arguments; types are not checked, permissions are all given. */
export async function runDenoTest(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<TestCounts> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "--no-check", "--allow-all", ...args],
    env: { NO_COLOR: "1", ...env },
    stdout: "piped",
  }).spawn();
  let output = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    await Deno.stdout.write(chunk);
    output += decoder.decode(chunk, { stream: true });
  }
  const { success } = await child.status;
  return countTests(output, success);
}

/** Reads what `deno test` printed; a run that ended badly without a failed test counts as one. */
export function countTests(output: string, exitedWell: boolean): TestCounts {
  // Documentation examples have a line of their own.
  const lines = output.matchAll(/\| (\d+) passed(?: \(\d+ steps?\))? \| (\d+) failed/g);
  let [passed, failed] = [0, 0];
  for (const [, ok, bad] of lines) {
    passed += Number(ok);
    failed += Number(bad);
  }
  if (!exitedWell && failed === 0) failed = 1;
  return {
    success: exitedWell && passed > 0 && failed === 0,
    summary: `${passed} passed, ${failed} failed`,
  };
}
