// KwikyKonf: a lobby, then a conference, then the lobby again.

import { noConfig, type Failure } from "./failures";
import { LocalMedia } from "./media";
import { inventRoom, roomFromHash } from "./room";
import { Conference, type Settings } from "./view/conference";
import { h } from "./view/dom";
import { Lobby, type Wish } from "./view/lobby";

/** What the server says in /config.json. A path in sip is one of this server. */
async function settings(): Promise<Settings> {
  const response = await fetch("config.json", { cache: "no-store" });
  if (!response.ok) throw new Error(response.statusText);
  const { sip, domain } = (await response.json()) as Settings;
  const server = new URL(sip, location.href);
  server.protocol = server.protocol.replace("http", "ws");
  return { sip: server.href, domain };
}

async function start(): Promise<void> {
  const root = document.getElementById("page") as HTMLElement;
  let config: Settings;
  try {
    config = await settings();
  } catch {
    root.replaceChildren(h("main", { class: "alone" }, h("div", { class: "card", role: "alert" }, h("h1", {}, noConfig.title), h("p", {}, noConfig.detail))));
    return;
  }
  const media = new LocalMedia();
  let conference: Conference | null = null;
  let lobby: Lobby | null = null;
  let speaker = "";

  const showLobby = () => {
    conference = null;
    document.title = "KwikyKonf";
    const wish = { room: roomFromHash(location.hash) || inventRoom(Math.random), name: localStorage.getItem("name") ?? "" };
    lobby?.close();
    lobby = new Lobby(media, wish, join, (id) => (speaker = id));
    root.replaceChildren(lobby.element);
    lobby.focus();
  };

  // Not the lobby at once: who leaves does not expect the camera to open again.
  const showEnd = (room: string) => {
    conference = null;
    document.title = "KwikyKonf";
    const again = h("button", { type: "button", class: "primary", onclick: showLobby }, "Back to the lobby");
    root.replaceChildren(h("main", { class: "alone" }, h("div", { class: "card" },
      h("h1", {}, `You left “${room}”`), h("p", { class: "lead" }, "Your camera and your microphone are off."), again)));
    again.focus();
  };

  const join = async (wish: Wish) => {
    localStorage.setItem("name", wish.name);
    const next = new Conference(config, wish, media, speaker, () => {
      media.stop();
      showEnd(wish.room);
    });
    try {
      await next.join();
    } catch (e) {
      lobby?.fail(e as Failure);
      return;
    }
    conference = next;
    lobby?.close();
    lobby = null;
    history.replaceState(null, "", `#${wish.room}`);
    document.title = `${wish.room} · KwikyKonf`;
    root.replaceChildren(next.element);
  };

  // Another room in the address bar: leave this one first.
  addEventListener("hashchange", () => {
    conference?.leave();
    showLobby();
  });
  // A page that comes back from the browser's memory has left its conference.
  addEventListener("pageshow", (e) => {
    if (e.persisted) location.reload();
  });
  showLobby();
}

void start();
