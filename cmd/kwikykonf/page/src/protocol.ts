// What pages tell each other: the call-me message of a room, and the state that rides on calls. Everything read here
// comes from strangers, so each field is bounded and an odd message is nothing rather than an error.

/** What a member sends at the moment. */
export interface MediaState {
  mic: boolean;
  cam: boolean;
  screen: boolean;
}

/** The body of the MESSAGE to the room's shared address. */
export interface Announcement {
  /** User part of the sender's private address. */
  id: string;
  /** The address to call, sip:id@domain. */
  call: string;
  name: string;
  state: MediaState;
  /** Members the sender has a call with; a receiver that misses itself here calls. */
  have: string[];
  leaving: boolean;
}

export const contentType = "application/json";

/** The SIP header that tells a member's state with a call. */
export const stateHeader = "X-Conference-State";

const maxNameLength = 40;
const idPattern = /^guest-[a-z0-9]{4,32}$/;

export function isMemberId(id: string): boolean {
  return idPattern.test(id);
}

/** A new private address' user part; random holds bytes from a good source. */
export function memberId(random: Uint8Array): string {
  return "guest-" + Array.from(random, (b) => b.toString(16).padStart(2, "0")).join("");
}

/** A name as it is shown: one line, without what would break a SIP header, at most 40 characters. */
export function cleanName(name: string): string {
  const line = name.replace(/[\p{Cc}\p{Cf}"\\<>]/gu, " ").replace(/\s+/g, " ").trim();
  return Array.from(line).slice(0, maxNameLength).join("").trim();
}

export function encodeAnnouncement(a: Announcement): string {
  return JSON.stringify({
    call: a.call,
    name: a.name,
    state: encodeState(a.state),
    have: a.have,
    ...(a.leaving ? { leaving: true } : {}),
  });
}

/** Reads a body that came from the address with the user part `from`; null when it is not one of ours. */
export function decodeAnnouncement(body: string, from: string): Announcement | null {
  let raw: unknown;
  try {
    raw = body.length <= 4096 ? JSON.parse(body) : null;
  } catch {
    return null;
  }
  if (typeof raw !== "object" || raw === null || !isMemberId(from)) return null;
  const { call, name, state, have, leaving } = raw as Record<string, unknown>;
  // The address to call must be the sender's own, else one message could make a whole room call somebody.
  if (typeof call !== "string" || !call.startsWith(`sip:${from}@`) || !/@[\w.:[\]-]+$/.test(call)) return null;
  return {
    id: from,
    call,
    name: cleanName(typeof name === "string" ? name : ""),
    state: decodeState(typeof state === "string" ? state : undefined),
    have: Array.isArray(have) ? have.filter((id): id is string => typeof id === "string" && isMemberId(id)).slice(0, 64) : [],
    leaving: leaving === true,
  };
}

/** "mic=1;cam=0;screen=0" */
export function encodeState(s: MediaState): string {
  return `mic=${+s.mic};cam=${+s.cam};screen=${+s.screen}`;
}

/** What is not said is taken as sent: better an empty picture than a hidden one. */
export function decodeState(text: string | undefined): MediaState {
  const said = (text ?? "").split(";").map((pair) => pair.trim());
  return { mic: !said.includes("mic=0"), cam: !said.includes("cam=0"), screen: said.includes("screen=1") };
}
