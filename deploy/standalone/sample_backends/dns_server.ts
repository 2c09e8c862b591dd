/** The zone of the samples, over UDP. */
import { dnsAnswer, type Zone } from "./dns.ts";

/** Addresses for documentation (RFC 5737), in a domain for tests (RFC 6761). */
export const ZONE: Zone = {
  name: "sample.test",
  names: {
    "sample.test": { txt: ["served by a UDPRoute"] },
    "www.sample.test": { a: ["192.0.2.10", "192.0.2.11"] },
  },
};

/** Serves on a port of loopback; 0 = any. Throws when it is taken. */
export function startDnsServer(port: number): { port: number; stop(): Promise<void> } {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port });
  let stopped = false;
  const serve = async () => {
    while (!stopped) {
      try {
        const [query, from] = await socket.receive();
        const answer = dnsAnswer(query, ZONE);
        if (answer !== undefined) await socket.send(answer, from);
      } catch {
        // Who asked is gone, which comes back as an error of the next call; or it is over.
      }
    }
  };
  const serving = serve();
  return {
    port: socket.addr.transport === "udp" ? socket.addr.port : port,
    stop: async () => {
      stopped = true;
      socket.close();
      await serving;
    },
  };
}
