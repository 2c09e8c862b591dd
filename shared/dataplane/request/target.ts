/** What a request target and a Host may look like, before anything is matched against them. */

/**
 * May this path be routed? Match, filter, log and backend must agree on what it means, so whatever
 * some server in the chain might resolve differently is refused: control bytes, backslashes (also
 * `%5c`), NUL (`%00`), fragments and dot segments, encoded or not. `//`, `%2F` and broken escapes
 * stay as they are; only for dot segments `%2F` counts as a separator.
 *
 * @param path raw path without query
 */
export function isCleanPath(path: string): boolean {
  if (path.charCodeAt(0) !== 47) return false;
  // Number of dots in the segment so far, or -1 once it holds anything else.
  let dots = 0;
  for (let i = 1; i < path.length; i++) {
    let code = path.charCodeAt(i);
    if (code === 37) {
      code = escaped(path, i);
      // NUL and backslash; other escapes keep their encoded meaning.
      if (code === 0 || code === 92) return false;
      if (code === 46 || code === 47) i += 2;
      else code = 97;
    } else if (code <= 32 || code === 127 || code === 92 || code === 35) return false;
    if (code === 47) {
      if (dots === 1 || dots === 2) return false;
      dots = 0;
    } else if (code === 46) {
      if (dots >= 0) dots++;
    } else dots = -1;
  }
  return dots !== 1 && dots !== 2;
}

/** The octet that the escape at `at` stands for, or 37 when it is not an escape. */
function escaped(path: string, at: number): number {
  const high = hex(path.charCodeAt(at + 1));
  const low = hex(path.charCodeAt(at + 2));
  return high < 0 || low < 0 ? 37 : high * 16 + low;
}

function hex(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

/** Is the query free of control bytes, blanks and fragments? */
export function isCleanQuery(query: string): boolean {
  for (let i = 0; i < query.length; i++) {
    const code = query.charCodeAt(i);
    if (code <= 32 || code === 127 || code === 35) return false;
  }
  return true;
}

/**
 * The host of an authority: lower-case, without port and without the root's trailing dot.
 *
 * @param authority Host header or `:authority` as received
 * @returns undefined when it is not `host[:port]` (RFC 9110 §7.2; user information is refused)
 */
export function hostOf(authority: string): string | undefined {
  let end = authority.length;
  let upper = false;
  let colon = -1;
  if (authority.charCodeAt(0) === 91) {
    const close = authority.indexOf("]");
    if (close < 2 || !/^\[[0-9a-fA-F:.]+\]$/.test(authority.slice(0, close + 1))) return undefined;
    if (close + 1 < end) {
      if (authority.charCodeAt(close + 1) !== 58) return undefined;
      colon = close + 1;
    }
    upper = true;
  } else {
    for (let i = 0; i < end; i++) {
      const code = authority.charCodeAt(i);
      if ((code >= 97 && code <= 122) || (code >= 48 && code <= 57)) continue;
      if (code === 45 || code === 46 || code === 95) continue;
      if (code >= 65 && code <= 90) upper = true;
      else if (code === 58) {
        colon = i;
        break;
      } else return undefined;
    }
  }
  if (colon !== -1) {
    if (end - colon > 6) return undefined;
    for (let i = colon + 1; i < end; i++) {
      const code = authority.charCodeAt(i);
      if (code < 48 || code > 57) return undefined;
    }
    end = colon;
  }
  if (end > 1 && authority.charCodeAt(end - 1) === 46) end--;
  if (end === 0) return undefined;
  const host = end === authority.length ? authority : authority.slice(0, end);
  return upper ? host.toLowerCase() : host;
}
