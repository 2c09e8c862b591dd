/** Everything that is decided about one route, once; status and model read it. */
import type { BackendRef, Route, RouteFilter } from "../model/objects.ts";
import type { ClusterView } from "../store/view.ts";
import { type BackendContext, type BackendDecision, decideBackend } from "./backends.ts";
import type { TrustCache } from "./trust.ts";
import { decideContent } from "./filters.ts";
import { type BackendReason, OK, type Outcome, type RouteAcceptedReason } from "./outcome.ts";
import { decideParents, type ParentContext, type ParentDecision } from "./parents.ts";

export interface RuleDecision {
  /** A rule that cannot be served is dropped. */
  content: Outcome<RouteAcceptedReason>;
  /** Where its RequestMirror filters go, in their order. */
  mirrors: BackendDecision[];
  /** In the order of backendRefs. */
  backends: RuleBackend[];
}

/** One backendRef with the references of its own filters. */
export interface RuleBackend {
  ref: BackendRef;
  decision: BackendDecision;
  mirrors: BackendDecision[];
}

export interface RouteDecision {
  route: Route;
  parents: ParentDecision[];
  rules: RuleDecision[];
  resolvedRefs: Outcome<BackendReason>;
}

export interface RouteContext {
  view: ClusterView;
  trustCache: TrustCache;
  gateways: ParentContext["gateways"];
}

/** Decides a route; undefined when no parentRef names a Gateway of ours. */
export function decideRoute(route: Route, context: RouteContext): RouteDecision | undefined {
  const contents = decideContent(route);
  const parents = decideParents(route, { ...context, content: contentOf(contents) });
  if (parents.length === 0) return undefined;
  const { view, trustCache } = context;
  const opened = carriesOpenedTls(route, parents);
  const rules = route.spec.rules.map((rule, index): RuleDecision => ({
    content: contents[index] ?? OK,
    mirrors: decideMirrors(filtersOf(rule), {
      view,
      trustCache,
      route,
      opened,
      field: `spec.rules[${index}].filters`,
    }),
    backends: (rule.backendRefs ?? []).map((ref, position) => {
      const field = `spec.rules[${index}].backendRefs[${position}]`;
      const place = { view, trustCache, route, opened, field };
      return {
        ref,
        decision: decideBackend(ref, place),
        mirrors: decideMirrors(filtersOf(ref), { ...place, field: `${field}.filters` }),
      };
    }),
  }));
  return { route, parents, rules, resolvedRefs: resolveRefs(rules) };
}

/**
 * May connections of a route be what was inside of a client's TLS? Those of a TLSRoute always may; a
 * TCPRoute's when it is on a listener that ends TLS.
 */
function carriesOpenedTls({ kind }: Route, parents: readonly ParentDecision[]): boolean {
  if (kind !== "TCPRoute") return kind === "TLSRoute";
  return parents.some(({ listeners }) => listeners.some(({ terminatesTls }) => terminatesTls));
}

/**
 * A route is refused for its content when none of its rules can be served; else the good ones are,
 * and PartiallyInvalid tells of the others (RouteConditionPartiallyInvalid, "Drop Rule(s)").
 */
function contentOf(rules: readonly Outcome<RouteAcceptedReason>[]): Outcome<RouteAcceptedReason> {
  const first = rules[0];
  return first === undefined || rules.some((rule) => rule.ok) ? OK : first;
}

/** Rules of connections and datagrams have no filters, and neither have their backends. */
function filtersOf(of: object & { filters?: RouteFilter[] }): readonly RouteFilter[] {
  return of.filters ?? [];
}

function decideMirrors(filters: readonly RouteFilter[], place: BackendContext): BackendDecision[] {
  return filters.flatMap(({ requestMirror }, index) =>
    requestMirror === undefined ? [] : [decideBackend(requestMirror.backendRef, {
      ...place,
      field: `${place.field}[${index}].requestMirror.backendRef`,
    })]
  );
}

/** Every reference of a rule, as the manifest has them. */
export function ruleReferences({ mirrors, backends }: RuleDecision): BackendDecision[] {
  return [...mirrors, ...backends.flatMap(({ decision, mirrors }) => [decision, ...mirrors])];
}

/**
 * The first reference that does not resolve speaks for all; the message counts the others. What a
 * policy stops has resolved, and is told by the policy.
 */
function resolveRefs(rules: readonly RuleDecision[]): Outcome<BackendReason> {
  const bad = rules.flatMap(ruleReferences).flatMap((decision) =>
    decision.ok || decision.because === "policy" ? [] : [decision]
  );
  const first = bad[0];
  if (first === undefined) return OK;
  const more = bad.length > 1 ? ` (and ${bad.length - 1} more)` : "";
  return { ok: false, reason: first.reason, message: `${first.message}${more}` };
}
