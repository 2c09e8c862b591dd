/**
 * Where reports are kept, in the form that the upstream project accepts: a folder per release and
 * implementation, a file per channel, version and mode, unmodified, and a README with a table
 * (gateway-api, conformance/reports/README.md, "Rules").
 */

/** Who we are in a report. */
export const IMPLEMENTATION = {
  organization: "networknt",
  project: "light-k8s-gateway",
  url: "https://github.com/networknt/light-k8s-gateway",
  contact: "https://github.com/networknt/light-k8s-gateway/issues/new",
} as const;

const MODE = "default";

/** What a report's place depends on. */
export interface ReportKey {
  /** Release of the Gateway API, `v1.7.0`. */
  gatewayApi: string;
  channel: string;
  /** Our release, with its `v`. */
  version: string;
}

/** The folder of a release's reports, below `conformance/reports`. */
export function reportFolder({ gatewayApi }: Pick<ReportKey, "gatewayApi">): string {
  const minor = /^v\d+\.\d+/.exec(gatewayApi)?.[0] ?? gatewayApi;
  return `${minor}/${IMPLEMENTATION.organization}-${IMPLEMENTATION.project}`;
}

/** The name that the upstream project prescribes. */
export function reportName({ channel, version }: Omit<ReportKey, "gatewayApi">): string {
  return `${channel}-${version}-${MODE}-report.yaml`;
}

/** The README of the folder, with a row per report that is in it. */
export function reportsReadme(names: readonly string[]): string {
  const rows = names.toSorted().flatMap((name) => {
    const [, channel, version] = /^([a-z]+)-(v.+)-default-report\.yaml$/.exec(name) ?? [];
    if (channel === undefined || version === undefined) return [];
    const release = `[${version}](${IMPLEMENTATION.url}/releases/tag/${version})`;
    return [`| ${channel} | ${release} | ${MODE} | [${version} report](./${name}) |`];
  });
  return `# light-k8s-gateway

A Gateway API implementation in TypeScript: a controller that compiles the API's objects into signed
snapshots, and proxies that serve them.

## Table of contents

| API channel | Implementation version | Mode | Report |
|-------------|------------------------|------|--------|
${rows.join("\n")}

## Reproduce

On a Debian machine with Go and Deno, as root:

\`\`\`sh
git clone ${IMPLEMENTATION.url} && cd ${IMPLEMENTATION.project}
git checkout <version>
deno task cluster up
deno task deploy
deno task conformance --channel <channel>
\`\`\`

With a cluster of your own (\`KUBECONFIG\`), leave \`deno task cluster up\` out.
`;
}
