// SIP user agents of the test page, driven from the test. Media and measurements are those of lab.js: each call is one of its
// peers. Bundled with SIP.js before the tests run.
import { Inviter, Messager, Registerer, RegistererState, SessionState, UserAgent, Web } from "sip.js";

const agents = new Map(); // id -> { ua, registerer, incoming: [], messages: [], codes: [] }
const calls = new Map(); // id -> { session, agent }

const uri = (text) => {
  const u = UserAgent.makeURI(text);
  if (!u) throw new Error(`no SIP URI: ${text}`);
  return u;
};

// until waits for a condition and fails with what was awaited.
async function until(what, ms, condition) {
  for (const end = Date.now() + ms; Date.now() < end; await new Promise((r) => setTimeout(r, 20))) if (condition()) return true;
  throw new Error(`not within ${ms} ms: ${what}`);
}

// factory makes session description handlers that send a tone (and a picture), and tells the lab of their connections.
function factory(id, { hz, video }) {
  const make = Web.defaultSessionDescriptionHandlerFactory(async () => {
    const sources = [await tone(hz)];
    if (video) sources.push(picture());
    const p = peers.get(id);
    p.sources.push(...sources);
    return new MediaStream(sources.map((s) => s.track));
  });
  return (session, options) => {
    const handler = make(session, { iceGatheringTimeout: 1500, ...options, peerConnectionConfiguration: { iceServers: [] } });
    const p = { pc: handler.peerConnection, sources: [], candidates: [], players: [], firstAudio: 0, remoteSet: 0 };
    p.pc.addEventListener("track", (e) => {
      const player = document.createElement(e.track.kind);
      player.autoplay = true;
      player.srcObject = new MediaStream([e.track]);
      document.body.append(player);
      p.players.push(player);
      player.play().catch(() => {});
    });
    peers.set(id, p);
    return handler;
  };
}

window.sip = {
  // start connects a user agent. hz is the tone that its calls send.
  async start(id, { server, aor, user, password, hz = 440, video = false }) {
    const a = { incoming: [], messages: [], codes: [], hz, video };
    a.ua = new UserAgent({
      uri: uri(aor),
      transportOptions: { server },
      authorizationUsername: user,
      authorizationPassword: password,
      logLevel: "error",
      sessionDescriptionHandlerFactory: (session, options) => factory(session.labID, a)(session, options),
      delegate: {
        onInvite: (session) => a.incoming.push(session),
        onMessage: (m) => {
          a.messages.push(m.request.body);
          m.accept();
        },
      },
    });
    agents.set(id, a);
    await a.ua.start();
    return true;
  },

  async register(id) {
    const a = agents.get(id);
    a.registerer = new Registerer(a.ua, { expires: 600 });
    let failed = 0;
    await a.registerer.register({ requestDelegate: { onReject: (r) => (failed = r.message.statusCode) } });
    await until(`${id} registered`, 5000, () => failed || a.registerer.state === RegistererState.Registered);
    return failed || 200;
  },

  async stop(id) {
    const a = agents.get(id);
    if (a.registerer && a.registerer.state === RegistererState.Registered) {
      await a.registerer.unregister();
      await until(`${id} unregistered`, 5000, () => a.registerer.state === RegistererState.Unregistered);
    }
    await a.ua.stop();
    agents.delete(id);
    return true;
  },

  // invite begins a call; late leaves the offer to the callee.
  async invite(id, call, target, { late = false, early = false } = {}) {
    const a = agents.get(id);
    const session = new Inviter(a.ua, uri(target), { earlyMedia: early, inviteWithoutSdp: late });
    session.labID = call;
    const c = { session, code: 0 };
    calls.set(call, c);
    await session.invite({
      requestDelegate: {
        onProgress: (r) => (c.code = r.message.statusCode),
        onAccept: (r) => (c.code = r.message.statusCode),
        onReject: (r) => (c.code = r.message.statusCode),
      },
    });
    return true;
  },

  // ringing takes the agent's next incoming call and answers it with 180.
  async ringing(id, call) {
    const a = agents.get(id);
    await until(`${id} is called`, 10000, () => a.incoming.length > 0);
    const session = a.incoming.shift();
    session.labID = call;
    calls.set(call, { session, code: 0 });
    await session.progress();
    return true;
  },

  async accept(call) {
    await calls.get(call).session.accept();
    return true;
  },

  async established(call) {
    return until(`${call} established`, 10000, () => calls.get(call).session.state === SessionState.Established);
  },

  async ended(call) {
    return until(`${call} ended`, 10000, () => calls.get(call).session.state === SessionState.Terminated);
  },

  // code waits for the last response code to be at least this and returns it.
  async code(call, least) {
    const c = calls.get(call);
    await until(`${call}: a response from ${least} up`, 10000, () => c.code >= least);
    return c.code;
  },

  // reinvite renegotiates, on hold or not, and waits for the answer. It returns the response code.
  async reinvite(call, hold) {
    const { session } = calls.get(call);
    let code = 0;
    session.sessionDescriptionHandlerOptionsReInvite = { hold };
    await session.invite({
      requestDelegate: {
        onAccept: (r) => (code = r.message.statusCode),
        onReject: (r) => (code = r.message.statusCode),
      },
    });
    await until(`${call} answered again`, 10000, () => code >= 200);
    return code;
  },

  direction(call) {
    return peers.get(call).pc.getTransceivers().map((t) => t.currentDirection);
  },

  async hangup(call) {
    const { session } = calls.get(call);
    if (session.state === SessionState.Established) await session.bye();
    else if (session instanceof Inviter) await session.cancel();
    else await session.reject();
    return this.ended(call);
  },

  async message(id, target, text) {
    await new Messager(agents.get(id).ua, uri(target), text).message();
    return true;
  },

  messages(id) {
    return agents.get(id).messages;
  },
};
