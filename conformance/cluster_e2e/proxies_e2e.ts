/** A proxy pod is drained, or dies, under load. */
import { assert, assertEquals } from "@std/assert";
import { Http2Probe } from "../bench/http2_probe.ts";
import { pause } from "../e2e/wait.ts";
import { failureLines, Load, underLoad } from "./load.ts";
import { HOST, withGateway } from "./rig.ts";
import { deletePod, PROXY, readyPods, signalPod } from "./system.ts";
import { SYSTEM } from "../bench/cluster_rig.ts";

/** Requests per second. */
const RATE = 1_000;
/** Milliseconds between the requests of one HTTP/2 connection. */
const HTTP2_PACE = 5;
/** Milliseconds after which no connection may go to a pod that is dead. */
const REROUTED = 5_000;

/** Requests one after the other over HTTP/2 until `stop`; resolves with what failed. */
function http2Load(hostname: string): { stop: () => Promise<{ ok: number; failed: string[] }> } {
  const stopping = new AbortController();
  const failed: string[] = [];
  let ok = 0;
  const running = (async () => {
    const probe = new Http2Probe(hostname, 80);
    while (!stopping.signal.aborted) {
      try {
        const { status } = await probe.get("/", HOST);
        if (status === 200) ok++;
        else failed.push(String(status));
      } catch (error) {
        failed.push(error instanceof Error ? error.message : String(error));
      }
      await pause(HTTP2_PACE);
    }
    probe.close();
  })();
  return {
    stop: async () => {
      stopping.abort();
      await running;
      return { ok, failed };
    },
  };
}

Deno.test("proxy pods drained one after the other: no request fails, kept connections included", () =>
  withGateway("drain", {}, async ({ api, target }) => {
    const http2 = Array.from({ length: 4 }, () => http2Load(target.hostname ?? ""));
    const told = await underLoad({ target, host: HOST, rate: RATE }, async (load) => {
      for (const pod of await readyPods(api, PROXY)) {
        await deletePod(api, pod);
        await readyPods(api, PROXY);
        await load.more(RATE);
      }
      return load.closedByServer;
    });
    const ended = await Promise.all(http2.map(({ stop }) => stop()));
    assertEquals(ended.flatMap(({ failed }) => failed), []);
    assert(told > 0, "kept connections are told that they end");
    console.log(`  ${told} kept connections were told, ${ended.map(({ ok }) => ok)} over HTTP/2`);
  }));

for (
  const { name, end } of [
    {
      name: "whose process is killed",
      end: (_: unknown, pod: { name: string; container: string }) => signalPod(pod, "SIGKILL"),
    },
    {
      name: "deleted by force",
      end: async (kubectl: (args: string[]) => Promise<string>, { name }: { name: string }) => {
        await kubectl(["delete", "pod", "-n", SYSTEM, name, "--grace-period=0", "--force"]);
      },
    },
  ]
) {
  Deno.test(`a proxy pod ${name}: its requests fail, and then no other`, () =>
    withGateway("killed", {}, async ({ api, kubectl, target }) => {
      const [pod] = await readyPods(api, PROXY);
      assert(pod !== undefined);
      const load = new Load({ target, host: HOST, rate: RATE });
      let killed = 0;
      try {
        await load.more(RATE);
        assertEquals(failureLines(load.failures), []);
        killed = performance.now();
        await end(kubectl, pod);
        await readyPods(api, PROXY);
        await load.more(RATE * 2);
      } finally {
        await load.stop();
      }
      const after = load.failures.map(({ sent }) => sent - killed);
      const last = Math.max(0, ...after);
      console.log(
        `  ${load.answered} answered, ${after.length} failed; the last that failed was sent ` +
          `${last.toFixed(0)} ms after it\n    ${failureLines(load.failures).join("\n    ")}`,
      );
      assert(last <= REROUTED, `requests still failed ${last.toFixed(0)} ms later`);
    }));
}
