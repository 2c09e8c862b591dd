/**
 * The one list of what works, in the names of Gateway API v1.7.0 (`pkg/features`). The status of
 * GatewayClasses, the conformance run and the documentation read it. A feature is added when the
 * suite's tests for it pass, not before.
 */
export interface Feature {
  name: string;
  /** Core of the GATEWAY-HTTP profile, or extended. */
  level: "core" | "extended";
}

/** The Gateway API bundle that the controller implements. */
export const BUNDLE_VERSION = "v1.7.0";

const CORE = [
  "GRPCRoute",
  "Gateway",
  "HTTPRoute",
  "ReferenceGrant",
  "TCPRoute",
  "TLSRoute",
  "UDPRoute",
];

const EXTENDED = [
  "BackendTLSPolicy",
  "BackendTLSPolicySANValidation",
  "GRPCRouteNamedRouteRule",
  "GRPCRouteRequestHeaderModifier",
  "GatewayAddressEmpty",
  "GatewayBackendClientCertificate",
  "GatewayFrontendClientCertificateValidation",
  "GatewayFrontendClientCertificateValidationInsecureFallback",
  "GatewayHTTPListenerIsolation",
  "GatewayHTTPSListenerDetectMisdirectedRequests",
  "GatewayInfrastructure",
  "GatewayPort8080",
  "GatewayRouteHostnameIntersectionPrecedence",
  "GatewayStaticAddresses",
  "HTTPRoute303RedirectStatusCode",
  "HTTPRoute307RedirectStatusCode",
  "HTTPRoute308RedirectStatusCode",
  "HTTPRouteBackendProtocolH2C",
  "HTTPRouteBackendProtocolWebSocket",
  "HTTPRouteBackendRequestHeaderModification",
  "HTTPRouteBackendTimeout",
  "HTTPRouteBackendURLRewrite",
  "HTTPRouteCORS",
  "HTTPRouteDestinationPortMatching",
  "HTTPRouteHostRewrite",
  "HTTPRouteMethodMatching",
  "HTTPRouteNamedRouteRule",
  "HTTPRouteParentRefPort",
  "HTTPRoutePathRedirect",
  "HTTPRoutePathRewrite",
  "HTTPRoutePortRedirect",
  "HTTPRouteQueryParamMatching",
  "HTTPRouteRequestMirror",
  "HTTPRouteRequestMultipleMirrors",
  "HTTPRouteRequestPercentageMirror",
  "HTTPRouteRequestTimeout",
  "HTTPRouteResponseHeaderModification",
  "HTTPRouteRetryCodes",
  "HTTPRouteRetryConnectionError",
  "HTTPRouteSchemeRedirect",
  "ListenerSet",
  "TLSRouteModeMixed",
  "TLSRouteModeTerminate",
];

/** Every supported feature, sorted by name as the API demands. */
export const FEATURES: readonly Feature[] = [
  ...CORE.map((name): Feature => ({ name, level: "core" })),
  ...EXTENDED.map((name): Feature => ({ name, level: "extended" })),
].sort((a, b) => a.name < b.name ? -1 : 1);
