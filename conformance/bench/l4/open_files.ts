/** The limit of open files of this process, which what it starts inherits. */
import { runCommand } from "../../../shared/lib/run_command.ts";

/** Raises it to `wanted`, or as far as the system lets it. Returns the limit. */
export async function raiseOpenFiles(wanted: number): Promise<number> {
  const own = ["prlimit", "--pid", `${Deno.pid}`];
  const ask = async (which: "SOFT" | "HARD") => {
    const { stdout } = await runCommand([...own, "--nofile", "--noheadings", `--output=${which}`]);
    return stdout.trim() === "unlimited" ? Infinity : Number(stdout);
  };
  const [soft, hard] = [await ask("SOFT"), await ask("HARD")];
  if (soft >= wanted) return soft;
  // Above the hard limit only who owns the machine may go.
  for (const limit of [wanted, Math.min(wanted, hard)]) {
    const option = `--nofile=${limit}:${hard < Infinity ? Math.max(limit, hard) : "unlimited"}`;
    if ((await runCommand([...own, option], { mayFail: true })).success) return limit;
  }
  return soft;
}
