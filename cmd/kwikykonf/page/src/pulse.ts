// Whether the other member is still there. Through a relay that cannot be read from ICE: the relay goes on answering
// while the page behind it has crashed. But a page sends something all the time, muted sound and receiver reports too.

import type { PathState } from "./mesh";

/** Receiver reports come every five seconds at the latest, RFC 3550 section 6.2. */
const silence = 8_000;
/** One and a half heartbeats. */
const unheard = 30_000;

export class Pulse {
  private last = -1;
  private at = 0;
  private beating = true;

  /**
   * Takes the number of packets that came so far, what is known of the member, and the time in ms. Returns a change of
   * state, else null.
   */
  feel(arrived: number, member: { sends: boolean; heardAgo: number }, now: number): PathState | null {
    if (arrived !== this.last) {
      this.last = arrived;
      this.at = now;
    }
    const beating = now - this.at < silence || (!member.sends && member.heardAgo < unheard);
    if (beating === this.beating) return null;
    this.beating = beating;
    return beating ? "connected" : "disconnected";
  }
}
