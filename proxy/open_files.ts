/** How many file descriptors this process may have, where the system says so. */

/**
 * The soft limit, which the runtime has raised to the hard one at start. Undefined when it cannot be
 * read: Deno gives `/proc` only to processes with every permission, others are told by who starts
 * them.
 */
export function readOpenFileLimit(): number | undefined {
  try {
    return parseOpenFileLimit(Deno.readTextFileSync("/proc/self/limits"));
  } catch {
    return undefined;
  }
}

/** @param limits the text of `/proc/<pid>/limits` */
export function parseOpenFileLimit(limits: string): number | undefined {
  const soft = /^Max open files\s+(\d+)\s/m.exec(limits)?.[1];
  return soft === undefined ? undefined : Number(soft);
}
