/** How many file descriptors the processes of the stack may have. */

/** What a shell says of the limit that children inherit; 0 when it says nothing of use. */
export async function inheritedOpenFiles(): Promise<number> {
  try {
    const { stdout } = await new Deno.Command("sh", { args: ["-c", "ulimit -n"] }).output();
    const limit = Number(new TextDecoder().decode(stdout).trim());
    return Number.isSafeInteger(limit) && limit > 0 ? limit : 0;
  } catch {
    return 0;
  }
}
