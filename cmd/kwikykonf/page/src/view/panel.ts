// The live figures of every call.

import { bitrate, milliseconds, percent, type Figures } from "../stats";
import type { Member } from "../mesh";
import { h, icon } from "./dom";

export class Panel {
  readonly element: HTMLElement;
  private readonly list = h("div", { class: "calls" });

  constructor(close: () => void) {
    this.element = h("aside", { class: "panel", id: "panel", "aria-label": "Figures of each call", hidden: true },
      h("header", {}, h("h2", {}, "Figures"),
        h("button", { type: "button", class: "plain", "aria-label": "Close figures", onclick: close }, icon("close"))),
      this.list);
  }

  show(calls: { member: Member; figures: Figures | null; relayed: boolean | null }[]): void {
    if (calls.length === 0) {
      this.list.replaceChildren(h("p", { class: "lead" }, "Nobody else is here."));
      return;
    }
    this.list.replaceChildren(
      ...calls.map(({ member, figures: f, relayed }) =>
        h("section", { class: "call", "data-member": member.id },
          h("h3", {}, member.name),
          f ? h("dl", {},
            ...row("Video", f.videoCodec ? `${f.videoCodec} ${f.width}×${f.height}, ${Math.round(f.framesPerSecond)}/s` : "–"),
            ...row("Audio", f.audioCodec || "–"),
            ...row("Receives", bitrate(f.down)),
            ...row("Sends", bitrate(f.up)),
            ...row("Loss", `${percent(f.lossDown)} in, ${percent(f.lossUp)} out`),
            ...row("Round trip", milliseconds(f.roundTrip)),
            ...row("Path", relayed === null ? "not known" : relayed ? "through the relay" : "direct", "path"),
            ...row("Far end", f.remoteAddress || "–"))
          : h("p", { class: "lead" }, "No call at the moment."))));
  }
}

function row(name: string, text: string, key?: string): HTMLElement[] {
  return [h("dt", {}, name), h("dd", key ? { "data-key": key } : {}, text)];
}
