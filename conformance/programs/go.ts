/** Programs of pinned Go modules, built into the cache. */
import { isFile } from "../../shared/lib/files.ts";
import { runCommand } from "../../shared/lib/run_command.ts";
import { type Program, programCache, type ProgramOptions } from "./program.ts";

/** Milliseconds: a large module on a small machine. */
const BUILD_TIMEOUT = 1_800_000;

export interface GoModule {
  /** What it is called here. */
  name: string;
  version: string;
  /** The package of its `main`; the last part is the name of the file that is built. */
  package: string;
}

export const GO_PROGRAMS = {
  h2spec: {
    name: "h2spec",
    version: "v2.2.1+incompatible",
    package: "github.com/summerwind/h2spec/cmd/h2spec",
  },
  grpcurl: {
    name: "grpcurl",
    version: "v1.9.4",
    package: "github.com/fullstorydev/grpcurl/cmd/grpcurl",
  },
  ghz: { name: "ghz", version: "v0.93.0", package: "github.com/bojand/ghz/cmd/ghz" },
  /** The server of gRPC's own interoperability tests. */
  grpcInteropServer: {
    name: "grpc-interop-server",
    version: "v1.84.0",
    package: "google.golang.org/grpc/interop/server",
  },
} as const satisfies Readonly<Record<string, GoModule>>;

/** The program, built when the cache does not have this version. */
export async function goProgram(
  { name, version, package: main }: GoModule,
  { env, onProgress }: ProgramOptions,
): Promise<Program> {
  const folder = `${programCache(env)}/${name}-${version}`;
  const path = `${folder}/${main.slice(main.lastIndexOf("/") + 1)}`;
  if (!await isFile(path)) {
    await requireGo();
    onProgress(`building ${name} ${version} with go (once)`);
    // It is there when it is whole: go moves it there.
    await runCommand(["go", "install", "-trimpath", `${main}@${version}`], {
      env: { GOBIN: folder, CGO_ENABLED: "0" },
      timeout: BUILD_TIMEOUT,
    });
  }
  return { path, env: {} };
}

/** Throws with what to install when there is no Go. */
export async function requireGo(): Promise<void> {
  if ((await runCommand(["go", "version"], { mayFail: true })).success) return;
  throw new Error("go is not on PATH: install Go 1.25 or newer; programs are built with it");
}
