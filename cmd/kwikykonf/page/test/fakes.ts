// A room without SIP, media or waiting: meshes joined by a network whose delays, losses and order a seed decides.

import { Mesh, type Change, type Clock, type Leg, type LegListener, type Member, type PathState } from "../src/mesh";
import type { Announcement } from "../src/protocol";

/** mulberry32: small, and the same numbers everywhere. */
export function seeded(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class FakeClock implements Clock {
  private time = 0;
  private sequence = 0;
  private due: { at: number; order: number; f: () => void }[] = [];

  constructor(readonly random: () => number) {}

  now(): number {
    return this.time;
  }

  after(ms: number, f: () => void): () => void {
    const item = { at: this.time + ms, order: this.sequence++, f };
    this.due.push(item);
    return () => {
      this.due = this.due.filter((d) => d !== item);
    };
  }

  /** Lets ms pass and runs what falls due, in order. */
  run(ms: number): void {
    const end = this.time + ms;
    for (;;) {
      const next = this.due
        .filter((d) => d.at <= end)
        .sort((a, b) => a.at - b.at || a.order - b.order)
        .at(0);
      if (!next) break;
      this.due = this.due.filter((d) => d !== next);
      this.time = next.at;
      next.f();
    }
    this.time = end;
  }
}

/** One end of a call. */
class FakeLeg implements Leg {
  listener: LegListener | null = null;
  other!: FakeLeg;
  open = true;
  answered = false;
  refusedWith = 0;

  constructor(
    private readonly room: FakeRoom,
    readonly owner: string,
    readonly peer: string,
    readonly outgoing: boolean,
  ) {}

  accept(): void {
    if (!this.open) return;
    this.answered = true;
    this.listener?.established();
    this.room.send(this.owner, this.peer, () => {
      if (!this.other.open) {
        if (this.room.proxyGivesUp && this.room.random() < 0.5) return; // nobody knows that call any more
        // The CANCEL crossed our 200: the caller acknowledges and hangs up, RFC 3261 section 9.1.
        this.room.send(this.peer, this.owner, () => this.end(0));
        return;
      }
      this.other.answered = true;
      this.other.listener?.established();
      if (this.room.mediaWorks(this.owner, this.peer)) {
        for (const leg of [this, this.other]) leg.pathIs("connected");
      }
    });
  }

  refuse(status: number): void {
    this.open = false;
    this.refusedWith = status;
    this.room.send(this.owner, this.peer, () => this.other.end(status));
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    this.room.send(this.owner, this.peer, () => this.other.end(this.other.answered || !this.other.outgoing ? 0 : 480));
  }

  pathIs(state: PathState): void {
    if (this.open) this.listener?.path(state);
  }

  end(status: number): void {
    if (!this.open) return;
    this.open = false;
    this.listener?.ended(status);
  }
}

export class FakeRoom {
  readonly clock: FakeClock;
  readonly pages = new Map<string, Mesh>();
  readonly history: { page: string; member: string; change: Change }[] = [];
  readonly legs: FakeLeg[] = [];
  /** Milliseconds a message takes; may be random. */
  delay = () => 20;
  loses = (_what: "announcement" | "call") => false;
  /** After so many milliseconds a call without an answer is told 408; 0: never. */
  proxyGivesUp = 0;
  mediaWorks = (_a: string, _b: string) => true;
  /** Pages that no message reaches or leaves any more. */
  readonly dead = new Set<string>();
  readonly random: () => number;

  constructor(seed = 1) {
    this.random = seeded(seed);
    this.clock = new FakeClock(this.random);
  }

  join(id: string): Mesh {
    const mesh = new Mesh(
      id,
      {
        call: (member) => this.call(id, member),
        announce: (a) => this.announce({ id, call: `sip:${id}@test`, name: id, state: { mic: true, cam: true, screen: false }, ...a }),
      },
      this.clock,
      (member, change) => {
        if (change !== "changed") this.history.push({ page: id, member: member.id, change });
      },
    );
    this.pages.set(id, mesh);
    mesh.announce();
    return mesh;
  }

  /** In order between two pages, as a WebSocket and a proxy keep it. */
  private readonly lastArrival = new Map<string, number>();
  send(from: string, to: string, f: () => void): void {
    const key = `${from} ${to}`;
    const at = Math.max(this.clock.now() + this.delay(), this.lastArrival.get(key) ?? 0);
    this.lastArrival.set(key, at);
    this.clock.after(at - this.clock.now(), () => {
      if (!this.dead.has(from) && !this.dead.has(to)) f();
    });
  }

  /** The proxy forks the message to every contact of the room, the sender's own included. */
  private announce(a: Announcement): void {
    for (const [id, page] of this.pages) {
      if (!this.loses("announcement")) this.send(a.id, id, () => page.heard(a));
    }
  }

  private call(from: string, member: Member): Leg {
    const out = new FakeLeg(this, from, member.id, true);
    const incoming = new FakeLeg(this, member.id, from, false);
    out.other = incoming;
    incoming.other = out;
    this.legs.push(out, incoming);
    if (this.proxyGivesUp) {
      this.clock.after(this.proxyGivesUp, () => {
        if (!out.answered) out.end(408);
      });
    }
    if (this.loses("call")) return out;
    this.send(from, member.id, () => {
      if (!out.open) {
        incoming.open = false;
        return; // cancelled before it arrived
      }
      const state = { mic: true, cam: true, screen: false };
      this.pages.get(member.id)?.incoming({ id: from, call: `sip:${from}@test`, name: from, state }, incoming);
    });
    return out;
  }

  /** Open, answered call ends that this page holds with the other. */
  calls(page: string, other: string): FakeLeg[] {
    return this.legs.filter((l) => l.owner === page && l.peer === other && l.open && l.answered);
  }

  /** What is wrong with the mesh; empty when each pair of these pages has exactly one call that both see alive. */
  faults(ids = [...this.pages.keys()]): string[] {
    const faults: string[] = [];
    for (const a of ids) {
      const members = this.pages.get(a)?.members ?? [];
      const want = ids.filter((id) => id !== a).sort();
      const got = members.map((m) => m.id).sort();
      if (got.join() !== want.join()) faults.push(`${a} sees ${got} and should see ${want}`);
      for (const m of members) if (m.phase !== "live") faults.push(`${a}: ${m.id} is ${m.phase}`);
      for (const b of want) {
        const open = this.calls(a, b);
        if (open.length !== 1) faults.push(`${a} has ${open.length} calls with ${b}`);
        else if (!open[0]?.other.open) faults.push(`${a}'s call with ${b} is closed at the other end`);
      }
    }
    return faults;
  }
}
