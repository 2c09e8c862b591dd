/** A Deployment that is restarted pod by pod, with grace and without: no request fails. */
import { assert, assertEquals } from "@std/assert";
import { stringify } from "@std/yaml";
import { withGateway } from "./harness.ts";
import { gateway } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get } from "./raw_client.ts";
import { ScriptedBackend } from "./scripted_backend.ts";
import type { Script } from "./scripted_backend.ts";
import { Traffic } from "./traffic.ts";
import { eventually } from "./wait.ts";

const HTTP = PORTS.rollingRestart;
const HOST = "app.example.com";
const metadata = (name: string) => ({ name, namespace: "e2e" });

/** One pod. */
interface Pod {
  backend: ScriptedBackend;
  /** Requests that it got although it was left alone already. */
  late: number;
  left: boolean;
}

function startPod(): Pod {
  const script: Script = async (connection) => {
    while (await connection.requestHead() !== undefined) {
      if (pod.left) pod.late++;
      await connection.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    }
  };
  const pod: Pod = { backend: ScriptedBackend.start(script), late: 0, left: false };
  return pod;
}

const service = stringify({
  apiVersion: "v1",
  kind: "Service",
  metadata: metadata("app"),
  spec: { selector: { app: "app" }, ports: [{ name: "http", port: 80, targetPort: 8080 }] },
});
const route = stringify({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "HTTPRoute",
  metadata: metadata("app"),
  spec: {
    parentRefs: [{ name: "edge" }],
    hostnames: [HOST],
    rules: [{ backendRefs: [{ name: "app", port: 80 }] }],
  },
});

interface Listed {
  pod: Pod;
  state: "ready" | "terminating" | "dead";
}

/** EndpointSlices have one port each, and here every pod has its own. */
function slices(listed: readonly Listed[]): string {
  return listed.map(({ pod, state }) =>
    stringify({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: {
        ...metadata(`app-${pod.backend.port}`),
        labels: { "kubernetes.io/service-name": "app" },
      },
      addressType: "IPv4",
      ports: [{ name: "http", port: pod.backend.port, protocol: "TCP" }],
      endpoints: [{
        addresses: ["127.0.0.1"],
        conditions: {
          ready: state === "ready",
          serving: state !== "dead",
          terminating: state !== "ready",
        },
      }],
    })
  ).join("---\n");
}

Deno.test("a Deployment that is restarted pod by pod fails no request, with grace or without", async () => {
  let pods = [startPod(), startPod(), startPod()];
  const all = [...pods];
  const ready = (list: readonly Pod[]): Listed[] => list.map((pod) => ({ pod, state: "ready" }));
  const leaving = (pod: Pod): Listed => ({ pod, state: "terminating" });
  // What vanishes from a file is held for a moment: it may be half saved.
  const gone: Listed[] = [];
  try {
    await withGateway({
      files: { gateway: gateway({ http: HTTP }), service, route, slices: slices(ready(pods)) },
    }, async (edge) => {
      await edge.ready();
      await eventually(
        "the app is served",
        async () => (await get({ port: HTTP }, { host: HOST })).status === 200,
      );
      const options = { host: HOST, bodies: ["hello"] };
      const traffic = [0, 1, 2].map(() => new Traffic({ port: HTTP }, options));
      try {
        for (let restart = 0; restart < 9; restart++) {
          const [old, ...rest] = pods;
          assert(old !== undefined);
          const fresh = startPod();
          all.push(fresh);
          pods = [...rest, fresh];
          // Every third dies before anybody could know.
          const graceful = restart % 3 !== 0;
          if (!graceful) await old.backend.stop();
          await edge.save("slices", slices([...ready(pods), ...gone, leaving(old)]));
          if (graceful) {
            // Out of rotation, so that nothing is kept open to it and nothing new comes.
            await eventually("the old pod is left alone", () => old.backend.connections === 0);
            old.left = true;
            await traffic[0]?.more(10);
            assertEquals(old.late, 0);
            await old.backend.stop();
          }
          gone.push({ pod: old, state: "dead" });
          await edge.save("slices", slices([...ready(pods), ...gone]));
          await Promise.all(traffic.map((one) => one.more(5)));
          await eventually("the new pod takes requests", () => fresh.backend.accepted > 0);
        }
        // Nobody is ready: those that still serve while they terminate are used, then none.
        await edge.save("slices", slices([...pods.map(leaving), ...gone]));
        await Promise.all(traffic.map((one) => one.more(10)));
      } finally {
        await Promise.all(traffic.map((one) => one.stop()));
      }
      await edge.save("slices", slices(all.map((pod) => ({ pod, state: "dead" }))));
      const answer = await eventually("nobody is left", async () => {
        const answer = await get({ port: HTTP }, { host: HOST });
        return answer.status === 503 && answer;
      });
      assertEquals(answer.body.trim(), "no endpoint is ready");
    });
  } finally {
    await Promise.all(all.map(({ backend }) => backend.stop().catch(() => {})));
  }
});
