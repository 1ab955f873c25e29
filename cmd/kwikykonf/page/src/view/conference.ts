// The page during a conference: tiles, the bar below them, the panel beside them.

import { budget } from "../budget";
import { mediaFailure, type Failure } from "../failures";
import { grid } from "../layout";
import { MediaError, type LocalMedia } from "../media";
import { Mesh, type Change, type Member } from "../mesh";
import { memberId } from "../protocol";
import { Line, type SipLeg } from "../sip";
import { sample, type Sample } from "../stats";
import { DevicePicker, useSpeaker } from "./devices";
import { h, icon, words, type Icon } from "./dom";
import type { Wish } from "./lobby";
import { Panel } from "./panel";
import { Tile } from "./tile";

export interface Settings {
  sip: string;
  domain: string;
}

const figuresEvery = 1000;
const levelEvery = 200;
/** -40 dB or so: speech, not breath */
const speech = 0.01;
const gap = 10;

const wait = (ms: number) => new Promise((done) => setTimeout(done, ms));

export class Conference {
  readonly element: HTMLElement;
  private readonly id = memberId(crypto.getRandomValues(new Uint8Array(6)));
  private readonly line: Line;
  private readonly mesh: Mesh;
  private readonly tiles = new Map<string, Tile>();
  private readonly samples = new Map<SipLeg, Sample>();
  private readonly ownTile: Tile;
  private readonly stage = h("ul", { class: "stage", "aria-label": "Members" });
  private readonly invitation = h("li", { class: "invitation" });
  private readonly count = h("span", { class: "count" });
  private readonly notice = h("div", { class: "notice", role: "alert", hidden: true });
  private readonly toasts = h("div", { class: "toasts", "aria-live": "polite" });
  private readonly panel: Panel;
  private readonly settings: HTMLDialogElement;
  private readonly help: HTMLDialogElement;
  private readonly buttons: Record<"mic" | "camera" | "screen" | "figures", HTMLButtonElement>;
  private readonly picker: DevicePicker;
  private readonly resize = new ResizeObserver(() => this.arrange());
  private readonly stops: (() => void)[] = [];
  private over = false;

  constructor(
    settings: Settings,
    private readonly wish: Wish,
    private readonly media: LocalMedia,
    private speaker: string,
    private readonly left: () => void,
  ) {
    this.line = new Line(
      {
        server: settings.sip, domain: settings.domain,
        id: this.id, name: wish.name, room: wish.room, local: media, state: () => media.state,
      },
      {
        socket: (up) => this.socket(up),
        heard: (a) => this.mesh.heard(a),
        incoming: (from, leg) => this.mesh.incoming(from, leg),
        refused: (f) => this.say(f),
      });
    const clock = {
      now: () => performance.now(),
      after: (ms: number, f: () => void) => {
        const t = setTimeout(f, ms);
        return () => clearTimeout(t);
      },
      random: Math.random,
    };
    this.mesh = new Mesh(this.id, this.line, clock, (member, change) => this.changed(member, change));

    const button = (name: Icon, label: string, key: string, press: () => void, toggle = true) =>
      h("button", {
        type: "button", class: "round", "aria-label": label, title: `${label} (${key})`, "aria-keyshortcuts": key,
        "aria-pressed": toggle ? "false" : undefined, onclick: press,
      }, icon(name));
    this.buttons = {
      mic: button("mic", "Mute microphone", "M", () => this.microphone()),
      camera: button("camera", "Stop camera", "V", () => this.camera()),
      screen: button("screen", "Share screen", "S", () => this.screen()),
      figures: button("figures", "Figures", "F", () => this.togglePanel()),
    };
    this.buttons.figures.setAttribute("aria-controls", "panel");
    this.panel = new Panel(() => this.togglePanel(false));
    this.picker = new DevicePicker(media, (id) => this.speak(id));
    this.settings = dialog("Settings", this.picker.element);
    this.help = dialog("Keyboard", shortcuts());
    this.ownTile = new Tile(this.id, true);
    this.ownTile.video.muted = true;

    const canShare = navigator.mediaDevices && "getDisplayMedia" in navigator.mediaDevices; // phones cannot
    const leave = button("leave", "Leave", "L", () => this.leave(), false);
    leave.classList.add("danger");
    this.invitation.append(
      h("p", {}, h("strong", {}, "Nobody else is here yet")), h("p", {}, "Send the link of this room to whom you want to meet."),
      h("button", { type: "button", class: "primary", onclick: () => void this.copyLink() }, icon("link"), "Copy link"));
    this.element = h("div", { class: "conference" },
      h("header", { class: "top" },
        h("span", { class: "brand" }, "KwikyKonf"),
        h("h1", {}, wish.room), this.count,
        h("span", { class: "grow" }),
        h("button", { type: "button", class: "plain", "aria-label": "Copy link to this room", title: "Copy link to this room", onclick: () => void this.copyLink() }, icon("link")),
        h("button", { type: "button", class: "plain", "aria-label": "Settings", title: "Settings", onclick: () => this.open(this.settings) }, icon("settings")),
        h("button", { type: "button", class: "plain", "aria-label": "Keyboard shortcuts", title: "Keyboard shortcuts (?)", onclick: () => this.open(this.help) }, icon("help"))),
      this.notice,
      h("main", { class: "middle" }, this.stage, this.panel.element),
      h("nav", { class: "bar", "aria-label": "Controls" },
        this.buttons.mic, this.buttons.camera, canShare && this.buttons.screen, this.buttons.figures, leave),
      this.toasts, this.settings, this.help);
  }

  /** Joins the room; throws a Failure. */
  async join(): Promise<void> {
    await this.line.join();
    const on = <K extends keyof WindowEventMap>(type: K, f: (e: WindowEventMap[K]) => void) => {
      addEventListener(type, f);
      this.stops.push(() => removeEventListener(type, f));
    };
    on("keydown", (e) => this.key(e));
    on("pagehide", () => this.end());
    const figures = setInterval(() => void this.measure(), figuresEvery);
    const levels = setInterval(() => this.listen(), levelEvery);
    this.stops.push(
      () => clearInterval(figures),
      () => clearInterval(levels),
      this.media.onChange(() => this.ownState()),
      () => this.picker.close(),
      () => this.resize.disconnect());
    this.resize.observe(this.stage);
    this.ownState();
    this.populate();
    this.mesh.announce();
  }

  leave(): void {
    this.end();
    this.left();
  }

  /** Says good-bye to everybody. All of it is sent when this returns, so that a page can end right after. */
  private end(): void {
    if (this.over) return;
    this.over = true;
    for (const stop of this.stops) stop();
    this.mesh.leave();
    this.line.leave();
  }

  // Members

  private changed(member: Member, change: Change): void {
    if (this.over) return;
    if (change === "left") {
      this.tiles.get(member.id)?.element.remove();
      this.tiles.delete(member.id);
      this.toast(`${member.name} left`);
      this.populate();
      return;
    }
    let tile = this.tiles.get(member.id);
    if (!tile) {
      tile = new Tile(member.id, false);
      this.tiles.set(member.id, tile);
      useSpeaker(tile.video, this.speaker);
      this.toast(`${member.name} is here`);
      this.populate();
    }
    tile.describe(member.name, member.state);
    tile.phase(member, () => this.mesh.retry(member.id));
    const leg = member.leg as SipLeg | null;
    const shown = member.phase === "live" || member.phase === "wavering";
    tile.show(shown ? (leg?.connection?.stream ?? null) : null);
    if (member.phase === "live") leg?.connection?.limit(this.budget());
  }

  private budget() {
    return budget(this.tiles.size, this.media.state.screen);
  }

  private legs(): { member: Member; leg: SipLeg | null }[] {
    return this.mesh.members.map((member) => ({ member, leg: member.leg as SipLeg | null }));
  }

  /** Puts the tiles of the moment on the stage; those that stay are not touched, else their videos would flicker. */
  private populate(): void {
    const tiles = [this.ownTile.element, ...[...this.tiles.values()].map((t) => t.element)];
    for (const e of tiles) if (!e.isConnected) this.stage.append(e);
    if (this.tiles.size === 0) this.stage.append(this.invitation);
    else this.invitation.remove();
    const n = tiles.length;
    this.count.textContent = n === 1 ? "only you" : `${n} people`;
    for (const { leg } of this.legs()) leg?.connection?.limit(this.budget());
    this.arrange();
  }

  private arrange(): void {
    const { width, height } = this.stage.getBoundingClientRect();
    const g = grid(this.stage.childElementCount, width, height, gap);
    this.stage.style.setProperty("--tile-width", `${g.width}px`);
    this.stage.style.setProperty("--tile-height", `${g.height}px`);
    this.stage.classList.toggle("small", g.width < 220);
  }

  private listen(): void {
    for (const { member, leg } of this.legs()) {
      this.tiles.get(member.id)?.speaking(member.state.mic && (leg?.connection?.level() ?? 0) > speech);
    }
  }

  private async measure(): Promise<void> {
    const legs = this.legs();
    const rows = await Promise.all(legs.map(async ({ member, leg }) => {
      if (!leg?.connection || member.phase === "calling") return { member, figures: null, relayed: null };
      const report = await leg.connection.getStats();
      const now = sample(report.values(), this.samples.get(leg) ?? null);
      this.samples.set(leg, now);
      this.tiles.get(member.id)?.figures(now.figures);
      if (member.phase === "live" || member.phase === "wavering") {
        const { mic, cam, screen } = member.state;
        const at = performance.now();
        const change = leg.pulse.feel(now.figures.arrived, { sends: mic || cam || screen, heardAgo: at - member.heard }, at);
        if (change) leg.listener?.path(change);
      }
      return { member, figures: now.figures, relayed: leg.connection.relayed };
    }));
    for (const leg of this.samples.keys()) if (!legs.some((l) => l.leg === leg)) this.samples.delete(leg);
    if (!this.panel.element.hidden) this.panel.show(rows);
  }

  // Own devices

  private ownState(): void {
    const { media } = this;
    const { mic, cam, screen } = media.state;
    this.ownTile.describe(this.wish.name, media.state);
    const track = media.track("video");
    const shown = (this.ownTile.video.srcObject as MediaStream | null)?.getVideoTracks()[0] ?? null;
    if (track !== shown) this.ownTile.show(track && new MediaStream([track]));
    const set = (b: HTMLButtonElement, name: Icon, off: boolean, pressed: boolean, label: string) => {
      b.replaceChildren(icon(name, off));
      b.setAttribute("aria-pressed", String(pressed));
      b.setAttribute("aria-label", label);
      b.title = `${label} (${b.getAttribute("aria-keyshortcuts")})`;
    };
    set(this.buttons.mic, "mic", !mic, !mic, mic ? "Mute microphone" : "Microphone is off: switch it on");
    set(this.buttons.camera, "camera", !cam, !cam, cam ? "Stop camera" : "Camera is off: switch it on");
    set(this.buttons.screen, "screen", false, screen, screen ? "Stop sharing the screen" : "Share screen");
    this.buttons.mic.classList.toggle("off", !mic);
    this.buttons.camera.classList.toggle("off", !cam);
    this.buttons.screen.classList.toggle("on", screen);
    for (const { leg } of this.legs()) leg?.connection?.limit(this.budget());
    this.mesh.stateChanged();
  }

  private attempt(p: Promise<void>): void {
    p.catch((e: unknown) => {
      if (e instanceof MediaError) {
        const f = mediaFailure(e.name, e.what);
        this.toast(`${f.title}. ${f.detail}`);
      }
    });
  }

  private microphone(): void {
    this.attempt(this.media.toggleMicrophone());
  }

  private camera(): void {
    this.attempt(this.media.toggleCamera());
  }

  private screen(): void {
    this.attempt(this.media.toggleScreen());
  }

  private speak(id: string): void {
    this.speaker = id;
    for (const t of this.tiles.values()) useSpeaker(t.video, id);
  }

  // The frame around

  private togglePanel(show = this.panel.element.hidden !== false): void {
    this.panel.element.hidden = !show;
    this.buttons.figures.setAttribute("aria-pressed", String(show));
    this.buttons.figures.classList.toggle("on", show);
    if (show) void this.measure();
    else this.buttons.figures.focus();
    this.arrange();
  }

  private open(d: HTMLDialogElement): void {
    if (d === this.settings) void this.picker.refresh();
    d.showModal();
  }

  private key(e: KeyboardEvent): void {
    const typing = e.target instanceof HTMLInputElement || e.target instanceof HTMLSelectElement;
    if (e.ctrlKey || e.metaKey || e.altKey || e.repeat || typing || this.settings.open || this.help.open) return;
    const act = {
      m: () => this.microphone(), v: () => this.camera(), s: () => this.screen(), f: () => this.togglePanel(),
      l: () => this.leave(), "?": () => this.open(this.help),
      escape: () => { if (!this.panel.element.hidden) this.togglePanel(false); },
    }[e.key.toLowerCase()];
    if (act) {
      e.preventDefault();
      act();
    }
  }

  private async copyLink(): Promise<void> {
    try {
      await navigator.clipboard.writeText(location.href);
      this.toast("The link is copied");
    } catch {
      this.toast(location.href);
    }
  }

  private socket(up: boolean): void {
    if (this.over) return;
    if (up) {
      this.notice.hidden = true;
      this.mesh.announce();
    } else {
      this.say({ title: "The call server is out of reach", detail: "Running calls go on; trying to connect again…" });
    }
  }

  private say(f: Failure): void {
    this.notice.replaceChildren(...words(f));
    this.notice.hidden = false;
  }

  private toast(text: string): void {
    const e = h("p", {}, text);
    this.toasts.append(e);
    void wait(4000 + 40 * text.length).then(() => e.remove());
  }
}

function dialog(title: string, content: HTMLElement): HTMLDialogElement {
  const id = `dialog-${title.toLowerCase()}`;
  const d = h("dialog", { class: "card", "aria-labelledby": id },
    h("header", {}, h("h2", { id }, title),
      h("button", { type: "button", class: "plain", "aria-label": "Close", onclick: () => d.close() }, icon("close"))),
    content);
  return d;
}

function shortcuts(): HTMLElement {
  const keys: [string, string][] = [
    ["M", "microphone on and off"], ["V", "camera on and off"], ["S", "share the screen, or stop it"],
    ["F", "figures of each call"], ["L", "leave"], ["?", "this list"], ["Esc", "close what is open"],
  ];
  return h("dl", { class: "keys" }, ...keys.flatMap(([k, what]) => [h("dt", {}, h("kbd", {}, k)), h("dd", {}, what)]));
}
