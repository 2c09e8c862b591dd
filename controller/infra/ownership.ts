/** By what we know our own objects: nothing else is ever patched or deleted. */
import { GATEWAY_GROUP, type Labels } from "../model/objects.ts";
import type { GatewayInfrastructure } from "../model/infrastructure.ts";
import { gatewayScope } from "../../shared/snapshot/ids.ts";
import type { ManifestMeta, OwnerReference } from "./manifests.ts";
import { labelValue } from "./names.ts";

/** Which controller made an object; several may run in one cluster under different names. */
export const CONTROLLER_LABEL = "gateway.lightapi.net/controller";
/** GEP-1762: how users and tools find what belongs to a Gateway. */
export const GATEWAY_NAME_LABEL = "gateway.networking.k8s.io/gateway-name";
export const GATEWAY_CLASS_LABEL = "gateway.networking.k8s.io/gateway-class-name";
const MANAGED_BY_LABEL = "app.kubernetes.io/managed-by";
/** The labels and annotations that we set: those that we no longer want are ours to take away. */
export const OWNED_ANNOTATION = "gateway.lightapi.net/owned";

const PRODUCT = "light-k8s-gateway";

/** The controller's name as the value of {@linkcode CONTROLLER_LABEL}: it holds a slash. */
export function controllerLabel(controllerName: string): string {
  return labelValue(controllerName.replaceAll("/", "_"));
}

/** The metadata of an object made for a Gateway. Our own labels win over those asked for. */
export function ownedMeta(
  gateway: GatewayInfrastructure,
  { name, controllerName, labels = {}, annotations = {} }: {
    name: string;
    controllerName: string;
    labels?: Labels;
    annotations?: Labels;
  },
): ManifestMeta {
  const allLabels = sorted({
    ...gateway.labels,
    ...labels,
    [MANAGED_BY_LABEL]: PRODUCT,
    [CONTROLLER_LABEL]: controllerLabel(controllerName),
    [GATEWAY_NAME_LABEL]: labelValue(gateway.name),
    [GATEWAY_CLASS_LABEL]: labelValue(gateway.className),
  });
  const asked = sorted({ ...annotations, ...gateway.annotations });
  const owned = JSON.stringify({
    labels: Object.keys(allLabels),
    annotations: Object.keys(asked),
  });
  return {
    namespace: gateway.namespace,
    name,
    labels: allLabels,
    annotations: { ...asked, [OWNED_ANNOTATION]: owned },
    ownerReferences: [{
      apiVersion: `${GATEWAY_GROUP}/v1`,
      kind: "Gateway",
      name: gateway.name,
      uid: gateway.uid,
      controller: true,
    }],
  };
}

function sorted(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).sort(([a], [b]) => a < b ? -1 : 1));
}

/** What of an object's metadata says whose it is. */
export interface OwnerMeta {
  namespace: string;
  labels: Labels;
  ownerReferences: readonly OwnerReference[];
}

/** The scope of the Gateway that an object was made for; undefined when it is not ours. */
export function ownerScope(
  { namespace, labels, ownerReferences }: OwnerMeta,
  controllerName: string,
): string | undefined {
  if (labels[CONTROLLER_LABEL] !== controllerLabel(controllerName)) return undefined;
  const owner = ownerReferences.find(({ apiVersion, kind, controller }) =>
    controller && kind === "Gateway" && apiVersion.startsWith(`${GATEWAY_GROUP}/`)
  );
  return owner && gatewayScope(namespace, owner.name);
}
