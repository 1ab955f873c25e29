// The page before a conference: who are you, how do you look and sound, which room.

import { insecure, type Failure } from "../failures";
import { meter, type LocalMedia } from "../media";
import { cleanName } from "../protocol";
import { roomSlug } from "../room";
import { DevicePicker } from "./devices";
import { h, icon, words } from "./dom";

export interface Wish {
  room: string;
  name: string;
}

export class Lobby {
  readonly element: HTMLElement;
  private readonly video = h("video", { autoplay: true, playsinline: true, "aria-label": "Your camera" });
  private readonly bar = h("div", { class: "meter", "aria-hidden": "true" }, h("span"));
  private readonly name = h("input", { id: "name", maxlength: 40, autocomplete: "name", required: true, placeholder: "Your name" });
  private readonly room = h("input", {
    id: "room", maxlength: 48, required: true, autocapitalize: "none", autocomplete: "off", spellcheck: "false", "aria-describedby": "room-hint",
  });
  private readonly submit = h("button", { type: "submit", class: "primary" }, "Join");
  private readonly problem = h("div", { class: "problems", role: "alert" });
  private readonly picker: DevicePicker;
  private readonly stop: () => void;
  private stopMeter = () => {};
  private metered: MediaStreamTrack | null = null;

  constructor(
    private readonly media: LocalMedia,
    wish: Wish,
    private readonly join: (wish: Wish) => Promise<void>,
    speak: (sinkId: string) => void,
  ) {
    this.name.value = wish.name;
    this.room.value = wish.room;
    this.picker = new DevicePicker(media, speak);
    this.video.muted = true;
    this.element = h("main", { class: "lobby" },
      h("div", { class: "frame" }, h("p", { class: "nothing" }, icon("camera", true), "No picture"), this.video, this.bar),
      h("form", { class: "card", onsubmit: (e: SubmitEvent) => void this.submitted(e) },
        h("h1", {}, "KwikyKonf"),
        h("p", { class: "lead" }, "A room for a few people. No account, nothing to install."),
        h("div", { class: "field" }, h("label", { for: "name" }, "Name"), this.name),
        h("div", { class: "field" }, h("label", { for: "room" }, "Room"), this.room,
          h("small", { id: "room-hint" }, "Whoever has the name of the room can come in.")),
        this.problem,
        this.submit),
      this.picker.element);
    this.stop = media.onChange(() => this.show());
    void this.start();
  }

  focus(): void {
    (this.name.value ? this.submit : this.name).focus();
  }

  close(): void {
    this.stop();
    this.stopMeter();
    this.picker.close();
    this.video.srcObject = null;
    this.element.remove();
  }

  fail(f: Failure): void {
    this.problem.replaceChildren(h("p", { class: "problem" }, ...words(f)));
  }

  private async start(): Promise<void> {
    if (!isSecureContext || !navigator.mediaDevices) {
      this.fail(insecure);
      return;
    }
    // One after the other: browsers that ask, ask for one thing at a time.
    if (!this.media.track("audio")) await this.picker.open("microphone");
    if (!this.media.track("video")) await this.picker.open("camera");
    await this.picker.refresh();
    this.show();
  }

  private show(): void {
    const picture = this.media.track("video");
    this.video.srcObject = picture ? new MediaStream([picture]) : null;
    this.video.classList.toggle("shown", picture !== null);
    const sound = this.media.track("audio");
    this.bar.hidden = sound === null;
    if (sound !== this.metered) {
      this.stopMeter();
      this.metered = sound;
      const level = this.bar.firstElementChild as HTMLElement;
      level.style.transform = "scaleX(0)";
      this.stopMeter = sound ? meter(sound, (l) => (level.style.transform = `scaleX(${l.toFixed(2)})`)) : () => {};
    }
  }

  private async submitted(e: SubmitEvent): Promise<void> {
    e.preventDefault();
    const wish = { room: roomSlug(this.room.value), name: cleanName(this.name.value) };
    this.problem.replaceChildren();
    if (!wish.name || !wish.room) {
      this.fail({ title: "Name and room are needed", detail: "Both need at least one letter or digit." });
      return;
    }
    this.submit.disabled = true;
    this.submit.textContent = "Joining…";
    await this.join(wish);
    this.submit.disabled = false;
    this.submit.textContent = "Join";
  }
}
