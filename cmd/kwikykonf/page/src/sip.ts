// The mesh's wishes as SIP over a WebSocket, with SIP.js. One user agent holds two registrations: the private address of
// this page, which others call, and the room's shared address, which brings every announcement to every page.

import {
  Invitation, Inviter, Messager, Registerer, RegistererState, RequestPendingError, SessionState, UserAgent, type Message, type Session,
} from "sip.js/lib/api";
import { URI } from "sip.js/lib/grammar";
import { Connection, type LocalTracks } from "./connection";
import { refusal, socketFailure, type Failure } from "./failures";
import type { Leg, LegListener, Member, Signaling } from "./mesh";
import {
  contentType, decodeAnnouncement, decodeState, cleanName, encodeAnnouncement, encodeState, isMemberId, stateHeader,
  type Announcement, type MediaState,
} from "./protocol";
import { Pulse } from "./pulse";
import { roomUser } from "./room";

export interface LineOptions {
  server: string; // ws:// or wss:// address
  domain: string;
  id: string;
  name: string;
  room: string;
  local: LocalTracks;
  state(): MediaState;
}

export interface LineEvents {
  /** The socket broke and is being made again, or is back and registered. */
  socket(up: boolean): void;
  heard(a: Announcement): void;
  incoming(from: { id: string; call: string; name: string; state: MediaState }, leg: SipLeg): void;
  /** The registrar does not take us any more. */
  refused(f: Failure): void;
}

/** Seconds. Short, since a page that crashes cannot unregister. */
const registrationLifetime = 120;
/** How long a registrar or a proxy may take to answer, in ms. */
const patience = 8000;
const pauses = [300, 1000, 2000, 4000, 8000, 15000];

/** One SIP session and the media connection under it. */
export class SipLeg implements Leg {
  listener: LegListener | null = null;
  connection: Connection | null = null;
  readonly pulse = new Pulse();
  private status = 0;

  constructor(
    private readonly session: Session,
    readonly outgoing: boolean,
    private readonly headers: () => string[],
  ) {
    session.stateChange.addListener((state) => {
      if (state === SessionState.Established) this.listener?.established();
      // The status of a refusal is known only after the change of state.
      if (state === SessionState.Terminated) queueMicrotask(() => this.ended());
    });
  }

  invite(): void {
    const inviter = this.session as Inviter;
    inviter
      .invite({ requestDelegate: { onReject: (r) => (this.status = r.message.statusCode ?? 0) } })
      .catch(() => this.failed());
  }

  accept(): void {
    (this.session as Invitation).accept({ extraHeaders: this.headers() }).catch(() => this.failed());
  }

  refuse(status: number): void {
    (this.session as Invitation).reject({ statusCode: status }).catch(() => {});
  }

  close(): void {
    this.session.dispose().catch(() => {}); // BYE, CANCEL or a refusal, as the stage needs
    this.connection?.close();
  }

  /** A description that could not be made or read. */
  private failed(): void {
    this.status ||= 488;
    this.close();
    this.ended();
  }

  private ended(): void {
    const { listener } = this;
    this.listener = null;
    this.connection?.close();
    listener?.ended(this.status);
  }
}

export class Line implements Signaling {
  private readonly agent: UserAgent;
  private readonly registerers: Registerer[];
  private readonly legs = new WeakMap<Session, SipLeg>();
  private left = false;
  private attempt = 0;
  private registering = false;
  private stopWaiting = () => {};

  constructor(
    private readonly options: LineOptions,
    private readonly events: LineEvents,
  ) {
    this.agent = new UserAgent({
      uri: new URI("sip", options.id, options.domain),
      displayName: options.name,
      transportOptions: { server: options.server, connectionTimeout: patience / 1000 },
      contactParams: { transport: "ws" },
      sessionDescriptionHandlerFactory: (session) => this.connect(session),
      sendInitialProvisionalResponse: false,
      gracefulShutdown: false,
      logBuiltinEnabled: false,
      userAgentString: "KwikyKonf",
      delegate: {
        onDisconnect: () => this.lost(),
        onInvite: (invitation) => this.invited(invitation),
        onMessage: (message) => this.received(message),
      },
    });
    const own = new URI("sip", options.id, options.domain);
    const shared = this.roomAddress();
    this.registerers = [own, shared].map(
      (aor) => new Registerer(this.agent, { expires: registrationLifetime, refreshFrequency: 75, params: { fromUri: aor, toUri: aor }, logConfiguration: false }),
    );
  }

  /** Connects and registers both addresses; throws a Failure. */
  async join(): Promise<void> {
    try {
      await this.agent.start();
    } catch {
      this.leave();
      throw socketFailure(this.options.server);
    }
    try {
      await this.registerAll();
    } catch (e) {
      this.leave();
      throw e;
    }
    addEventListener("online", this.reconnectNow);
  }

  /** Unregisters and hangs up the socket. What it sends is on its way when it returns. */
  leave(): void {
    if (this.left) return;
    this.left = true;
    this.stopWaiting();
    removeEventListener("online", this.reconnectNow);
    if (this.agent.isConnected()) for (const r of this.registerers) r.unregister().catch(() => {});
    setTimeout(() => void this.agent.stop().catch(() => {}), 500);
  }

  call(member: Member): Leg {
    const target = UserAgent.makeURI(member.call);
    if (!target) throw new Error(`no address to call: ${member.call}`); // decodeAnnouncement lets none through
    const inviter = new Inviter(this.agent, target, { extraHeaders: this.headers() });
    const leg = this.keep(inviter, true);
    queueMicrotask(() => leg.invite());
    return leg;
  }

  announce(a: Pick<Announcement, "have" | "leaving">): void {
    const { id, domain, name, state } = this.options;
    if (!a.leaving && this.registerers.some((r) => r.state !== RegistererState.Registered)) this.registerAgain();
    const body = encodeAnnouncement({ id, call: `sip:${id}@${domain}`, name, state: state(), ...a });
    const silent = setTimeout(() => this.drop(), patience);
    const answered = () => clearTimeout(silent);
    void new Messager(this.agent, this.roomAddress(), body, contentType).message({
      requestDelegate: {
        onAccept: answered,
        onReject: ({ message }) => {
          answered();
          // Our own page is registered there, so "nobody" means that the registrar forgot us.
          if ((message.statusCode === 404 || message.statusCode === 480) && !this.left) this.registerAgain();
        },
        onRedirect: answered,
      },
    });
  }

  private roomAddress(): URI {
    return new URI("sip", roomUser(this.options.room), this.options.domain);
  }

  private headers(): string[] {
    return [`${stateHeader}: ${encodeState(this.options.state())}`];
  }

  private keep(session: Session, outgoing: boolean): SipLeg {
    const leg = new SipLeg(session, outgoing, () => this.headers());
    this.legs.set(session, leg);
    return leg;
  }

  private connect(session: Session): Connection {
    const leg = this.legs.get(session);
    const connection = new Connection(this.options.local, (state) => leg?.listener?.path(state));
    if (leg) leg.connection = connection;
    return connection;
  }

  private invited(invitation: Invitation): void {
    const { uri, displayName } = invitation.remoteIdentity;
    const id = uri.user ?? "";
    // Who calls the room itself, or is no page, is no member of the mesh.
    if (this.left || invitation.request.to.uri.user !== this.options.id || !isMemberId(id) || uri.host !== this.options.domain) {
      invitation.reject({ statusCode: 403 }).catch(() => {});
      return;
    }
    const state = decodeState(invitation.request.getHeader(stateHeader));
    this.events.incoming({ id, call: `sip:${id}@${uri.host}`, name: cleanName(displayName), state }, this.keep(invitation, false));
  }

  private received(message: Message): void {
    message.accept().catch(() => {});
    const a = decodeAnnouncement(message.request.body, message.request.from.uri.user ?? "");
    // Members of other domains could not be called: open domains let nobody out.
    if (a?.call === `sip:${a?.id}@${this.options.domain}`) this.events.heard(a);
  }

  private async registerAll(): Promise<void> {
    await Promise.all(this.registerers.map((r) => this.register(r)));
  }

  private async register(r: Registerer): Promise<void> {
    for (;;) {
      try {
        return await this.registerOnce(r);
      } catch (e) {
        // A REGISTER that went down with an old socket blocks the next one until its transaction ends.
        if (!(e instanceof RequestPendingError) || !this.agent.isConnected()) throw e;
        await new Promise((done) => setTimeout(done, 1000));
      }
    }
  }

  private registerOnce(r: Registerer): Promise<void> {
    return new Promise((accepted, rejected) => {
      const fail = (e: unknown) => (clearTimeout(timer), rejected(e));
      const timer = setTimeout(() => rejected(refusal(0, "", this.options.room)), patience);
      r.register({
        requestDelegate: {
          onAccept: () => (clearTimeout(timer), accepted()),
          onReject: ({ message }) => fail(refusal(message.statusCode ?? 0, message.reasonPhrase ?? "", this.options.room)),
        },
      }).catch(fail);
    });
  }

  private registerAgain(): void {
    if (this.registering || !this.agent.isConnected()) return;
    this.registering = true;
    this.registerAll()
      .then(
        () => this.events.socket(true),
        (f: Failure) => {
          if (this.agent.isConnected() && !this.left) this.events.refused(f);
        },
      )
      .finally(() => (this.registering = false));
  }

  /** Gives a socket up that does not answer any more. */
  private drop(): void {
    if (!this.left && this.agent.isConnected()) this.agent.transport.disconnect().catch(() => {});
  }

  private lost(): void {
    if (this.left) return;
    this.events.socket(false);
    this.attempt = 0;
    this.tryAgain();
  }

  private tryAgain(): void {
    const pause = pauses[Math.min(this.attempt++, pauses.length - 1)]! * (1 + Math.random() / 2);
    const timer = setTimeout(() => this.reconnect(), pause);
    this.stopWaiting = () => clearTimeout(timer);
  }

  private readonly reconnectNow = () => {
    if (this.left || this.agent.isConnected()) return;
    this.stopWaiting();
    this.reconnect();
  };

  private reconnect(): void {
    this.agent.reconnect().then(
      () => {
        if (!this.left) this.registerAgain();
      },
      () => {
        if (!this.left) this.tryAgain();
      },
    );
  }
}
