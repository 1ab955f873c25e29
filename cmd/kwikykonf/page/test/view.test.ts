import assert from "node:assert/strict";
import { test } from "node:test";
import { budget, scaleDown } from "../src/budget";
import { callFailure, calling, mediaFailure, nextTry, refusal } from "../src/failures";
import { grid } from "../src/layout";
import { mark, quiet, relayed } from "../src/sdp";
import { Pulse } from "../src/pulse";
import { bitrate, milliseconds, percent, sample } from "../src/stats";

const stages: [string, number, number][] = [["desktop", 1280, 640], ["phone", 344, 560], ["phone on its side", 780, 270], ["square", 600, 600]];
for (const [name, w, h] of stages) {
  test(`1 to 9 tiles fit on a ${name} stage`, () => {
    for (let n = 1; n <= 9; n++) {
      const g = grid(n, w, h, 8);
      const rows = Math.ceil(n / g.columns);
      assert.ok(g.columns * g.width + (g.columns - 1) * 8 <= w, `${n}: too wide: ${JSON.stringify(g)}`);
      assert.ok(rows * g.height + (rows - 1) * 8 <= h, `${n}: too tall: ${JSON.stringify(g)}`);
      assert.ok(n * g.width * g.height > 0.4 * w * h, `${n}: wastes the stage: ${JSON.stringify(g)}`);
    }
  });
}

test("nine on a wide stage are three by three", () => assert.equal(grid(9, 1248, 515, 10).columns, 3));

test("a stage without room has no tiles", () => assert.deepEqual(grid(3, 0, 0, 8), { columns: 1, width: 0, height: 0 }));

test("a fuller room sends smaller pictures, and less than 3 Mbit/s in all", () => {
  for (let others = 1; others <= 8; others++) {
    const b = budget(others, false);
    assert.ok(others * b.maxBitrate < 3e6, `${others}`);
    assert.ok(b.maxHeight <= budget(Math.max(1, others - 1), false).maxHeight);
  }
  assert.equal(scaleDown(720, budget(4, false)), 2);
  assert.equal(scaleDown(90, budget(4, false)), 1);
  assert.ok(budget(2, true).maxHeight > budget(2, false).maxHeight);
});

const report = (ms: number, k: number) => [
  { id: "T", type: "transport", timestamp: ms, selectedCandidatePairId: "P1", packetsReceived: 30 * k },
  { id: "P0", type: "candidate-pair", timestamp: ms, transportId: "T", currentRoundTripTime: 9, remoteCandidateId: "R" },
  { id: "P1", type: "candidate-pair", timestamp: ms, transportId: "T", currentRoundTripTime: 0.012, remoteCandidateId: "R" },
  { id: "R", type: "remote-candidate", timestamp: ms, address: "2001:db8::1", port: 30000 },
  { id: "C1", type: "codec", timestamp: ms, mimeType: "audio/opus" },
  { id: "C2", type: "codec", timestamp: ms, mimeType: "video/VP8" },
  { id: "A", type: "inbound-rtp", kind: "audio", timestamp: ms, codecId: "C1", bytesReceived: 4000 * k, packetsReceived: 50 * k, packetsLost: 0, audioLevel: 0.25 },
  { id: "V", type: "inbound-rtp", kind: "video", timestamp: ms, codecId: "C2", bytesReceived: 80_000 * k, headerBytesReceived: 1000 * k, packetsReceived: 45 * k, packetsLost: 5 * k, frameWidth: 640, frameHeight: 360, framesPerSecond: 25, framesDecoded: 25 * k },
  { id: "O", type: "outbound-rtp", timestamp: ms, bytesSent: 50_000 * k },
  { id: "RI", type: "remote-inbound-rtp", timestamp: ms, fractionLost: 0.02 },
];

test("figures of two samples", () => {
  const first = sample(report(1000, 1), null);
  assert.deepEqual([first.figures.down, first.figures.lossDown], [null, null]);
  const { figures: f } = sample(report(2000, 2), first);
  assert.equal(f.down, 8 * 85_000);
  assert.equal(f.up, 8 * 50_000);
  assert.equal(f.lossDown, 0.05);
  assert.equal(f.lossUp, 0.02);
  assert.equal(f.roundTrip, 12);
  assert.deepEqual([f.audioCodec, f.videoCodec, f.width, f.height, f.framesDecoded], ["opus", "VP8", 640, 360, 50]);
  assert.equal(f.remoteAddress, "[2001:db8::1]:30000");
  assert.equal(f.arrived, 60);
});

test("figures of an empty report, and of a call made anew", () => {
  const empty = sample([], null);
  assert.equal(empty.figures.roundTrip, null);
  const { figures: f } = sample(report(3000, 1), sample(report(2000, 9), null));
  assert.equal(f.down, 0);
});

test("a pulse stops with the packets and comes back with them", () => {
  const pulse = new Pulse();
  const talks = { sends: true, heardAgo: 40_000 };
  assert.equal(pulse.feel(1, talks, 0), null);
  assert.equal(pulse.feel(2, talks, 1_000), null);
  assert.equal(pulse.feel(2, talks, 8_900), null);
  assert.equal(pulse.feel(2, talks, 9_100), "disconnected");
  assert.equal(pulse.feel(2, talks, 10_000), null, "told once");
  assert.equal(pulse.feel(3, talks, 11_000), "connected");
  assert.equal(pulse.feel(4, talks, 12_000), null);
});

test("who sends nothing is alive as long as it is heard", () => {
  const pulse = new Pulse();
  assert.equal(pulse.feel(0, { sends: false, heardAgo: 0 }, 0), null);
  assert.equal(pulse.feel(0, { sends: false, heardAgo: 20_000 }, 20_000), null);
  assert.equal(pulse.feel(0, { sends: false, heardAgo: 31_000 }, 31_000), "disconnected");
  assert.equal(pulse.feel(0, { sends: false, heardAgo: 100 }, 32_000), "connected");
});

for (const [got, want] of [
  [bitrate(null), "–"],
  [bitrate(640_400), "640 kbit/s"],
  [bitrate(999_900), "1.0 Mbit/s"],
  [percent(0), "0 %"],
  [percent(0.014), "1.4 %"],
  [percent(0.37), "37 %"],
  [milliseconds(0.3), "< 1 ms"],
  [milliseconds(12.4), "12 ms"],
] as const) {
  test(`text ${want}`, () => assert.equal(got, want));
}

const sdp = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:abCD\r\na=ice-pwd:x\r\n";

test("a description tells whether it went through a relay", () => {
  assert.equal(relayed(sdp), null);
  assert.equal(relayed(mark(sdp)), false);
  assert.equal(relayed(mark(sdp).replace("ice-ufrag:abCD", "ice-ufrag:relay")), true);
  assert.equal(mark("v=0\r\n"), "v=0\r\n");
});

test("every failure says something", () => {
  const all = [
    ...["NotAllowedError", "NotFoundError", "NotReadableError", "OddError", ""].flatMap((n) =>
      (["camera", "microphone", "camera and microphone", "screen"] as const).map((w) => mediaFailure(n, w))),
    ...[0, 401, 403, 404, 408, 488, 503].map((s) => refusal(s, "Some Reason", "garden")),
    ...[0, 404, 408, 480, 486, 503].map((status) => callFailure("Ada", { kind: "refused", status })),
    callFailure("Ada", { kind: "no-answer" }),
    callFailure("Ada", { kind: "no-path" }),
  ];
  for (const f of all) assert.ok(f.title.length > 5 && f.detail.length > 15 && !f.detail.includes("undefined"), JSON.stringify(f));
});

test("a failed call says what comes next", () => {
  assert.equal(nextTry("Ada", 2), "Calling again in a moment (2 of 4)…");
  assert.equal(nextTry("Ada", 0), "Calling again when Ada is heard of.");
  assert.deepEqual([calling(1), calling(2)], ["Calling…", "Calling again…"]);
});

test("silence is asked for once, of Opus alone", () => {
  const sdp = "a=rtpmap:0 PCMU/8000\r\na=fmtp:0 x=1\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n";
  const want = sdp.replace("useinbandfec=1", "useinbandfec=1;usedtx=1");
  assert.equal(quiet(sdp), want);
  assert.equal(quiet(want), want);
  assert.equal(quiet("v=0\r\n"), "v=0\r\n");
});
