import assert from "node:assert/strict";
import { test } from "node:test";
import { maxAttempts, timing } from "../src/mesh";
import { FakeRoom } from "./fakes";

const names = ["guest-aaaa", "guest-bbbb", "guest-cccc", "guest-dddd", "guest-eeee", "guest-ffff", "guest-gggg", "guest-hhhh", "guest-iiii"];
const [a, b, c] = names as [string, string, string];

test("alone: nobody is called, the own echo least of all", () => {
  const room = new FakeRoom();
  room.join(a);
  room.clock.run(60_000);
  assert.deepEqual(room.legs, []);
  assert.deepEqual(room.pages.get(a)?.members, []);
});

test("a late joiner is called by everybody, once", () => {
  const room = new FakeRoom();
  for (const id of [a, b, c]) {
    room.join(id);
    room.clock.run(1_000);
  }
  assert.deepEqual(room.faults(), []);
  assert.equal(room.legs.length, 3 * 2, "one call a pair, two ends each");
  assert.ok(
    room.legs.filter((l) => l.owner === c).every((l) => !l.outgoing),
    "the newcomer is called, it does not call",
  );
});

test("two that join at once keep the call of the smaller id", () => {
  const room = new FakeRoom();
  room.join(b);
  room.join(a);
  room.pages.get(b)?.announce(); // its first one found nobody registered
  room.clock.run(2_000);
  assert.deepEqual(room.faults(), []);
  assert.equal(room.legs.filter((l) => l.outgoing).length, 2, "both called");
  assert.equal(room.calls(a, b)[0]?.outgoing, true);
  assert.equal(room.calls(b, a)[0]?.outgoing, false);
  assert.deepEqual(room.legs.map((l) => l.refusedWith).filter(Boolean), [491]);
});

test("nine join within a second, with any delays: one call for each pair", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const room = new FakeRoom(seed);
    room.delay = () => 5 + room.random() * 400;
    for (const id of names) room.clock.after(room.random() * 1_000, () => room.join(id));
    room.clock.run(15_000);
    assert.deepEqual(room.faults(), [], `seed ${seed}`);
  }
});

test("a third of all announcements and calls get lost: repeats repair the mesh", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const room = new FakeRoom(seed);
    let lossy = true;
    room.delay = () => 5 + room.random() * 200;
    room.loses = () => lossy && room.random() < 0.33;
    for (const id of names.slice(0, 5)) room.join(id);
    room.clock.run(40_000);
    lossy = false;
    room.clock.run(60_000);
    assert.deepEqual(room.faults(), [], `seed ${seed}`);
  }
});

test("leaving ends every call on both sides", () => {
  const room = new FakeRoom();
  for (const id of [a, b, c]) room.join(id);
  room.clock.run(2_000);
  room.pages.get(b)?.leave();
  room.pages.delete(b);
  room.clock.run(1_000);
  assert.deepEqual(room.faults(), []);
  assert.equal(room.legs.filter((l) => l.open && (l.owner === b || l.peer === b)).length, 0);
  const told = room.history.filter((h) => h.member === b && h.change === "left").map((h) => h.page);
  assert.deepEqual(told.sort(), [a, c]);
});

test("a call to a page that left is refused", () => {
  const room = new FakeRoom();
  const first = room.join(a);
  first.leave();
  const second = room.join(b);
  second.heard({ id: a, call: `sip:${a}@test`, name: a, state: { mic: true, cam: true, screen: false }, have: [], leaving: false });
  room.clock.run(100);
  assert.deepEqual(room.legs.map((l) => l.refusedWith).filter(Boolean), [480]);
});

test("a member that vanishes: its tile says so, then goes", () => {
  const room = new FakeRoom();
  for (const id of [a, b, c]) room.join(id);
  room.clock.run(2_000);
  room.dead.add(b);
  for (const leg of room.legs.filter((l) => l.peer === b)) leg.pathIs("disconnected");
  const seen = () => room.pages.get(a)?.members.find((m) => m.id === b)?.phase;
  assert.equal(seen(), "wavering");
  room.clock.run(timing.waver);
  assert.equal(seen(), "lost");
  room.clock.run(timing.farewell);
  assert.equal(seen(), undefined);
  room.clock.run(60_000);
  assert.deepEqual(room.faults([a, c]), []);
});

test("a path that comes back keeps its call", () => {
  const room = new FakeRoom();
  for (const id of [a, b]) room.join(id);
  room.clock.run(2_000);
  const before = room.calls(a, b)[0];
  for (const leg of room.legs) leg.pathIs("disconnected");
  room.clock.run(timing.waver - 1);
  for (const leg of room.legs) leg.pathIs("connected");
  room.clock.run(60_000);
  assert.deepEqual(room.faults(), []);
  assert.equal(room.calls(a, b)[0], before);
});

test("a call that broke while both stayed is made again", () => {
  for (const failing of [[a], [b], [a, b]]) {
    const room = new FakeRoom();
    for (const id of [a, b]) room.join(id);
    room.clock.run(30_000);
    for (const leg of room.legs.filter((l) => failing.includes(l.owner))) leg.pathIs("failed");
    room.clock.run(30_000);
    assert.deepEqual(room.faults(), [], `path failed at ${failing}`);
  }
});

test("a call of which one side knows nothing any more is replaced", () => {
  const room = new FakeRoom();
  for (const id of [a, b]) room.join(id);
  room.clock.run(10_000);
  for (const leg of room.calls(b, a)) leg.open = false; // b forgets without a word
  const entries = (room.pages.get(b) as unknown as { entries: Map<string, unknown> }).entries;
  entries.clear();
  room.clock.run(2 * timing.heartbeat);
  assert.deepEqual(room.faults(), []);
});

test("no media path: the failure is told, tried again with pauses, and works once the path does", () => {
  const room = new FakeRoom();
  room.mediaWorks = () => false;
  for (const id of [a, b]) room.join(id);
  room.clock.run(timing.path + 500);
  const seen = () => room.pages.get(a)?.members[0];
  assert.deepEqual([seen()?.phase, seen()?.failure], ["failed", { kind: "no-path" }]);
  room.mediaWorks = () => true;
  room.clock.run(30_000);
  assert.deepEqual(room.faults(), []);
});

test("no answer: told, and given up once the member is silent", () => {
  const room = new FakeRoom();
  room.join(a);
  room.join(b);
  room.loses = (what) => what === "call";
  room.clock.run(timing.answer + 500);
  assert.deepEqual(room.pages.get(a)?.members[0]?.failure, { kind: "no-answer" });
  room.dead.add(b);
  room.clock.run(timing.silence + 4 * timing.answer + 2 * timing.heartbeat);
  assert.deepEqual(room.pages.get(a)?.members, []);
});

test("an unanswered call is made again by itself, with growing pauses, and says so", () => {
  const room = new FakeRoom();
  room.loses = (what) => what === "call";
  const page = room.join(a);
  room.join(b);
  room.clock.run(50);
  room.loses = () => true; // no announcement calls it sooner
  const m = page.members[0]!;
  const begun: number[] = [];
  const told: string[] = [];
  for (let ms = 0; ms < 100_000; ms += 100) {
    const now = `${m.phase} ${m.attempt}`;
    if (now !== told.at(-1)) {
      told.push(now);
      if (m.phase === "calling") begun.push(room.clock.now());
    }
    m.heard = room.clock.now(); // still there, for as long as this lasts
    room.clock.run(100);
  }
  const want = [];
  for (let i = 1; i <= maxAttempts; i++) want.push(`calling ${i}`, `failed ${i < maxAttempts ? i + 1 : 0}`);
  assert.deepEqual(told, want);
  const pauses = begun.slice(1).map((at, i) => at - begun[i]! - timing.answer);
  pauses.forEach((p, i) => {
    const least = timing.retry * 2 ** i;
    assert.ok(p >= least - 100 && p <= least * 1.5 + 100, `pause ${i + 1} is ${p}`);
  });
  room.loses = () => false;
  room.pages.get(b)?.announce();
  room.clock.run(2_000);
  assert.deepEqual(room.faults(), [], "heard of again, it is called at once");
});

test("nobody who left is called again", () => {
  const room = new FakeRoom();
  room.loses = (what) => what === "call";
  const page = room.join(a);
  const other = room.join(b);
  room.clock.run(timing.answer + 500);
  assert.equal(page.members[0]?.phase, "failed");
  other.leave();
  room.pages.delete(b);
  room.clock.run(100);
  const calls = room.legs.length;
  room.clock.run(60_000);
  assert.deepEqual([page.members, room.legs.length], [[], calls]);
});

test("both sides call again at once: one call is left", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const room = new FakeRoom(seed);
    room.delay = () => 5 + room.random() * 200;
    for (const id of [a, b]) room.join(id);
    room.loses = (what) => what === "call";
    room.clock.run(timing.answer + 500);
    room.loses = () => false;
    room.pages.get(a)?.retry(b);
    room.pages.get(b)?.retry(a);
    room.clock.run(10_000);
    assert.deepEqual(room.faults(), [], `seed ${seed}`);
  }
});

test("a relay and a proxy too busy to answer in time: once they have time, each pair has its call", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const room = new FakeRoom(seed);
    let busy = true;
    room.delay = () => (!busy ? 5 + room.random() * 300 : room.random() < 0.5 ? 50 + room.random() * 500 : 1_000 + room.random() * 9_000);
    room.proxyGivesUp = 5_000;
    room.mediaWorks = () => !busy || room.random() < 0.7;
    for (const id of names) room.clock.after(room.random() * 1_000, () => room.join(id));
    room.clock.run(60_000 + room.random() * 60_000);
    busy = false;
    room.clock.run(2 * 60_000);
    assert.deepEqual(room.faults(), [], `seed ${seed}`);
  }
});

test("retry by hand calls at once", () => {
  const room = new FakeRoom();
  room.loses = (what) => what === "call";
  for (const id of [a, b]) room.join(id);
  room.clock.run(timing.answer + 100);
  room.loses = () => false;
  const page = room.pages.get(a);
  page?.retry(b);
  room.clock.run(500);
  assert.deepEqual(room.faults(), []);
});

test("state changes are gathered into one announcement", () => {
  const room = new FakeRoom();
  const page = room.join(a);
  let sent = 0;
  room.loses = () => (sent++, false);
  room.clock.run(1_000);
  for (let i = 0; i < 5; i++) page.stateChanged();
  room.clock.run(1_000);
  assert.equal(sent, 1);
});
