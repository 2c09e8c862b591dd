/** Does a listener allow routes of a namespace? */
import type { Labels, LabelSelector, RouteNamespaces } from "../model/objects.ts";
import type { ClusterView } from "../store/view.ts";

export interface NamespaceQuestion {
  view: ClusterView;
  /** The Gateway's namespace. */
  own: string;
  /** The route's namespace. */
  route: string;
}

/** `allowedRoutes.namespaces`: All, Same, or by the labels of the route's namespace. */
export function namespaceAllowed(
  allowed: RouteNamespaces,
  { view, own, route }: NamespaceQuestion,
): boolean {
  switch (allowed.from) {
    case "All":
      return true;
    case "Same":
      return own === route;
    case "Selector": {
      // Without a selector nothing is selected: opening by omission would be a surprise.
      const labels = view.namespaceLabels(route);
      return allowed.selector !== undefined && labels !== undefined &&
        selectorMatches(allowed.selector, labels);
    }
  }
}

/** Kubernetes label selector: all of matchLabels and all of matchExpressions. */
export function selectorMatches(selector: LabelSelector, labels: Labels): boolean {
  for (const [name, value] of Object.entries(selector.matchLabels ?? {})) {
    if (labelOf(labels, name) !== value) return false;
  }
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    const value = labelOf(labels, key);
    switch (operator) {
      case "In":
        if (value === undefined || !values.includes(value)) return false;
        break;
      case "NotIn":
        if (value !== undefined && values.includes(value)) return false;
        break;
      case "Exists":
        if (value === undefined) return false;
        break;
      case "DoesNotExist":
        if (value !== undefined) return false;
        break;
      default:
        // An operator that nobody knows selects nothing.
        return false;
    }
  }
  return true;
}

function labelOf(labels: Labels, name: string): string | undefined {
  return Object.hasOwn(labels, name) ? labels[name] : undefined;
}
