// What a page may send to each of the others. In a full mesh every member encodes and sends its picture once for each
// other member, so the picture shrinks as the room fills: about 2.5 Mbit/s upwards in all.

export interface Budget {
  maxBitrate: number; // bit/s
  maxHeight: number; // lines
  maxFramerate: number;
}

const steps: [others: number, b: Budget][] = [
  [1, { maxBitrate: 1_500_000, maxHeight: 720, maxFramerate: 30 }],
  [2, { maxBitrate: 900_000, maxHeight: 540, maxFramerate: 30 }],
  [4, { maxBitrate: 550_000, maxHeight: 360, maxFramerate: 25 }],
  [6, { maxBitrate: 350_000, maxHeight: 270, maxFramerate: 20 }],
  [Infinity, { maxBitrate: 250_000, maxHeight: 180, maxFramerate: 15 }],
];

/** A screen needs its lines more than its frames. */
export function budget(others: number, screen: boolean): Budget {
  const b = (steps.find(([limit]) => others <= limit) ?? steps[steps.length - 1]!)[1];
  return screen ? { maxBitrate: b.maxBitrate * 1.5, maxHeight: 1080, maxFramerate: 8 } : b;
}

/** RTCRtpEncodingParameters.scaleResolutionDownBy for a source of this height. */
export function scaleDown(sourceHeight: number, b: Budget): number {
  return Math.max(1, sourceHeight / b.maxHeight);
}
