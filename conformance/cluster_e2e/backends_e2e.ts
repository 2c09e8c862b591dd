/** A Deployment behind a route is restarted again and again; its users do not notice. */
import { underLoad } from "./load.ts";
import { HOST, withGateway } from "./rig.ts";

/** Requests per second. */
const RATE = 1_000;
const RESTARTS = Number(Deno.env.get("LGW_E2E_RESTARTS") ?? "20");
/** Seconds that a pod goes on after it was told to end, as in any Deployment for production. */
const PRE_STOP = Number(Deno.env.get("LGW_E2E_PRE_STOP") ?? "3");

Deno.test(`a backend Deployment restarted ${RESTARTS} times: no request fails`, () =>
  withGateway(
    "backends",
    { echo: { preStop: PRE_STOP } },
    async ({ kubectl, namespace, target }) => {
      await underLoad({ target, host: HOST, rate: RATE }, async (load) => {
        for (let i = 1; i <= RESTARTS; i++) {
          const began = performance.now();
          await kubectl(["rollout", "restart", "-n", namespace, "deployment/echo"]);
          await kubectl(["rollout", "status", "-n", namespace, "deployment/echo", "--timeout=60s"]);
          const seconds = ((performance.now() - began) / 1000).toFixed(1);
          console.log(
            `  restart ${i}: ${seconds} s, ${load.answered} answered, ${load.failures.length} failed`,
          );
        }
      });
    },
  ));
