import assert from "node:assert/strict";
import { test } from "node:test";
import { cleanName, decodeAnnouncement, decodeState, encodeAnnouncement, encodeState, memberId } from "../src/protocol";
import { inventRoom, roomFromHash, roomSlug } from "../src/room";
import { seeded } from "./fakes";

const sent = {
  id: "guest-0a1b",
  call: "sip:guest-0a1b@conf.test",
  name: "Ada",
  state: { mic: true, cam: false, screen: true },
  have: ["guest-ffff"],
  leaving: false,
};

test("an announcement survives the way", () => {
  assert.deepEqual(decodeAnnouncement(encodeAnnouncement(sent), sent.id), sent);
  assert.deepEqual(decodeAnnouncement(encodeAnnouncement({ ...sent, leaving: true }), sent.id), { ...sent, leaving: true });
});

for (const [name, body, from] of [
  ["no JSON", "sip:guest-0a1b@conf.test", sent.id],
  ["not an object", "null", sent.id],
  ["too long", JSON.stringify({ ...sent, name: "x".repeat(5000) }), sent.id],
  ["somebody else's address", encodeAnnouncement(sent), "guest-ffff"],
  ["a sender who is no page", encodeAnnouncement(sent), "alice"],
  ["an address with parameters", JSON.stringify({ call: "sip:guest-0a1b@conf.test;transport=udp" }), sent.id],
  ["an address without a host", JSON.stringify({ call: "sip:guest-0a1b@" }), sent.id],
  ["an address with headers", JSON.stringify({ call: "sip:guest-0a1b@conf.test?Route=x" }), sent.id],
] as const) {
  test(`not an announcement: ${name}`, () => assert.equal(decodeAnnouncement(body, from), null));
}

test("odd fields are taken for what is harmless", () => {
  const got = decodeAnnouncement(JSON.stringify({ call: sent.call, name: 7, state: [], have: ["guest-ffff", 3, "x"], leaving: 1 }), sent.id);
  assert.deepEqual(got, { ...sent, name: "", state: { mic: true, cam: true, screen: false } });
});

test("states", () => {
  for (const s of [sent.state, { mic: false, cam: true, screen: false }]) assert.deepEqual(decodeState(encodeState(s)), s);
  assert.deepEqual(decodeState(undefined), { mic: true, cam: true, screen: false });
});

for (const [got, want] of [
  ["  Ada \n Lovelace ", "Ada Lovelace"],
  ['"><b>x\\', "b x"],
  ["x".repeat(100), "x".repeat(40)],
  ["Zoë 🦊", "Zoë 🦊"],
  ["\u202eevil", "evil"],
] as const) {
  test(`name ${JSON.stringify(got).slice(0, 20)}`, () => assert.equal(cleanName(got), want));
}

for (const [got, want] of [
  ["#garden", "garden"],
  ["#Our%20Garden!", "our-garden"],
  ["#caf%C3%A9", "cafe"],
  ["#100%", "100"],
  ["#../..", ""],
  ["", ""],
] as const) {
  test(`room ${got}`, () => assert.equal(roomFromHash(got), want));
}

test("invented rooms are valid, ids too", () => {
  const random = seeded(3);
  for (let i = 0; i < 50; i++) {
    const room = inventRoom(random);
    assert.equal(roomSlug(room), room);
  }
  assert.equal(memberId(new Uint8Array([0, 255, 16])), "guest-00ff10");
});
