/**
 * A port with its transport as one number. A number is a port of TCP and another of UDP: those of UDP
 * lie above all of TCP, so that whatever counts, keeps and hands out ports need not know the
 * difference. Nothing outside of the controller sees them.
 */
const PORTS = 65_536;

/** The key of a port of TCP is the port itself. */
export function portKey(port: number, transport: "TCP" | "UDP"): number {
  return transport === "UDP" ? PORTS + port : port;
}

/** What {@linkcode portKey} was made of. */
export function portOfKey(key: number): { port: number; transport: "TCP" | "UDP" } {
  return key < PORTS ? { port: key, transport: "TCP" } : { port: key - PORTS, transport: "UDP" };
}
