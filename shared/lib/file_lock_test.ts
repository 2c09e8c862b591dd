import { assert, assertEquals } from "@std/assert";
import { FileLock } from "./file_lock.ts";

Deno.test("FileLock.acquire() gives the lock to one holder at a time", async () => {
  const folder = await Deno.makeTempDir({ prefix: "lgw-lock-" });
  const path = `${folder}/lock`;
  const first = await FileLock.acquire(path);
  assert(first !== undefined);
  assertEquals(await FileLock.acquire(path), undefined);
  first.release();
  const second = await FileLock.acquire(path);
  assert(second !== undefined);
  second.release();
  await Deno.remove(folder, { recursive: true });
});
