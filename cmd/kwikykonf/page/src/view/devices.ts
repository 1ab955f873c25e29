// The choice of camera, microphone and speaker, in the lobby and in the settings.

import { mediaFailure } from "../failures";
import { devices, MediaError, type Device, type LocalMedia } from "../media";
import { h, words } from "./dom";

type Sink = HTMLMediaElement & { setSinkId?(id: string): Promise<void> };

export class DevicePicker {
  readonly element: HTMLElement;
  private readonly microphone = h("select", { id: "microphone", onchange: () => this.choose("microphone", this.microphone.value) });
  private readonly camera = h("select", { id: "camera", onchange: () => this.choose("camera", this.camera.value) });
  private readonly speaker = h("select", { id: "speaker", onchange: () => this.speak(this.speaker.value) });
  private readonly problems = h("div", { class: "problems", role: "alert" });
  private readonly failed = new Map<Device, string>();
  private readonly changed = () => void this.refresh();

  constructor(
    private readonly media: LocalMedia,
    private readonly speak: (sinkId: string) => void,
  ) {
    const speakers = "setSinkId" in HTMLMediaElement.prototype;
    this.element = h("div", { class: "devices" },
      field("Camera", this.camera),
      field("Microphone", this.microphone),
      speakers && field("Speaker", this.speaker),
      this.problems);
    navigator.mediaDevices?.addEventListener("devicechange", this.changed);
  }

  close(): void {
    navigator.mediaDevices?.removeEventListener("devicechange", this.changed);
  }

  /** Opens a device and says so here if that does not work. */
  async open(what: Device, id?: string): Promise<void> {
    try {
      await this.media.open(what, id);
      this.failed.delete(what);
    } catch (e) {
      this.failed.set(what, e instanceof MediaError ? e.name : "");
    }
    await this.refresh();
  }

  async refresh(): Promise<void> {
    const all = await devices();
    fill(this.microphone, all.audioinput, this.media.chosenDevice("microphone"), this.media.track("audio") ? null : "No microphone");
    fill(this.camera, all.videoinput, this.media.chosenDevice("camera"), this.media.state.cam ? null : "No camera");
    fill(this.speaker, all.audiooutput, this.speaker.value, all.audiooutput.length ? null : "Standard");
    const [one, other] = [...this.failed.values()];
    const failures = one !== undefined && one === other
      ? [mediaFailure(one, "camera and microphone")]
      : [...this.failed].map(([what, name]) => mediaFailure(name, what));
    this.problems.replaceChildren(...failures.map((f) => h("p", { class: "problem" }, ...words(f))));
  }

  private choose(what: Device, id: string): void {
    if (id) void this.open(what, id);
    else {
      this.media.close(what);
      this.failed.delete(what);
      void this.refresh();
    }
  }
}

function field(label: string, control: HTMLSelectElement): HTMLElement {
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control);
}

/** none is the text of the empty choice, which is offered when nothing runs, and under "No …" always. */
function fill(select: HTMLSelectElement, list: { id: string; name: string }[], chosen: string, none: string | null): void {
  const empty = none ?? (select.id === "speaker" ? null : `No ${select.id}`);
  select.replaceChildren(
    ...list.map((d) => h("option", { value: d.id, selected: none === null && d.id === chosen }, d.name)),
    ...(empty === null ? [] : [h("option", { value: "", selected: none !== null }, empty)]));
}

/** Sends the sound of a media element to a chosen speaker. */
export function useSpeaker(e: HTMLMediaElement, id: string): void {
  void (e as Sink).setSinkId?.(id).catch(() => {}); // a speaker that is gone leaves the standard one
}
