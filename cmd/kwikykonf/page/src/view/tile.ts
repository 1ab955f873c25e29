// One member on the stage.

import { callFailure, calling, nextTry } from "../failures";
import type { Member, Phase } from "../mesh";
import type { Figures } from "../stats";
import type { MediaState } from "../protocol";
import { h, hue, icon, initials, words } from "./dom";

export class Tile {
  readonly element: HTMLElement;
  readonly video = h("video", { autoplay: true, playsinline: true });
  private readonly face = h("span", { class: "face", "aria-hidden": "true" });
  private readonly label = h("span", { class: "who" });
  private readonly silent = h("span", { class: "silent", title: "Microphone is off", role: "img", "aria-label": "Microphone is off" }, icon("mic", true));
  private readonly cover = h("div", { class: "cover", role: "status", hidden: true });

  constructor(id: string, private readonly own: boolean) {
    this.element = h("li", { class: "tile", "data-member": id },
      this.face, this.video, this.cover, h("div", { class: "tag" }, this.silent, this.label));
    this.element.style.setProperty("--hue", String(hue(id)));
    if (own) this.element.classList.add("own");
  }

  /** What the member is called and sends. */
  describe(name: string, state: MediaState): void {
    this.label.textContent = this.own ? `${name} (you)` : name;
    this.face.textContent = initials(name);
    this.video.setAttribute("aria-label", state.screen ? `Screen of ${name}` : `Picture of ${name}`);
    this.silent.hidden = state.mic;
    this.element.classList.toggle("picture", state.cam || state.screen);
    this.element.classList.toggle("screen", state.screen);
  }

  /** The stage of the call with the member. */
  phase(m: Member, retry: () => void): void {
    const text: Record<Phase, string> = {
      calling: calling(m.attempt),
      connecting: "Connecting…",
      live: "",
      wavering: "The connection is lost. Waiting for it…",
      failed: "",
      lost: `${m.name} vanished`,
    };
    this.element.dataset["phase"] = m.phase;
    const failure = m.failure && callFailure(m.name, m.failure);
    this.cover.replaceChildren(
      ...(failure
        ? [...words(failure), h("span", {}, nextTry(m.name, m.attempt)), h("button", { type: "button", onclick: retry }, "Try again")]
        : text[m.phase] ? [h("span", {}, text[m.phase])] : []));
    this.cover.hidden = this.cover.childElementCount === 0;
  }

  show(stream: MediaStream | null): void {
    if (this.video.srcObject !== stream) this.video.srcObject = stream;
  }

  speaking(on: boolean): void {
    this.element.classList.toggle("speaking", on);
  }

  /** The last figures as data attributes, for whoever watches the page from outside. */
  figures(f: Figures): void {
    this.element.dataset["frames"] = String(f.framesDecoded);
    this.element.dataset["audio"] = f.audioCodec;
  }
}
