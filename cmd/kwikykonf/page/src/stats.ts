// getStats() turned into the figures of the panel.

/** Running totals of one moment. */
interface Totals {
  at: number; // ms
  received: number; // bytes
  sent: number;
  packets: number;
  lost: number;
}

export interface Figures {
  down: number | null; // bit/s; null until there are two samples
  up: number | null;
  lossDown: number | null; // 0 to 1, since the last sample
  lossUp: number | null; // 0 to 1, as the other end reports it
  roundTrip: number | null; // ms, to the other end of the selected pair: the relay, if there is one
  audioCodec: string;
  videoCodec: string;
  width: number;
  height: number;
  framesPerSecond: number;
  framesDecoded: number;
  remoteAddress: string;
  /** Packets that came so far, receiver reports included where the browser counts them. */
  arrived: number;
}

export interface Sample {
  totals: Totals;
  figures: Figures;
}

type Stat = RTCStats & Record<string, unknown>;

const num = (v: unknown): number => (typeof v === "number" ? v : 0);
const str = (v: unknown): string => (typeof v === "string" ? v : "");

/** The figures of a report, its rates against the sample before. */
export function sample(report: Iterable<unknown>, before: Sample | null): Sample {
  const all = new Map<string, Stat>();
  for (const s of report as Iterable<Stat>) all.set(s.id, s);
  const totals: Totals = { at: 0, received: 0, sent: 0, packets: 0, lost: 0 };
  const f: Figures = {
    down: null, up: null, lossDown: null, lossUp: null, roundTrip: null, audioCodec: "", videoCodec: "",
    width: 0, height: 0, framesPerSecond: 0, framesDecoded: 0, remoteAddress: "", arrived: 0,
  };
  const codec = (s: Stat) => str(all.get(str(s["codecId"]))?.["mimeType"]).replace(/^.*\//, "");
  for (const s of all.values()) {
    totals.at = Math.max(totals.at, s.timestamp);
    switch (s.type as string) {
      case "transport":
        f.arrived += num(s["packetsReceived"]);
        break;
      case "inbound-rtp":
        totals.received += num(s["bytesReceived"]) + num(s["headerBytesReceived"]);
        totals.packets += num(s["packetsReceived"]);
        totals.lost += num(s["packetsLost"]);
        if (s["kind"] === "audio") f.audioCodec = codec(s);
        else {
          f.videoCodec = codec(s);
          f.width = num(s["frameWidth"]);
          f.height = num(s["frameHeight"]);
          f.framesPerSecond = num(s["framesPerSecond"]);
          f.framesDecoded = num(s["framesDecoded"]);
        }
        break;
      case "outbound-rtp":
        totals.sent += num(s["bytesSent"]) + num(s["headerBytesSent"]);
        break;
      case "remote-inbound-rtp":
        if (typeof s["fractionLost"] === "number") f.lossUp = Math.max(f.lossUp ?? 0, s["fractionLost"]);
        break;
      case "candidate-pair": {
        const transport = all.get(str(s["transportId"]));
        const selected = transport?.["selectedCandidatePairId"] === s.id || s["selected"] === true; // the latter in Firefox
        if (!selected) break;
        if (typeof s["currentRoundTripTime"] === "number") f.roundTrip = 1000 * s["currentRoundTripTime"];
        const remote = all.get(str(s["remoteCandidateId"]));
        const address = str(remote?.["address"]);
        if (remote) f.remoteAddress = `${address.includes(":") ? `[${address}]` : address}:${num(remote["port"])}`;
        break;
      }
    }
  }
  f.arrived ||= totals.packets; // Firefox has no transport statistics
  if (before && totals.at > before.totals.at) {
    const seconds = (totals.at - before.totals.at) / 1000;
    const since = (k: "received" | "sent" | "packets" | "lost") => Math.max(0, totals[k] - before.totals[k]);
    f.down = (8 * since("received")) / seconds;
    f.up = (8 * since("sent")) / seconds;
    const expected = since("packets") + since("lost");
    f.lossDown = expected > 0 ? since("lost") / expected : null;
  }
  return { totals, figures: f };
}

/** "1.2 Mbit/s", "640 kbit/s" */
export function bitrate(bitsPerSecond: number | null): string {
  if (bitsPerSecond === null) return "–";
  return bitsPerSecond >= 999_500 ? `${(bitsPerSecond / 1e6).toFixed(1)} Mbit/s` : `${Math.round(bitsPerSecond / 1e3)} kbit/s`;
}

/** "0 %", "1.4 %", "37 %" */
export function percent(share: number | null): string {
  if (share === null) return "–";
  const p = 100 * share;
  return `${p > 0 && p < 10 ? p.toFixed(1) : Math.round(p)} %`;
}

export function milliseconds(ms: number | null): string {
  return ms === null ? "–" : ms < 1 ? "< 1 ms" : `${Math.round(ms)} ms`;
}
