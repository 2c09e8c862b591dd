/**
 * The reasons that Gateway API v1.7.0 knows for the conditions of the kinds that are served
 * (apis/v1/gatewayclass_types.go, gateway_types.go, listenerset_types.go, shared_types.go,
 * policy_types.go, backendtlspolicy_types.go), against what the golden cases
 * show. A reason is either shown by a case or named below with why it cannot come up.
 */
import { assert, assertEquals } from "@std/assert";
import { parse } from "@std/yaml";

const TESTDATA = new URL("../testdata/", import.meta.url);

/** `<part>` → condition → its reasons. Deprecated and reserved ones are left out. */
const REASONS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  GatewayClass: {
    Accepted: ["Accepted", "InvalidParameters", "Unsupported", "UnsupportedVersion", "Pending"],
    SupportedVersion: ["SupportedVersion", "UnsupportedVersion"],
  },
  Gateway: {
    Accepted: [
      "Accepted",
      "ListenersNotValid",
      "Invalid",
      "NotReconciled",
      "UnsupportedAddress",
      "InvalidParameters",
      "Pending",
    ],
    Programmed: [
      "Programmed",
      "Invalid",
      "Pending",
      "NoResources",
      "AddressNotAssigned",
      "AddressNotUsable",
    ],
    ResolvedRefs: [
      "ResolvedRefs",
      "RefNotPermitted",
      "InvalidClientCertificateRef",
      "ListenersNotResolved",
    ],
    AddressesAssigned: ["AddressesAssigned", "PartiallyAssigned", "NotAssigned"],
    InsecureFrontendValidationMode: ["ConfigurationChanged"],
  },
  listener: {
    Accepted: [
      "Accepted",
      "PortUnavailable",
      "UnsupportedProtocol",
      "NoValidCACertificate",
      "UnsupportedValue",
      "Pending",
    ],
    Conflicted: ["HostnameConflict", "ProtocolConflict", "NoConflicts"],
    ResolvedRefs: [
      "ResolvedRefs",
      "InvalidCertificateRef",
      "InvalidRouteKinds",
      "RefNotPermitted",
      "InvalidCACertificateRef",
      "InvalidCACertificateKind",
    ],
    Programmed: ["Programmed", "Invalid", "Pending"],
    OverlappingTLSConfig: ["OverlappingHostnames", "OverlappingCertificates"],
  },
  ListenerSet: {
    Accepted: [
      "Accepted",
      "Invalid",
      "NotAllowed",
      "ParentNotAccepted",
      "ListenersNotValid",
      "Pending",
    ],
    Programmed: [
      "Programmed",
      "Invalid",
      "ParentNotProgrammed",
      "ListenersNotValid",
      "PortUnavailable",
      "Pending",
    ],
  },
  "listener of a set": {
    Accepted: ["Accepted", "PortUnavailable", "UnsupportedProtocol", "TooManyListeners", "Pending"],
    Conflicted: ["HostnameConflict", "ProtocolConflict", "ListenerConflict", "NoConflicts"],
    ResolvedRefs: ["ResolvedRefs", "InvalidCertificateRef", "InvalidRouteKinds", "RefNotPermitted"],
    Programmed: ["Programmed", "Invalid", "PortUnavailable", "Pending"],
    OverlappingTLSConfig: ["OverlappingHostnames", "OverlappingCertificates"],
  },
  route: {
    Accepted: [
      "Accepted",
      "NotAllowedByListeners",
      "NoMatchingListenerHostname",
      "NoMatchingParent",
      "UnsupportedValue",
      "Pending",
      "IncompatibleFilters",
    ],
    ResolvedRefs: [
      "ResolvedRefs",
      "RefNotPermitted",
      "InvalidKind",
      "BackendNotFound",
      "UnsupportedProtocol",
    ],
    PartiallyInvalid: ["UnsupportedValue"],
  },
  policy: {
    Accepted: ["Accepted", "Conflicted", "Invalid", "TargetNotFound", "NoValidCACertificate"],
    ResolvedRefs: ["ResolvedRefs", "InvalidCACertificateRef", "InvalidKind"],
  },
};

const DECIDED = "a decision is made before a status is written";
const ROUTABILITY = "a condition of address routability, which is experimental and not read";

/** `<part> <condition> <reason>` → why no case can show it. */
const CANNOT_COME_UP: Readonly<Record<string, string>> = {
  "GatewayClass Accepted Pending": DECIDED,
  "GatewayClass Accepted Unsupported": "every class of ours is supported",
  "GatewayClass Accepted UnsupportedVersion": "manifests are judged by the vendored CRDs",
  "GatewayClass SupportedVersion UnsupportedVersion": "manifests are judged by the vendored CRDs",
  "Gateway Accepted Pending": DECIDED,
  "Gateway Accepted NotReconciled": "deprecated with Scheduled",
  "Gateway Accepted Invalid": "the more exact reasons are given",
  "Gateway AddressesAssigned AddressesAssigned": ROUTABILITY,
  "Gateway AddressesAssigned PartiallyAssigned": ROUTABILITY,
  "Gateway AddressesAssigned NotAssigned": ROUTABILITY,
  "listener Accepted PortUnavailable": "a fleet maps ports; when none is left it is NoResources",
  "listener Accepted Pending": DECIDED,
  "listener Accepted UnsupportedValue": "every value that the schema admits is served",
  "ListenerSet Accepted Pending": DECIDED,
  "ListenerSet Accepted Invalid": "the more exact reasons are given",
  "ListenerSet Programmed Invalid": "the more exact reasons are given",
  "ListenerSet Programmed PortUnavailable": "a fleet maps ports",
  "listener of a set Accepted PortUnavailable": "a fleet maps ports",
  "listener of a set Accepted TooManyListeners": "a snapshot that is too large is NoResources",
  "listener of a set Accepted Pending": DECIDED,
  "listener of a set Conflicted ListenerConflict":
    "equal protocol and hostname is HostnameConflict",
  "listener of a set Programmed PortUnavailable": "a fleet maps ports",
  "route Accepted Pending": DECIDED,
  "policy Accepted TargetNotFound": "a policy without its target has no Gateway to say so for",
};

/** Where other conditions than the spec's own reason lists allow are told, and why. */
const OUR_OWN: ReadonlySet<string> = new Set([
  // The listener's conflict is why it is not accepted, and the spec says so of no other reason.
  "listener Accepted HostnameConflict",
  "listener Accepted ProtocolConflict",
  // The suite wants the conflict itself there, and a set's refusal in both of its conditions.
  "ListenerSet Programmed NotAllowed",
  "ListenerSet Programmed ParentNotAccepted",
  "listener of a set Accepted HostnameConflict",
  "listener of a set Accepted ProtocolConflict",
  "listener of a set Programmed HostnameConflict",
  "listener of a set Programmed ProtocolConflict",
  // FrontendTLSConfig is about ports, so also about the listeners that sets add there.
  "listener of a set Accepted NoValidCACertificate",
  "listener of a set ResolvedRefs InvalidCACertificateKind",
  "listener of a set ResolvedRefs InvalidCACertificateRef",
  // A condition type of our own: the spec has none for it.
  "listener gateway.lightapi.net/CertificateExpired Expired",
]);

interface Conditioned {
  conditions?: { type: string; reason: string }[];
}

interface Status extends Conditioned {
  kind: string;
  listeners?: Conditioned[];
  parents?: Conditioned[];
  ancestors?: Conditioned[];
}

function* statusFiles(at: URL): Generator<URL> {
  for (const { name, isDirectory } of Deno.readDirSync(at)) {
    if (isDirectory) yield* statusFiles(new URL(`${name}/`, at));
    else if (name === "status.golden.yaml") yield new URL(name, at);
  }
}

/** `<part> <condition> <reason>` of everything that the goldens show. */
function shownReasons(): Set<string> {
  const shown = new Set<string>();
  const add = (part: string, { conditions = [] }: Conditioned) => {
    for (const { type, reason } of conditions) shown.add(`${part} ${type} ${reason}`);
  };
  for (const file of statusFiles(TESTDATA)) {
    const { statuses } = parse(Deno.readTextFileSync(file)) as {
      statuses: Record<string, Status>;
    };
    for (const status of Object.values(statuses)) {
      add(status.kind, status);
      for (const ancestor of status.ancestors ?? []) add("policy", ancestor);
      const listener = status.kind === "ListenerSet" ? "listener of a set" : "listener";
      for (const entry of status.listeners ?? []) add(listener, entry);
      for (const parent of status.parents ?? []) add("route", parent);
    }
  }
  return shown;
}

const known = Object.entries(REASONS).flatMap(([part, conditions]) =>
  Object.entries(conditions).flatMap(([condition, reasons]) =>
    reasons.map((reason) => `${part} ${condition} ${reason}`)
  )
);

Deno.test("every reason of the spec is shown by a golden case, or cannot come up", () => {
  const shown = shownReasons();
  const missing = known.filter((entry) => !shown.has(entry) && !(entry in CANNOT_COME_UP));
  assertEquals(missing, []);
});

Deno.test("what is said not to come up does not, and is a reason of the spec", () => {
  const shown = shownReasons();
  for (const entry of Object.keys(CANNOT_COME_UP)) {
    assert(!shown.has(entry), `${entry} is shown by a case: take it off the list`);
    assert(known.includes(entry), `${entry} is no reason of the spec`);
  }
});

Deno.test("no golden case shows a reason that the spec does not know", () => {
  const strange = [...shownReasons()].filter((entry) =>
    !known.includes(entry) && !OUR_OWN.has(entry)
  );
  assertEquals(strange, []);
});
