// The own camera, microphone and screen.

import type { Kind, LocalTracks } from "./connection";
import type { MediaState } from "./protocol";

export type Device = "camera" | "microphone";

/** Thrown with the DOMException's name when a device cannot be opened. */
export class MediaError extends Error {
  constructor(
    readonly what: Device | "screen",
    override readonly name: string,
  ) {
    super(`${what}: ${name}`);
  }
}

const video = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

export class LocalMedia implements LocalTracks {
  private microphone: MediaStreamTrack | null = null;
  private camera: MediaStreamTrack | null = null;
  private screen: MediaStreamTrack | null = null;
  private readonly listeners = new Set<() => void>();
  private readonly chosen: Record<Device, string> = {
    camera: localStorage.getItem("camera") ?? "",
    microphone: localStorage.getItem("microphone") ?? "",
  };
  private muted = false;
  /** Each opening of a device gets a number; a later one makes an earlier one that still runs pointless. */
  private readonly opening: Record<Device, number> = { camera: 0, microphone: 0 };

  track(kind: Kind): MediaStreamTrack | null {
    return kind === "audio" ? this.microphone : (this.screen ?? this.camera);
  }

  onChange(f: () => void): () => void {
    this.listeners.add(f);
    return () => this.listeners.delete(f);
  }

  get state(): MediaState {
    return { mic: this.microphone !== null && !this.muted, cam: this.camera !== null, screen: this.screen !== null };
  }

  chosenDevice(what: Device): string {
    return this.track(what === "camera" ? "video" : "audio")?.getSettings().deviceId ?? this.chosen[what];
  }

  /** Opens a device, the one chosen before or the browser's default; replaces the one that runs. */
  async open(what: Device, deviceId = this.chosen[what]): Promise<void> {
    const turn = ++this.opening[what];
    const want = what === "camera" ? video : audio;
    const constraints = (id: string) => ({ [what === "camera" ? "video" : "audio"]: id ? { ...want, deviceId: { exact: id } } : want });
    let stream: MediaStream;
    try {
      if (!navigator.mediaDevices) throw new DOMException("", "SecurityError");
      stream = await navigator.mediaDevices.getUserMedia(constraints(deviceId)).catch((e: DOMException) => {
        if (e.name === "OverconstrainedError" && deviceId) return navigator.mediaDevices.getUserMedia(constraints("")); // unplugged
        throw e;
      });
    } catch (e) {
      throw new MediaError(what, e instanceof Error ? e.name : "");
    }
    const track = stream.getTracks()[0];
    if (!track || turn !== this.opening[what]) {
      track?.stop();
      return;
    }
    if (deviceId) {
      this.chosen[what] = deviceId;
      localStorage.setItem(what, deviceId);
    }
    track.onended = () => this.close(what); // unplugged, or permission withdrawn
    if (what === "camera") {
      this.camera?.stop();
      this.camera = track;
      track.contentHint = "motion";
    } else {
      this.microphone?.stop();
      this.microphone = track;
      track.enabled = !this.muted;
    }
    this.tell();
  }

  /** Gives a device back: the camera's light goes out. */
  close(what: Device): void {
    this.opening[what]++;
    if (what === "camera") {
      this.camera?.stop();
      this.camera = null;
    } else {
      this.microphone?.stop();
      this.microphone = null;
    }
    this.tell();
  }

  /** Silence keeps the microphone open, so that speaking again is immediate. */
  async toggleMicrophone(): Promise<void> {
    if (!this.microphone) {
      this.muted = false;
      await this.open("microphone");
      return;
    }
    this.muted = !this.muted;
    this.microphone.enabled = !this.muted;
    this.tell();
  }

  async toggleCamera(): Promise<void> {
    if (this.camera) this.close("camera");
    else await this.open("camera");
  }

  async toggleScreen(): Promise<void> {
    if (this.screen) {
      this.screen.stop();
      this.screen = null;
      this.tell();
      return;
    }
    try {
      const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 8 } }, audio: false });
      const track = stream.getVideoTracks()[0];
      if (!track) return;
      track.contentHint = "detail";
      track.onended = () => {
        if (this.screen === track) {
          this.screen = null;
          this.tell();
        }
      };
      this.screen = track;
      this.tell();
    } catch (e) {
      throw new MediaError("screen", e instanceof Error ? e.name : "");
    }
  }

  /** Stops everything. */
  stop(): void {
    this.screen?.stop();
    this.screen = null;
    this.close("camera");
    this.close("microphone");
  }

  private tell(): void {
    for (const f of [...this.listeners]) f();
  }
}

/** The devices that can be chosen, with names as far as the browser tells them. */
export async function devices(): Promise<Record<MediaDeviceKind, { id: string; name: string }[]>> {
  const all: Record<MediaDeviceKind, { id: string; name: string }[]> = { audioinput: [], videoinput: [], audiooutput: [] };
  const names: Record<MediaDeviceKind, string> = { audioinput: "Microphone", videoinput: "Camera", audiooutput: "Speaker" };
  for (const d of (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? []) {
    const list = all[d.kind];
    if (d.deviceId) list.push({ id: d.deviceId, name: d.label || `${names[d.kind]} ${list.length + 1}` });
  }
  return all;
}

/** Reports how loud a track is, 0 to 1, until the result is called. */
export function meter(track: MediaStreamTrack, show: (level: number) => void): () => void {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 512;
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, x) => sum + x * x, 0) / samples.length;
    // -60 dB to 0 dB, as one hears it
    show(Math.min(1, Math.max(0, 1 + Math.log10(power + 1e-9) / 6)));
  }, 80);
  return () => {
    clearInterval(timer);
    void context.close();
  };
}
