/** Compiles the official suite into the cache, once per content of the Go files here. */
import { GO_TOOLCHAIN } from "../cluster/versions.ts";
import { isFile } from "../../shared/lib/files.ts";
import { runCommand } from "../../shared/lib/run_command.ts";
import { type Catalog, parseCatalog } from "./catalog.ts";

const SOURCES = ["go.mod", "go.sum", "suite_test.go"] as const;

/** The path of the compiled suite, and what it has. */
export interface TestBinary {
  path: string;
  catalog: Catalog;
}

/** Finds or compiles the suite; `cache` is the folder for built programs. */
export async function ensureTestBinary(
  options: { cache: string; version: string; onProgress: (line: string) => void },
): Promise<TestBinary> {
  const { cache, version, onProgress } = options;
  const here = new URL(".", import.meta.url).pathname;
  const folder = `${cache}/conformance-${version}-${await digestOf(here)}`;
  const path = `${folder}/conformance.test`;
  const catalogFile = `${folder}/catalog.json`;
  if (!await isFile(catalogFile)) {
    onProgress(`compiling the conformance suite ${version} (once, about three minutes)`);
    await Deno.mkdir(folder, { recursive: true });
    const unfinished = `${path}.unfinished`;
    await runCommand(
      [
        "go",
        "test",
        "-c",
        "-trimpath",
        "-buildvcs=false",
        "-ldflags",
        "-s -w",
        "-o",
        unfinished,
        ".",
      ],
      {
        cwd: here,
        env: { CGO_ENABLED: "0", GOWORK: "off", GOTOOLCHAIN: GO_TOOLCHAIN },
        timeout: 1_800_000,
      },
    );
    await Deno.rename(unfinished, path);
    const written = `${catalogFile}.unfinished`;
    await runCommand([path, "-test.run", "^TestCatalog$", `-catalog-output=${written}`]);
    // Written last: where it is, the binary is whole.
    await Deno.rename(written, catalogFile);
  }
  return { path, catalog: parseCatalog(await Deno.readTextFile(catalogFile)) };
}

async function digestOf(folder: string): Promise<string> {
  const texts: string[] = [];
  for (const name of SOURCES) texts.push(await Deno.readTextFile(`${folder}${name}`));
  const bytes = new TextEncoder().encode([GO_TOOLCHAIN, ...texts].join("\0"));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest.subarray(0, 6)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
