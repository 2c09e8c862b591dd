/** The folders of samples that come with their backends, certificates and lines to try. */
import type { ServedPort } from "./guide.ts";
import { prepareProtocols } from "./protocols_sample.ts";
import { prepareQuickstart } from "./quickstart_sample.ts";
import type { RunningBackends } from "./start_backends.ts";

/** What a folder of samples needs beside its manifests. */
export interface Sample {
  /** Manifests that are in no file; they may hold private keys. */
  manifests: readonly string[];
  /** Name → content of files for those who try it: certificates, never keys. */
  files: Readonly<Record<string, string>>;
  backends: RunningBackends;
  /** What to try. `fileOf` says where a file is. */
  guide(served: { ports: readonly ServedPort[]; fileOf: (name: string) => string }): string;
}

const folder = (name: string) => new URL(`../samples/${name}`, import.meta.url);

/** What `deno task run` serves when nothing else is named. */
export const QUICKSTART = folder("quickstart");

const SAMPLES: readonly {
  at: URL;
  prepare: (folder: string, now: Date) => Promise<Sample>;
}[] = [
  { at: QUICKSTART, prepare: prepareQuickstart },
  { at: folder("protocols"), prepare: prepareProtocols },
];

/**
 * Starts what the samples among some folders need. Folders of others get nothing: what is served is
 * what is in them.
 *
 * @param folders absolute, without symbolic links
 */
export async function prepareSamples(folders: readonly string[], now: Date): Promise<Sample[]> {
  const samples: Sample[] = [];
  try {
    for (const { at, prepare } of SAMPLES) {
      const folder = await Deno.realPath(at);
      if (folders.includes(folder)) samples.push(await prepare(folder, now));
    }
    return samples;
  } catch (error) {
    await Promise.all(samples.map(({ backends }) => backends.stop()));
    throw error;
  }
}
