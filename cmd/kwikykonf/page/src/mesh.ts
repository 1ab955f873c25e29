// Who calls whom. Every member of a room announces itself to the shared address; who hears it and has no call with the
// sender calls. Two members that call each other at once keep exactly one call, the same one on both sides: that of the
// smaller id. Announcements are repeated, and each says with whom its sender has a call, so whatever was lost (a message,
// a socket, a call of which only one side knows) is repaired by the next one.
//
// There is no SIP, no media and no clock in here: all three come in through interfaces.

import type { Announcement, MediaState } from "./protocol";

/** One call as the mesh sees it. */
export interface Leg {
  readonly outgoing: boolean;
  /** Set by the mesh; called until close. */
  listener: LegListener | null;
  /** Answers an incoming call. */
  accept(): void;
  /** Refuses an incoming call with a SIP status. */
  refuse(status: number): void;
  /** Ends the call, whatever its stage. Safe to repeat. */
  close(): void;
}

export interface LegListener {
  /** The call was answered: INVITE, 200. */
  established(): void;
  /** The other side or the network ended it. status is the SIP status of a call that was never answered, else 0. */
  ended(status: number): void;
  /** What the media path does, as ICE and DTLS tell it. */
  path(state: PathState): void;
}

export type PathState = "connected" | "disconnected" | "failed";

export interface Signaling {
  /** Calls a member; the returned leg reports through its listener, never before call returns. */
  call(member: Member): Leg;
  announce(a: Omit<Announcement, "id" | "call" | "name" | "state">): void;
}

export interface Clock {
  now(): number;
  /** Runs f once after ms; the result cancels it. */
  after(ms: number, f: () => void): () => void;
  /** 0 to 1, for jitter. */
  random(): number;
}

export type Phase =
  /** our INVITE is under way */ | "calling"
  /** answered, no media path yet */ | "connecting"
  | "live"
  /** the media path broke a moment ago and may come back */ | "wavering"
  /** no call could be made; detail says why */ | "failed"
  /** the media path broke for good */ | "lost";

export type FailureReason = { kind: "no-answer" } | { kind: "no-path" } | { kind: "refused"; status: number };

export interface Member {
  readonly id: string;
  call: string;
  name: string;
  state: MediaState;
  phase: Phase;
  failure: FailureReason | null;
  leg: Leg | null;
  /** Which try the call under way is, or the next one that is made by itself; 0: none is, until the member is heard. */
  attempt: number;
  /** When its last announcement or call came. */
  heard: number;
}

export type Change = "joined" | "changed" | "left";

/** Times in ms. */
export const timing = {
  /** between announcements; each waits up to a fifth more */
  heartbeat: 20_000,
  /** a member that has no call and is not heard for three heartbeats is gone */
  silence: 65_000,
  /** pages answer by themselves, so this is far more than an answer takes */
  answer: 15_000,
  path: 15_000,
  /** ICE finds back within a few checks or not at all */
  waver: 10_000,
  /** how long the tile of a vanished member says so */
  farewell: 5_000,
  /** an announcement sent before its sender knew of our call may arrive this late */
  crossing: 5_000,
  /** first pause before a failed call is tried again; doubles */
  retry: 3_000,
  /** after we gave way, the other side's INVITE should be here by then */
  giveWay: 3_000,
  /** state changes within this time make one announcement */
  settle: 150,
};

/** Calls in a row that are made by themselves. */
export const maxAttempts = 4;

interface Entry {
  member: Member;
  answered: number; // when the present leg was established, 0: it is not
  attempts: number; // calls that failed in a row
  stop: () => void; // cancels the phase's timer
}

export class Mesh {
  private readonly entries = new Map<string, Entry>();
  private running = false;
  private stopHeartbeat = () => {};
  private stopSettle = () => {};

  constructor(
    readonly self: string,
    private readonly signaling: Signaling,
    private readonly clock: Clock,
    private readonly changed: (member: Member, change: Change) => void,
  ) {}

  get members(): Member[] {
    return [...this.entries.values()].map((e) => e.member);
  }

  /** Announces this page to the room; also after a lost socket came back, and as often as wanted. */
  announce(): void {
    this.running = true;
    this.stopHeartbeat();
    this.stopSettle();
    this.signaling.announce({ have: this.have(), leaving: false });
    const pause = timing.heartbeat * (1 + this.clock.random() / 5);
    this.stopHeartbeat = this.clock.after(pause, () => {
      this.forgetSilent();
      this.announce();
    });
  }

  /** Tells the room soon that our state changed. */
  stateChanged(): void {
    this.stopSettle();
    if (this.running) this.stopSettle = this.clock.after(timing.settle, () => this.announce());
  }

  /** Ends all calls and says good-bye. */
  leave(): void {
    if (!this.running) return;
    this.running = false;
    this.stopHeartbeat();
    this.stopSettle();
    this.signaling.announce({ have: [], leaving: true });
    for (const e of [...this.entries.values()]) this.remove(e);
  }

  /** Takes an announcement of anybody, our own echo included. */
  heard(a: Announcement): void {
    if (!this.running || a.id === this.self) return;
    const known = this.entries.get(a.id);
    if (a.leaving) {
      if (known) this.remove(known);
      return;
    }
    const e = this.meet(a.id, a.call, a.name, a.state);
    const { member } = e;
    if (!member.leg) {
      if (member.phase !== "calling") this.call(e); // "calling" without a leg: we gave way, their INVITE is under way
      return;
    }
    const settled = e.answered > 0 && this.clock.now() - e.answered > timing.crossing;
    if (settled && !a.have.includes(this.self)) this.call(e); // they lost a call that we think we have
  }

  /** Takes an incoming call. */
  incoming(from: { id: string; call: string; name: string; state: MediaState }, leg: Leg): void {
    if (!this.running || from.id === this.self) {
      leg.refuse(480);
      return;
    }
    const e = this.meet(from.id, from.call, from.name, from.state);
    const mine = e.member.leg;
    const crossing = mine?.outgoing && (e.answered === 0 || this.clock.now() - e.answered <= timing.crossing);
    if (crossing && this.self < from.id) {
      leg.refuse(491); // theirs gives way, RFC 3261 section 14.1 names the status for re-INVITEs
      return;
    }
    this.adopt(e, leg, "connecting");
    leg.accept();
  }

  /** Calls a member whose call failed at once. */
  retry(id: string): void {
    const e = this.entries.get(id);
    if (e && !e.member.leg) {
      e.attempts = 0;
      this.call(e);
    }
  }

  private have(): string[] {
    return [...this.entries.values()].filter((e) => e.answered > 0).map((e) => e.member.id);
  }

  private meet(id: string, call: string, name: string, state: MediaState): Entry {
    const known = this.entries.get(id);
    if (known) {
      Object.assign(known.member, { call, name: name || known.member.name, state, heard: this.clock.now() });
      this.changed(known.member, "changed");
      return known;
    }
    const member: Member = { id, call, name: name || "Guest", state, phase: "connecting", failure: null, leg: null, attempt: 1, heard: this.clock.now() };
    const e: Entry = { member, answered: 0, attempts: 0, stop: () => {} };
    this.entries.set(id, e);
    this.changed(member, "joined");
    return e;
  }

  private call(e: Entry): void {
    e.member.attempt = Math.min(e.attempts, maxAttempts) + 1;
    this.adopt(e, this.signaling.call(e.member), "calling");
  }

  /** Makes leg the member's only one. */
  private adopt(e: Entry, leg: Leg, phase: "calling" | "connecting"): void {
    this.drop(e);
    e.member.leg = leg;
    leg.listener = {
      established: () => {
        e.answered = this.clock.now();
        if (e.member.phase !== "live") this.connecting(e);
      },
      ended: (status) => this.ended(e, status),
      path: (state) => this.path(e, state),
    };
    if (phase === "calling") {
      this.enter(e, "calling", timing.answer, () => this.fail(e, { kind: "no-answer" }));
    } else {
      this.connecting(e);
    }
  }

  private connecting(e: Entry): void {
    this.enter(e, "connecting", timing.path, () => this.fail(e, { kind: "no-path" }));
  }

  private ended(e: Entry, status: number): void {
    const { leg } = e.member;
    const answered = e.answered > 0;
    this.drop(e);
    if (answered || !leg?.outgoing) {
      // They hung up, or took back a call that we had not answered yet. If that was to replace it, the new one adds them
      // again.
      this.remove(e);
    } else if (status === 491 || status === 487) {
      // We gave way: the call of the other side is on its way to us.
      this.enter(e, "calling", timing.giveWay, () => this.call(e));
    } else {
      this.fail(e, { kind: "refused", status });
    }
  }

  private path(e: Entry, state: PathState): void {
    switch (state) {
      case "connected":
        e.attempts = 0;
        this.enter(e, "live");
        break;
      case "disconnected":
        if (e.member.phase === "live") this.enter(e, "wavering", timing.waver, () => this.lose(e));
        break;
      case "failed":
        if (e.member.phase === "connecting") this.fail(e, { kind: "no-path" });
        else this.lose(e);
    }
  }

  /** The call could not be made; tried again after a while, and whenever the member is heard. */
  private fail(e: Entry, failure: FailureReason): void {
    this.drop(e);
    e.attempts++;
    e.member.failure = failure;
    e.member.attempt = e.attempts < maxAttempts ? e.attempts + 1 : 0;
    if (e.attempts >= maxAttempts) {
      this.enter(e, "failed");
    } else {
      // Jitter, so that two pages that fail together do not try together.
      const pause = timing.retry * 2 ** (e.attempts - 1) * (1 + this.clock.random() / 2);
      this.enter(e, "failed", pause, () => this.call(e));
    }
  }

  /** The media path is gone. If the member is still there, our announcement tells it that we have no call any more. */
  private lose(e: Entry): void {
    this.drop(e);
    this.enter(e, "lost", timing.farewell, () => this.remove(e));
    this.announce();
  }

  private enter(e: Entry, phase: Phase, ms?: number, then?: () => void): void {
    e.stop();
    e.stop = ms !== undefined && then ? this.clock.after(ms, then) : () => {};
    e.member.phase = phase;
    if (phase !== "failed") e.member.failure = null;
    this.changed(e.member, "changed");
  }

  private drop(e: Entry): void {
    e.stop();
    e.answered = 0;
    const { leg } = e.member;
    e.member.leg = null;
    if (leg) {
      leg.listener = null;
      leg.close();
    }
  }

  private remove(e: Entry): void {
    if (this.entries.get(e.member.id) !== e) return;
    this.drop(e);
    this.entries.delete(e.member.id);
    this.changed(e.member, "left");
  }

  private forgetSilent(): void {
    const limit = this.clock.now() - timing.silence;
    for (const e of [...this.entries.values()]) {
      if (!e.member.leg && e.member.heard < limit) this.remove(e);
    }
  }
}
