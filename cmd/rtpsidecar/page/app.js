// The status page: it asks the daemon every two seconds and draws what it hears. Text goes into the page as text only.

const $ = (id) => document.getElementById(id);

// el makes an element; attributes that are functions become listeners, null children are left out.
function el(name, attrs = {}, ...children) {
  const svg = ["svg", "rect", "path", "line"].includes(name);
  const e = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [k, v] of Object.entries(attrs)) {
    if (typeof v === "function") e.addEventListener(k, v);
    else if (v !== null && v !== undefined && v !== false) e.setAttribute(k, v);
  }
  e.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== ""));
  return e;
}

const state = { query: "", id: "", daemon: null, token: sessionStorage.getItem("token") || "" };

async function ask(path, options = {}) {
  if (state.token) options.headers = { ...options.headers, Authorization: "Bearer " + state.token };
  const r = await fetch("../" + path, options);
  if (!r.ok) throw Object.assign(new Error((await r.text()).trim() || r.statusText), { status: r.status });
  return r.json();
}

// Numbers for people.

const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  const d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${m} min`;
  return m ? `${m} min ${s % 60} s` : `${s} s`;
}

const ns = (n) => n / 1e9;
const mosClass = (m) => (m >= 3.8 ? "good" : m >= 3 ? "fair" : "poor");
const words = { ok: "heard", off: "silent by agreement", waiting: "not yet", fault: "fault" };

// sparkline draws packets by interval as bars, and what was lost of them in red on top.
function sparkline(packets, lost, width, height, cls) {
  const n = Math.max(12, packets.length), w = width / n;
  const top = Math.max(1, ...packets.map((p, i) => p + (lost[i] || 0)));
  const bars = [];
  packets.forEach((p, i) => {
    const x = (n - packets.length + i) * w, hp = (p / top) * (height - 2), hl = ((lost[i] || 0) / top) * (height - 2);
    if (p) bars.push(el("rect", { x, y: height - hp, width: Math.max(.8, w - 1), height: hp, rx: .8, fill: "var(--accent)", opacity: .75 }));
    if (hl) bars.push(el("rect", { x, y: height - hp - Math.max(hl, 1.5), width: Math.max(.8, w - 1), height: Math.max(hl, 1.5), rx: .8, fill: "var(--bad)" }));
  });
  return el("svg", { viewBox: `0 0 ${width} ${height}`, width, height, preserveAspectRatio: "none", class: cls, role: "img", "aria-label": "packets and loss over time" },
    el("line", { x1: 0, x2: width, y1: height - .5, y2: height - .5, stroke: "var(--line)" }), bars);
}

// The daemon.

function tile(name, value, unit) {
  return el("div", { class: "tile" }, el("span", {}, name), el("b", {}, value, unit ? el("i", {}, unit) : null));
}

function drawDaemon(d) {
  state.daemon = d;
  const s = d.summary;
  $("version").textContent = d.version;
  $("state").textContent = d.draining ? "draining" : "up " + duration(s.uptime);
  $("state").className = "pill " + (d.draining ? "warn" : "ok");
  const ports = d.interfaces.reduce((a, i) => [a[0] + i.Used, a[1] + i.Ports], [0, 0]);
  const mbit = (s.bytes_per_second * 8) / 1e6;
  $("tiles").replaceChildren(
    tile("Calls now", whole.format(s.sessions)),
    tile("Packets", compact.format(s.packets_per_second), "/s"),
    tile("Media", mbit >= 10 ? mbit.toFixed(0) : mbit.toFixed(1), "Mbit/s"),
    tile("Average MOS", s.mos ? s.mos.toFixed(2) : "–"),
    tile("Ended calls", compact.format(s.managed), s.managed ? `${(((s.one_way + s.zero_way) * 100) / s.managed).toFixed(1)} % one-way` : ""),
    tile("Ports", whole.format(ports[0]), "of " + whole.format(ports[1])),
  );
  const may = d.writable && state.token;
  $("token").hidden = !d.writable || !!state.token;
  $("drain").hidden = !may;
  $("drain").textContent = d.draining ? "Take calls again" : "Drain";
}

$("token").onclick = () => {
  const t = prompt("Token of --web-token");
  if (t) { state.token = t; sessionStorage.setItem("token", t); refresh(); }
};

async function change(path) {
  try { await ask(path, { method: "POST" }); } catch (err) {
    if (err.status === 403) { state.token = ""; sessionStorage.removeItem("token"); }
    alert(err.message);
  }
  refresh();
}
$("drain").onclick = () => change("api/drain?on=" + (state.daemon.draining ? "off" : "on"));

// The list.

function row(c) {
  const medias = c.parties.flatMap((p) => p.medias);
  const codec = medias.map((m) => m.in_use).find(Boolean) || medias.flatMap((m) => m.codecs)[0] || "";
  const mos = medias.map((m) => m.mos).filter(Boolean);
  const parts = [c.parties.map((p) => p.tag).join(" ↔ "), codec.replace(/\/8000$/, ""), [...new Set(medias.map((m) => m.suite).filter(Boolean))].length ? "SRTP" : "",
    mos.length ? "MOS " + Math.min(...mos).toFixed(1) : "", c.ended ? c.ended.replaceAll("_", " ") : duration(ns(c.duration))];
  const sum = (key) => medias.reduce((a, m) => m[key].map((v, i) => v + (a[i] || 0)), []);
  return el("div", { class: `row ${c.call_id === state.id ? "on" : ""} ${c.ended ? "ended" : ""}`, "data-id": c.call_id, tabindex: 0, role: "link",
    click: () => { location.hash = "#/call/" + encodeURIComponent(c.call_id); },
    keydown: (e) => { if (e.key === "Enter") location.hash = "#/call/" + encodeURIComponent(c.call_id); } },
  el("span", { class: "dot " + c.state, title: words[c.state] }), el("span", { class: "id mono", title: c.call_id }, c.call_id),
  el("span", { class: "meta" }, parts.filter(Boolean).join("  ·  ")),
  sparkline(sum("trace_packets").slice(-24), sum("trace_lost").slice(-24), 96, 30));
}

function drawCalls(list) {
  const out = list.now.map(row);
  if (!out.length && !list.ended.length) {
    out.push(el("div", { class: "empty" }, el("b", {}, state.query ? "No such call" : "No calls"),
      state.query ? "Nothing matches, neither now nor among those that ended lately." : "Point a proxy at the daemon, or try the flag lab."));
  }
  if (list.ended.length) out.push(el("div", { class: "heading" }, "Ended lately"), ...list.ended.map(row));
  $("rows").replaceChildren(...out);
}

$("search").oninput = (e) => { state.query = e.target.value.trim(); refresh(); };

// One call.

function fact(name, value) { return value ? [el("dt", {}, name), el("dd", {}, value)] : []; }

function mediaCard(m) {
  const lost = m.in.Packets ? (m.lost * 100) / (m.lost + m.in.Packets) : 0;
  return el("div", { class: "media" },
    el("div", { class: "top" }, el("b", {}, m.type), el("span", { class: "tag" }, m.rejected ? "refused" : m.protocol),
      m.direction && m.direction !== "sendrecv" ? el("span", { class: "tag" }, m.direction) : null,
      m.suite ? el("span", { class: "tag secure" }, m.suite) : null, m.kernel ? el("span", { class: "tag" }, "kernel") : null,
      m.learnt ? el("span", { class: "tag", title: "the source of its packets is settled" }, "learnt") : null),
    el("dl", {},
      fact("codec", m.in_use || m.codecs.slice(0, 4).join(", ")),
      fact("its SDP", m.said && el("span", { class: "mono" }, m.said)),
      fact("we send to", m.endpoint && el("span", { class: "mono" }, m.endpoint)),
      fact("our port", m.local && el("span", { class: "mono" }, m.local)),
      fact("ICE", m.ice && (m.pair ? [m.ice + ", ", el("span", { class: "mono" }, m.pair)] : m.ice)),
      fact("DTLS", m.dtls),
      fact("heard", m.in.Packets ? `${whole.format(m.in.Packets)} packets, ${lost.toFixed(1)} % lost, jitter ${m.jitter_ms.toFixed(1)} ms` : "nothing"),
      fact("sent", m.out.Packets ? whole.format(m.out.Packets) + " packets" : "nothing"),
      m.mos ? [el("dt", {}, "MOS"), el("dd", { class: "mos " + mosClass(m.mos) }, m.mos.toFixed(2))] : []),
    m.trace_packets.length ? sparkline(m.trace_packets, m.trace_lost, 300, 44, "wide") : null);
}

function flowCard(f) {
  const cause = (c, cls) => el("div", { class: "cause " + cls, "data-code": c.code }, c.text, el("code", {}, c.code), c.advice ? el("small", {}, c.advice) : null);
  return el("div", { class: "flow" },
    el("div", {}, el("span", { class: "who" }, f.from, el("i", {}, "→"), f.to), el("small", {}, f.type), el("span", { class: "grow" }), el("span", { class: "pill " + f.state }, words[f.state])),
    (f.causes || []).map((c) => cause(c, f.state)), (f.notes || []).map((c) => cause(c, "note")));
}

function drawCall({ call, why }) {
  const t0 = new Date(call.created);
  const may = state.daemon?.writable && state.token && !call.ended;
  const facts = [`since ${t0.toLocaleString()}`, duration(ns(call.duration)), call.client && "from " + call.client, call.ended && "ended: " + call.ended.replaceAll("_", " ")];
  $("detail").replaceChildren(
    el("div", { class: "title" }, el("h1", { class: "mono" }, call.call_id), el("span", { class: "pill " + call.state }, call.ended ? "ended" : words[call.state]), el("span", { class: "grow" }),
      may ? el("button", { class: "quiet danger", click: () => confirm("End this call?") && change("api/terminate?id=" + encodeURIComponent(call.call_id)) }, "End call") : null),
    el("p", { class: "facts" }, facts.filter(Boolean).join("  ·  ")),
    el("p", { class: "verdict " + call.state, id: "verdict" }, why.summary),
    el("h3", {}, "Who hears whom"), ...why.flows.map(flowCard),
    el("h3", {}, "Legs"), el("div", { class: "legs" }, call.parties.map((p) => el("div", { class: "leg" }, el("div", { class: "who mono" }, p.tag, p.label ? el("small", {}, p.label) : null), p.medias.map(mediaCard)))),
    el("h3", {}, "Timeline"), el("ol", { class: "timeline" }, (call.timeline || []).map((m) => el("li", { class: m.kind },
      el("time", { datetime: m.at, title: m.at }, "+" + ((new Date(m.at) - t0) / 1000).toFixed(2) + " s"), el("i", {}),
      el("span", {}, m.party ? el("b", {}, m.party + (m.media ? " #" + m.media : "")) : null, m.text)))));
}

function drawNothing(title, text) { $("detail").replaceChildren(el("div", { class: "empty" }, el("b", {}, title), text)); }

// The flag lab.

const samples = {
  Browser: ["RTP/AVP replace-origin ICE=remove rtcp-mux-demux", `v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
m=audio 52642 UDP/TLS/RTP/SAVPF 111 0 8 110
c=IN IP4 203.0.113.20
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:842163049 1 udp 2122260223 192.168.1.20 52642 typ host generation 0
a=candidate:1677722 1 udp 1686052607 203.0.113.20 52642 typ srflx raddr 192.168.1.20 rport 52642
a=ice-ufrag:EsAw
a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1
a=ice-options:trickle
a=fingerprint:sha-256 D2:FA:0E:C3:22:59:5E:14:95:69:92:3D:13:B4:84:24:2C:C2:A2:C0:3E:FD:34:8E:5E:EA:6F:AF:52:CE:E6:0F
a=setup:actpass
a=mid:0
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:110 telephone-event/48000`],
  Telephone: ["UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-offer replace-origin", `v=0
o=alice 2890844526 2890844526 IN IP4 192.0.2.10
s=-
c=IN IP4 192.0.2.10
t=0 0
m=audio 49170 RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=sendrecv`],
  SDES: ["RTP/AVP", `v=0
o=bob 1 1 IN IP4 192.0.2.11
s=-
c=IN IP4 192.0.2.11
t=0 0
m=audio 40000 RTP/SAVP 9 0
a=rtpmap:9 G722/8000
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz
a=sendrecv`],
};
for (const [name, [flags, sdp]] of Object.entries(samples)) {
  $("samples").append(el("button", { type: "button", class: "quiet", click: () => { $("sdp").value = sdp; $("flags").value = flags; } }, name));
}

function stepCard(s) {
  const sign = { "+": "add", "-": "del", "=": "" };
  return [el("div", { class: "bar" }, el("h2", {}, s.command === "offer" ? "The offer that goes out" : "The answer that goes back")),
    (s.lint || []).map((l) => el("div", { class: "lint " + (l.startsWith("error") ? "error" : "") }, l)),
    s.error ? el("div", { class: "lint error" }, "Refused: " + s.error) : null,
    s.warning ? el("div", { class: "lint" }, s.warning) : null,
    s.lines ? el("div", { class: "diff", "data-step": s.command }, s.lines.map((l) => el("div", { class: sign[l.op] }, l.text))) : null,
    s.changes?.length ? [el("h3", {}, "Why"), s.changes.map((c) => el("div", { class: "change" }, el("span", { class: "tag" + (c.cause === "daemon default" ? "" : " secure") }, c.cause),
      el("span", {}, `${c.section}: ${c.what} ${c.from && c.to ? c.from + " → " + c.to : c.op + (c.from || c.to ? ": " + (c.from || c.to) : "")}`),
      el("small", {}, c.why + (c.rfc ? " (" + c.rfc + ")" : ""))))] : null].flat(3);
}

$("form").onsubmit = async (e) => {
  e.preventDefault();
  const body = JSON.stringify({ sdp: $("sdp").value, flags: $("flags").value, answer: $("answer").value, answer_flags: $("answerflags").value });
  try {
    const r = await ask("api/lab", { method: "POST", body });
    $("result").replaceChildren(...r.steps.flatMap(stepCard).filter(Boolean));
  } catch (err) {
    $("result").replaceChildren(el("div", { class: "lint error" }, err.message));
  }
};
$("result").append(el("div", { class: "empty" }, el("b", {}, "What would the relay make of it?"),
  "Every changed line is shown, with the flag and the standard behind it."));

// Where we are, and the clock.

function route() {
  const lab = location.hash === "#/lab";
  state.id = location.hash.startsWith("#/call/") ? decodeURIComponent(location.hash.slice(7)) : "";
  $("calls").hidden = lab;
  $("lab").hidden = !lab;
  document.querySelectorAll("nav a").forEach((a) => a.classList.toggle("on", (a.dataset.view === "lab") === lab));
  refresh();
}

let turn = 0;
async function refresh() {
  const mine = ++turn;
  try {
    const [daemon, list, one] = await Promise.all([ask("api/daemon"), ask("api/calls?q=" + encodeURIComponent(state.query)),
      state.id ? ask("api/call?id=" + encodeURIComponent(state.id)).catch((err) => (err.status === 404 ? null : Promise.reject(err))) : undefined]);
    if (mine !== turn) return;
    drawDaemon(daemon);
    drawCalls(list);
    if (one) drawCall(one);
    else if (one === null) drawNothing("This call is not known", "It ended a while ago, or never came here.");
    else drawNothing("Pick a call", "Its legs, its timeline, and in plain words why somebody hears nothing.");
  } catch (err) {
    if (mine !== turn) return;
    $("state").textContent = "no answer";
    $("state").className = "pill fault";
  }
}

addEventListener("hashchange", route);
route();
setInterval(() => { if (!document.hidden) refresh(); }, 2000);
