import { assertEquals } from "@std/assert";
import { type Clock, systemClock } from "../../../shared/lib/clock.ts";
import { silentLogger } from "../../../shared/lib/log.ts";
import { KubeApi } from "./api.ts";
import { LEASE_TIMES, LeaseElection } from "./lease.ts";

/** An API server with one Lease: versions are compared, a watch says nothing. */
function leaseServer() {
  let version = 0;
  let lease: Record<string, unknown> | undefined;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const url = new URL(request.url);
      if (url.searchParams.has("watch")) {
        return new Response(new ReadableStream());
      }
      if (request.method === "GET") {
        const items = lease === undefined ? [] : [lease];
        return Response.json({ metadata: { resourceVersion: String(version) }, items });
      }
      const body = await request.json();
      const current = lease === undefined ? undefined : String(version);
      if (body.metadata.resourceVersion !== current) return new Response("{}", { status: 409 });
      lease = { ...body, metadata: { ...body.metadata, resourceVersion: String(++version) } };
      return Response.json(lease);
    },
  );
  return {
    api: new KubeApi({
      access: {
        server: `http://127.0.0.1:${server.addr.port}`,
        client: Deno.createHttpClient({}),
        headers: () => Promise.resolve({}),
      },
      userAgent: "test",
    }),
    close: () => server.shutdown(),
  };
}

Deno.test("LeaseElection.valid ends with the Lease's duration, known to be lost or not", async () => {
  const server = leaseServer();
  let skipped = 0;
  // A process that was stopped sees only that time has passed.
  const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + skipped };
  const election = new LeaseElection({
    api: server.api,
    namespace: "ns",
    name: "lease",
    identity: "one",
    clock,
    random: () => 0,
    log: silentLogger,
    note: () => undefined,
  });
  try {
    assertEquals(election.valid, false);
    await election.elected;
    assertEquals(election.valid, true);
    skipped = LEASE_TIMES.duration;
    assertEquals(election.valid, false);
  } finally {
    await election.close();
    await server.close();
  }
});
