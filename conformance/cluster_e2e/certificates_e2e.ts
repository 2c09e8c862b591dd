/** The Secret of an HTTPS listener is not what it should be: that listener says so, others serve. */
import { assertEquals } from "@std/assert";
import { selfSigned } from "../../shared/secrets/self_signed.ts";
import { asRecord } from "../../controller/source/decode/decoder.ts";
import { eventually } from "../e2e/wait.ts";
import { underLoad } from "./load.ts";
import { HTTP_LISTENER, httpsListener, routeManifest, tlsSecret } from "./manifests.ts";
import { answers, conditionsOf, objectPath, type Rig, withGateway } from "./rig.ts";

/** Requests per second to the listener that is well. */
const RATE = 200;
const DAY = 24 * 3600 * 1000;
const WELL = "well.example.com";
const ILL = "ill.example.com";

async function certificateFor(host: string) {
  const now = Date.now();
  const dates = { notBefore: new Date(now - DAY), notAfter: new Date(now + DAY) };
  return await selfSigned({ names: [host], ...dates });
}

/** `status/reason` of a listener's conditions. */
async function listener({ api, namespace }: Rig, name: string) {
  const gateway = await api.request({
    method: "GET",
    path: objectPath(namespace, "gateways", "edge"),
  });
  const listeners = asRecord(gateway.status)?.listeners;
  const found = (Array.isArray(listeners) ? listeners : [])
    .find((entry) => asRecord(entry)?.name === name);
  const conditions = conditionsOf(found);
  const shown = (type: string) => {
    const condition = conditions.get(type);
    return `${condition?.status}/${condition?.reason}`;
  };
  return { resolved: shown("ResolvedRefs"), programmed: shown("Programmed") };
}

Deno.test("Secret deleted, emptied, replaced by garbage: its listener says so, others serve", async () => {
  const well = await certificateFor(WELL);
  const ill = await certificateFor(ILL);
  const listeners = [
    HTTP_LISTENER,
    httpsListener("well", { hostname: WELL, secret: "well" }),
    httpsListener("ill", { hostname: ILL, secret: "ill" }),
  ];
  await withGateway("secrets", { listeners }, async (rig) => {
    const secret = { certificate: ill.certificate, key: ill.key };
    await rig.apply(
      tlsSecret("well", { certificate: well.certificate, key: well.key }),
      tlsSecret("ill", secret),
      routeManifest("well", { gateway: "edge", host: WELL }),
      routeManifest("ill", { gateway: "edge", host: ILL }),
    );
    const target = (host: string, trust: string) => ({
      ...rig.target,
      port: 443,
      tls: { serverName: host, trust: [trust] },
    });
    const illTarget = target(ILL, ill.certificate);
    await answers(target(WELL, well.certificate), { host: WELL });
    await answers(illTarget, { host: ILL });
    const path = `/api/v1/namespaces/${rig.namespace}/secrets/ill`;
    const harms = {
      deleted: () => rig.api.request({ method: "DELETE", path }),
      emptied: () => rig.apply(tlsSecret("ill", { certificate: "", key: "" })),
      "replaced by garbage": () =>
        rig.apply(tlsSecret("ill", { certificate: "garbage", key: "garbage" })),
      "given the key of another": () => rig.apply(tlsSecret("ill", { ...secret, key: well.key })),
    };
    await underLoad(
      { target: target(WELL, well.certificate), host: WELL, rate: RATE },
      async (load) => {
        for (const [what, harm] of Object.entries(harms)) {
          await harm();
          await eventually(`${what}: the listener says so`, async () => {
            return (await listener(rig, "ill")).resolved === "False/InvalidCertificateRef";
          });
          assertEquals((await listener(rig, "ill")).programmed.split("/")[0], "False");
          assertEquals(await listener(rig, "well"), {
            resolved: "True/ResolvedRefs",
            programmed: "True/Programmed",
          });
          await load.more(RATE);
          await rig.apply(tlsSecret("ill", secret));
          await eventually(`${what}, then restored: the listener is well`, async () => {
            const { resolved, programmed } = await listener(rig, "ill");
            return resolved === "True/ResolvedRefs" && programmed === "True/Programmed";
          });
          await answers(illTarget, { host: ILL });
        }
      },
    );
  });
});
