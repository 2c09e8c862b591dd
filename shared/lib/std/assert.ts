/**
 * The part of `@std/assert` that the tests use, over `node:assert`. The import map points here
 * because the registry of `@std` is not reachable everywhere; to switch, change the one line in
 * `deno.json`.
 */
import assertNode from "node:assert/strict";

/** Fails unless `value` is truthy. */
export function assert(value: unknown, message = "expected a truthy value"): asserts value {
  assertNode.ok(value, message);
}

/** Fails unless `actual` is deeply and strictly equal to `expected`. */
export function assertEquals<T>(actual: T, expected: T, message?: string): void {
  assertNode.deepStrictEqual(actual, expected, asMessage(message));
}

/** Fails when `actual` is deeply equal to `expected`. */
export function assertNotEquals<T>(actual: T, expected: T, message?: string): void {
  assertNode.notDeepStrictEqual(actual, expected, asMessage(message));
}

/** Fails unless both are the same value or the same object. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  message?: string,
): asserts actual is T {
  assertNode.strictEqual(actual, expected, asMessage(message));
}

/** Fails unless `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, message?: string): void {
  if (!actual.includes(expected)) {
    assertNode.fail(
      message ?? `expected ${JSON.stringify(actual)} to contain ${JSON.stringify(expected)}`,
    );
  }
}

/** Fails unless `actual` matches `expected`. */
export function assertMatch(actual: string, expected: RegExp, message?: string): void {
  assertNode.match(actual, expected, asMessage(message));
}

// deno-lint-ignore no-explicit-any -- the constructor signature that @std/assert has
type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;

function checkError<E extends Error>(
  error: unknown,
  errorClass?: ErrorClass<E>,
  includes?: string,
): E {
  if (!(error instanceof Error)) assertNode.fail(`expected an Error, got ${String(error)}`);
  if (errorClass !== undefined && !(error instanceof errorClass)) {
    assertNode.fail(`expected ${errorClass.name}, got ${error.name}: ${error.message}`);
  }
  if (includes !== undefined) assertStringIncludes(error.message, includes);
  return error as E;
}

/** Fails unless `fn` throws; returns the error. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass?: ErrorClass<E>,
  includes?: string,
): E {
  try {
    fn();
  } catch (error) {
    return checkError(error, errorClass, includes);
  }
  return assertNode.fail("expected the function to throw");
}

/** Fails unless `fn` rejects; resolves to the error. */
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass?: ErrorClass<E>,
  includes?: string,
): Promise<E> {
  try {
    await fn();
  } catch (error) {
    return checkError(error, errorClass, includes);
  }
  return assertNode.fail("expected the promise to reject");
}

/** An empty message makes `node:assert` show the difference, as none does. */
function asMessage(message: string | undefined): string {
  return message ?? "";
}
