/** Whether a 101 switches to something that was asked for (RFC 9110 §7.8, §15.2.2). */

/**
 * @param offered what the request's Upgrade header listed
 * @param chosen the answer's Upgrade header
 */
export function switchesTo(offered: string, chosen: string): boolean {
  const names = protocols(offered);
  const answer = protocols(chosen);
  return answer.length > 0 && answer.every((protocol) => names.includes(protocol));
}

function protocols(value: string): string[] {
  return value.toLowerCase().split(",").map((protocol) => protocol.trim()).filter((protocol) =>
    protocol !== ""
  );
}
