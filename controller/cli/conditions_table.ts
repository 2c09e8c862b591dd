/** Statuses as rows: one per condition, with the part of the object that it is about. */
import { CERTIFICATE_EXPIRED } from "../status/gateway.ts";
import type { DesiredCondition } from "../status/conditions.ts";

export interface ConditionRow {
  /** `<Kind>/<namespace>/<name>`. */
  object: string;
  /** Listener, parent or ancestor, empty for the object as a whole. */
  part: string;
  condition: string;
  status: string;
  reason: string;
  message: string;
}

/** What any status has of this: desired or stored. */
export interface ShownStatus {
  conditions?: readonly DesiredCondition[];
  listeners?: readonly { name: string; conditions?: readonly DesiredCondition[] }[];
  parents?: readonly {
    parentRef: { kind?: string; name: string; sectionName?: string };
    conditions?: readonly DesiredCondition[];
  }[];
  ancestors?: readonly {
    ancestorRef: { name: string };
    conditions?: readonly DesiredCondition[];
  }[];
}

/** The rows of one object; a cluster-scoped one has no namespace to show. */
export function conditionRows(key: string, shown: ShownStatus): ConditionRow[] {
  const object = key.replace("//", "/");
  const rows = (part: string, conditions: readonly DesiredCondition[] = []): ConditionRow[] =>
    conditions.map(({ type, status, reason, message }) => ({
      object,
      part,
      condition: type,
      status,
      reason,
      message,
    }));
  return [
    ...rows("", shown.conditions),
    ...(shown.listeners ?? []).flatMap(({ name, conditions }) =>
      rows(`listener ${name}`, conditions)
    ),
    ...(shown.parents ?? []).flatMap(({ parentRef, conditions }) =>
      rows(parentName(parentRef), conditions)
    ),
    ...(shown.ancestors ?? []).flatMap(({ ancestorRef, conditions }) =>
      rows(`ancestor ${ancestorRef.name}`, conditions)
    ),
  ];
}

/** A Gateway goes without saying; a ListenerSet may have the same name. */
function parentName(
  { kind = "Gateway", name, sectionName }: { kind?: string; name: string; sectionName?: string },
): string {
  const section = sectionName === undefined ? "" : ` ${sectionName}`;
  return `parent ${kind === "Gateway" ? "" : `${kind} `}${name}${section}`;
}

/** Conditions for which True is the bad answer. */
const NEGATIVE = new Set([
  "Conflicted",
  "InsecureFrontendValidationMode",
  "PartiallyInvalid",
  CERTIFICATE_EXPIRED,
]);

/** Does a row say that something is wrong? */
export function isProblem({ condition, status }: ConditionRow): boolean {
  return NEGATIVE.has(condition) ? status === "True" : status === "False";
}
