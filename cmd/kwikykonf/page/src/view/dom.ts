// Elements without a framework: the page has a dozen moving parts, and its videos must stay the same elements.

import type { Failure } from "../failures";

type Child = Node | string | null | undefined | false;
type Attributes = Record<string, string | number | boolean | ((e: never) => void) | undefined>;

/** Makes an element; attributes that are functions are listeners ("onclick"), false and undefined are left out. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") e.addEventListener(name.slice(2), value as EventListener);
    else if (value === true) e.setAttribute(name, "");
    else if (value !== false && value !== undefined) e.setAttribute(name, String(value));
  }
  e.append(...children.filter((c): c is Node | string => typeof c === "string" || c instanceof Node));
  return e;
}

/** A failure in words, for an element that shows it. */
export function words(f: Failure): [HTMLElement, HTMLElement] {
  return [h("strong", {}, f.title), h("span", {}, f.detail)];
}

/** Strokes on a field of 24 by 24. */
const icons = {
  mic: "M12 3a3 3 0 0 0-3 3v5.5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3ZM6 11.5a6 6 0 0 0 12 0M12 17.5V21M9 21h6",
  camera: "M4.5 6.5h9A1.5 1.5 0 0 1 15 8v8a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 3 16V8a1.5 1.5 0 0 1 1.5-1.5ZM15 10.5l6-3.5v10l-6-3.5",
  screen: "M3.5 4.5h17v12h-17ZM8 20.5h8M12 16.5v4M12 13.5v-6M9.5 9.5 12 7l2.5 2.5",
  figures: "M4 20V12M9.3 20V5M14.6 20v-9M20 20V8",
  link: "M10 13.5a4 4 0 0 0 5.9.4l3-3a4 4 0 0 0-5.7-5.7L11.8 6.6M14 10.5a4 4 0 0 0-5.9-.4l-3 3a4 4 0 0 0 5.7 5.7l1.4-1.4",
  settings: "M4 7.5h8M18 7.5h2M4 16.5h2M12 16.5h8M15 5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5ZM9 14a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5Z",
  help: "M12 3.5a8.5 8.5 0 1 1 0 17 8.5 8.5 0 0 1 0-17ZM9.7 9.7a2.4 2.4 0 1 1 3.5 2.1c-.8.4-1.2.9-1.2 1.7M12 16.4v.1",
  leave: "M3.7 14.9c-.7-.7-.7-1.7 0-2.4 4.6-4.3 12-4.3 16.6 0 .7.7.7 1.7 0 2.4l-1.3 1.3c-.5.5-1.3.6-1.9.2l-1.8-1.2c-.5-.3-.8-.9-.8-1.5v-1.4a10 10 0 0 0-5 0v1.4c0 .6-.3 1.2-.8 1.5l-1.8 1.2c-.6.4-1.4.3-1.9-.2Z",
  close: "M6 6l12 12M18 6 6 18",
};
export type Icon = keyof typeof icons;

/** An icon; `off` strikes it through. Its meaning belongs into the button's label. */
export function icon(name: Icon, off = false): SVGSVGElement {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  for (const d of off ? [icons[name], "M4 3.5 20 20.5"] : [icons[name]]) {
    const path = document.createElementNS(ns, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

/** Two letters for who shows no picture. */
export function initials(name: string): string {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : [words[0]];
  return letters.map((w) => Array.from(w ?? "?")[0]?.toUpperCase()).join("");
}

/** A hue in degrees that stays with a member. */
export function hue(id: string): number {
  let sum = 7;
  for (const c of id) sum = (sum * 31 + c.charCodeAt(0)) % 360;
  return sum;
}
