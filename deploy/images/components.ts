/**
 * What each image runs and may do: the one place that Dockerfiles, archives and manifests agree
 * with. Permissions are the least that works: no child processes, no FFI, files and variables by name.
 */

export interface Component {
  /** Last part of the image's name. */
  name: "controller" | "proxy";
  /** Module that is started, from the root of the repository. */
  entry: string;
  /** Modules that are loaded later, by name. */
  later: readonly string[];
  /** Flags of `deno run`. */
  flags: readonly string[];
}

/** Where the sources are in an image. */
export const APP_FOLDER = "/app";
/** Where packages and compiled sources are in an image. */
export const CACHE_FOLDER = "/deno-dir";
/** Where a pod mounts its bootstrap file and what it refers to. */
export const CONFIG_FOLDER = "/etc/light-k8s-gateway";
/** The one folder that a container may write. */
export const STATE_FOLDER = "/var/lib/light-k8s-gateway";
/** Neither root nor anybody's account. */
export const USER = "65532:65532";

const COMMON = [
  // Everything is in the image; nothing is fetched, and no prompt waits for nobody.
  "--cached-only",
  "--no-prompt",
  "--quiet",
  "--allow-net",
  `--allow-write=${STATE_FOLDER}`,
];

export const COMPONENTS: readonly Component[] = [
  {
    name: "controller",
    entry: "controller/main.ts",
    later: ["controller/run_cluster.ts"],
    flags: [
      ...COMMON,
      `--allow-read=${CONFIG_FOLDER},${STATE_FOLDER},/var/run/secrets/kubernetes.io`,
      "--allow-env=POD_NAME,POD_NAMESPACE,KUBERNETES_SERVICE_HOST,KUBERNETES_SERVICE_PORT",
    ],
  },
  {
    name: "proxy",
    entry: "proxy/main.ts",
    later: ["shared/dataplane/workers/worker.ts"],
    flags: [
      ...COMMON,
      // Workers read their modules when they start, with the permissions of the process.
      `--allow-read=${CONFIG_FOLDER},${STATE_FOLDER},${APP_FOLDER}/shared`,
      "--allow-env=POD_NAME,POD_IP",
    ],
  },
];

/** The command of an image; the pod adds nothing. */
export function entrypointOf({ entry, flags }: Component): string[] {
  return [
    "/usr/local/bin/deno",
    "run",
    ...flags,
    `${APP_FOLDER}/${entry}`,
    "--bootstrap",
    `${CONFIG_FOLDER}/config.json`,
  ];
}

/** Variables of an image. */
export const ENVIRONMENT: readonly string[] = [
  `DENO_DIR=${CACHE_FOLDER}`,
  "DENO_NO_UPDATE_CHECK=1",
];

/** Sources of the repository that an image holds: folders and files. */
export const SOURCES: readonly string[] = [
  "controller",
  "proxy",
  "shared",
  "deno.json",
  "deno.lock",
];

/** Is a file of the sources of no use when the program runs? */
export function leftOut(path: string): boolean {
  return /_test\.ts$|\/testing[^/]*\.ts$|(^|\/)testdata\/|^controller\/cli\/|^shared\/docs\/|\.md$/
    .test(path);
}
