/** How many client connections fit into the file descriptors that the process may have. */

/** Descriptors for everything else: bus, admin, listeners, log, the runtime's own. */
const OTHER_FILES = 64;

/** What is enforced, and why. */
export interface ConnectionBound {
  /** Client connections. */
  bound: number;
  /** Descriptors that the process may have; null = not known. */
  openFiles: number | null;
  /** Descriptors left for connections to backends and the rest. */
  reserved: number | null;
}

/**
 * The smaller of what is configured and what fits: half of the descriptors, less a few, since every
 * client's request may need a connection to a backend. Running out is not an option: a TLS socket of
 * the runtime stops accepting then and says nothing.
 *
 * @param openFiles the process's limit, when known
 */
export function connectionBound(
  maxConnections: number,
  openFiles: number | undefined,
): ConnectionBound {
  if (openFiles === undefined) return { bound: maxConnections, openFiles: null, reserved: null };
  const fits = Math.max(1, Math.floor((openFiles - OTHER_FILES) / 2));
  const bound = Math.min(maxConnections, fits);
  return { bound, openFiles, reserved: openFiles - bound };
}
