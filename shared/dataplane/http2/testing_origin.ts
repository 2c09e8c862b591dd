/** For tests: an origin that speaks HTTP/2 frame by frame. */
import { TestPeer } from "./testing_peer.ts";

export interface PeerOrigin {
  readonly address: string;
  readonly port: number;
  /** Connections accepted so far. */
  readonly accepted: number;
  close(): Promise<void>;
}

/** Starts an origin on a loopback port; `script` runs per connection, which closes at its end. */
export function startPeerOrigin(
  script: (peer: TestPeer, number: number) => Promise<void>,
): PeerOrigin {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const peers = new Set<TestPeer>();
  const running: Promise<void>[] = [];
  let failure: unknown;
  let accepted = 0;
  const loop = (async () => {
    for await (const conn of listener) {
      const peer = new TestPeer(conn, true);
      peers.add(peer);
      const run = script(peer, ++accepted).catch((error) => failure ??= error);
      running.push(run.then(() => peer.close()));
    }
  })();
  return {
    address: "127.0.0.1",
    port: listener.addr.port,
    get accepted() {
      return accepted;
    },
    async close() {
      listener.close();
      await loop;
      for (const peer of peers) peer.close();
      await Promise.all(running);
      if (failure !== undefined) throw failure;
    },
  };
}
