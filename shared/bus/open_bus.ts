/** The bus behind an address: `nats://host:port`, or `file:///folder`. */
import { errorMessage } from "../lib/log.ts";
import type { Logger } from "../lib/log.ts";
import type { BusAccess } from "./access.ts";
import type { StreamLimits } from "./streams.ts";
import type { BusWriter } from "./transport.ts";
import { openFileBus } from "./transport_file.ts";
import { openNatsBus } from "./transport_nats.ts";

/** Opens it; what is not there yet is waited for. Throws when a folder cannot be made or read. */
export function openBus(
  options: { access: BusAccess; name: string; limits?: StreamLimits; log?: Logger },
): BusWriter {
  const folder = fileBusFolder(options.access.url);
  if (folder === undefined) return openNatsBus(options);
  const { log, limits = {} } = options;
  try {
    return openFileBus({ folder, limits, ...(log === undefined ? {} : { log }) });
  } catch (error) {
    throw new Error(`${folder}: not usable as a bus: ${errorMessage(error)}`, { cause: error });
  }
}

/** The folder that an address names; undefined when it is not one of a folder. */
export function fileBusFolder(url: string): string | undefined {
  return url.startsWith("file:") ? decodeURIComponent(new URL(url).pathname) : undefined;
}

/** The address of a folder. */
export function fileBusUrl(folder: string): string {
  return `file://${folder.split("/").map(encodeURIComponent).join("/")}`;
}
