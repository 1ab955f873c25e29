// The little that the page itself does with session descriptions.
//
// A page cannot see from a candidate whether it is the other member's or a relay's. So each description carries the ICE
// user fragment of the page that wrote it in an attribute of its own. A relay answers with its own fragment and passes
// the unknown attribute on: where both differ, media goes through it.

const attribute = "x-origin-ufrag";

const value = (sdp: string, name: string): string =>
  new RegExp(`^a=${name}:(.*?)\\r?$`, "m").exec(sdp)?.[1]?.trim() ?? "";

/** The description with its author's mark, at session level. */
export function mark(sdp: string): string {
  const ufrag = value(sdp, "ice-ufrag");
  return ufrag ? sdp.replace(/^(t=.*\r?\n)/m, `$1a=${attribute}:${ufrag}\r\n`) : sdp;
}

/** The description with the wish that who is silent sends next to nothing: in a full room all but one listen. RFC 7587 section 6.1. */
export function quiet(sdp: string): string {
  const opus = /^a=rtpmap:(\d+) opus\/48000\/2\r?$/m.exec(sdp)?.[1];
  return opus ? sdp.replace(new RegExp(`^(a=fmtp:${opus} (?!.*usedtx).*?)(\r?)$`, "m"), "$1;usedtx=1$2") : sdp;
}

/** Whether the path of a received description leads through a relay; null when its author left no mark. */
export function relayed(sdp: string): boolean | null {
  const origin = value(sdp, attribute);
  return origin ? origin !== value(sdp, "ice-ufrag") : null;
}
