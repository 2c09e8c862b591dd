/** Turns for tests of samples, whose backends have the fixed ports that their users see. */
import { tmpdir } from "node:os";

/** Runs a test when no other run of such tests on this machine does. */
export async function withFixedPorts(test: () => Promise<void>): Promise<void> {
  const lock = await Deno.open(`${tmpdir()}/lgw-e2e-quickstart.lock`, {
    create: true,
    write: true,
  });
  try {
    await lock.lock(true);
    await test();
  } finally {
    lock.close();
  }
}
