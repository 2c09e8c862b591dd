/** Asks an admin endpoint. */

/** The endpoint answered, but not with what was asked for. */
export class HttpStatusError extends Error {
  override name = "HttpStatusError";
}

/** The JSON at `url`. Throws when nothing answers, or not with 200. */
export async function fetchJson(url: string): Promise<unknown> {
  const response = await fetch(url);
  if (!response.ok) {
    const text = (await response.text()).trim().split("\n")[0] ?? "";
    throw new HttpStatusError(`${url}: ${response.status} ${text}`);
  }
  return await response.json();
}
