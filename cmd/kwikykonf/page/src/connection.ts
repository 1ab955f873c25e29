// One RTCPeerConnection with one other member, driven by SIP.js as its session description handler. Both directions are
// always negotiated for sound and picture, with or without a device behind them, so cameras, screens and silence come and
// go by replacing tracks, without a new offer.

import type { BodyAndContentType, SessionDescriptionHandler } from "sip.js/lib/api";
import { scaleDown, type Budget } from "./budget";
import type { PathState } from "./mesh";
import { mark, quiet, relayed } from "./sdp";

export type Kind = "audio" | "video";
const kinds: Kind[] = ["audio", "video"];

/** What this page sends at the moment. */
export interface LocalTracks {
  track(kind: Kind): MediaStreamTrack | null;
  /** The result ends the subscription. */
  onChange(f: () => void): () => void;
}

/** Without STUN and TURN all candidates are there at once; this is for interfaces that do not answer. */
const gatheringTimeout = 1000;

export class Connection implements SessionDescriptionHandler {
  /** What the other member sends. */
  readonly stream = new MediaStream();
  /** Whether media goes through a relay; null when that cannot be told. */
  relayed: boolean | null = null;

  private readonly pc: RTCPeerConnection;
  private readonly unsubscribe: () => void;
  private budget: Budget | null = null;

  constructor(
    private readonly local: LocalTracks,
    private readonly path: (state: PathState) => void,
  ) {
    this.pc = new RTCPeerConnection(); // no STUN, no TURN: the relay's candidates are the only ones that count
    this.pc.ontrack = ({ track }) => {
      for (const old of this.stream.getTracks()) if (old.kind === track.kind) this.stream.removeTrack(old);
      this.stream.addTrack(track);
    };
    this.pc.onconnectionstatechange = () => {
      const state = this.pc.connectionState;
      if (state === "connected") this.applyBudget();
      if (state === "connected" || state === "disconnected" || state === "failed") this.path(state);
    };
    this.unsubscribe = local.onChange(() => this.attach());
  }

  close(): void {
    this.unsubscribe();
    this.pc.onconnectionstatechange = null;
    this.pc.close();
  }

  hasDescription(contentType: string): boolean {
    return contentType === "application/sdp";
  }

  async getDescription(): Promise<BodyAndContentType> {
    if (this.pc.signalingState === "have-remote-offer") {
      await this.pc.setLocalDescription(await this.pc.createAnswer());
    } else {
      if (this.pc.getTransceivers().length === 0) for (const kind of kinds) this.pc.addTransceiver(kind);
      this.attach();
      await this.pc.setLocalDescription(await this.pc.createOffer());
    }
    await this.gathered();
    const { localDescription } = this.pc;
    if (!localDescription) throw new Error("the connection was closed");
    return { body: mark(quiet(localDescription.sdp)), contentType: "application/sdp" };
  }

  async setDescription(sdp: string): Promise<void> {
    const type = this.pc.signalingState === "have-local-offer" ? "answer" : "offer";
    this.relayed = relayed(sdp);
    await this.pc.setRemoteDescription({ type, sdp });
    if (type === "offer") {
      for (const t of this.pc.getTransceivers()) if (t.direction !== "stopped") t.direction = "sendrecv";
      this.attach();
    }
  }

  sendDtmf(): boolean {
    return false; // nobody dials in a conference
  }

  getStats(): Promise<RTCStatsReport> {
    return this.pc.getStats();
  }

  /** How loud the other member is right now, 0 to 1. */
  level(): number {
    const audio = this.pc.getReceivers().find((r) => r.track.kind === "audio");
    return Math.max(0, ...(audio?.getSynchronizationSources().map((s) => s.audioLevel ?? 0) ?? []));
  }

  /** Limits what is sent from here. */
  limit(b: Budget): void {
    this.budget = b;
    this.applyBudget();
  }

  private sender(kind: Kind): RTCRtpSender | undefined {
    return this.pc.getTransceivers().find((t) => t.receiver.track.kind === kind)?.sender;
  }

  /** Puts the local tracks of the moment under the senders. */
  private attach(): void {
    if (this.pc.signalingState === "closed") return;
    for (const kind of kinds) {
      const sender = this.sender(kind);
      const track = this.local.track(kind);
      if (sender && sender.track !== track) void sender.replaceTrack(track).catch(() => {}); // closed meanwhile
    }
    this.applyBudget();
  }

  private applyBudget(): void {
    const sender = this.sender("video");
    if (!this.budget || !sender || this.pc.connectionState !== "connected") return;
    const parameters = sender.getParameters();
    const height = sender.track?.getSettings().height ?? this.budget.maxHeight;
    for (const encoding of parameters.encodings ?? []) {
      encoding.maxBitrate = this.budget.maxBitrate;
      encoding.maxFramerate = this.budget.maxFramerate;
      encoding.scaleResolutionDownBy = scaleDown(height, this.budget);
    }
    void sender.setParameters(parameters).catch(() => {}); // a browser that refuses sends what it likes
  }

  private gathered(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.pc.removeEventListener("icegatheringstatechange", check);
        resolve();
      };
      const check = () => {
        if (this.pc.iceGatheringState === "complete") done();
      };
      const timer = setTimeout(done, gatheringTimeout);
      this.pc.addEventListener("icegatheringstatechange", check);
      check();
    });
  }
}
