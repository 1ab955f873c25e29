// Rooms are named in the page's fragment: …/#garden. What people type becomes the user part of a SIP address.

/** Lower case letters, digits, dash and dot, at most 48 of them; other letters lose their accents or become dashes. */
export function roomSlug(text: string): string {
  return text
    .normalize("NFKD")
    .toLowerCase()
    .replace(/\p{M}+/gu, "")
    .replace(/[^a-z0-9.]+/g, "-")
    .slice(0, 48)
    .replace(/^[-.]+|[-.]+$/g, "");
}

/** The room in a location's hash, "" when there is none. */
export function roomFromHash(hash: string): string {
  const text = hash.replace(/^#/, "");
  try {
    return roomSlug(decodeURIComponent(text));
  } catch {
    return roomSlug(text); // a lone % sign
  }
}

/** The user part of the address that all members of a room share. */
export function roomUser(slug: string): string {
  return `room-${slug}`;
}

const first = ["amber", "calm", "clear", "copper", "early", "gentle", "golden", "green", "lucid", "mellow", "quiet", "silver"];
const second = ["bay", "brook", "cedar", "cloud", "dune", "garden", "harbour", "lake", "meadow", "orchard", "river", "valley"];

/** A name for a new room; random gives numbers from 0 (inclusive) to 1. */
export function inventRoom(random: () => number): string {
  const pick = (words: string[]) => words[Math.floor(random() * words.length)];
  return `${pick(first)}-${pick(second)}-${100 + Math.floor(random() * 900)}`;
}
