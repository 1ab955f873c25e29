// What the page says when something does not work: what happened, and what can be done about it.

import { maxAttempts, type FailureReason } from "./mesh";

export interface Failure {
  title: string;
  detail: string;
}

/** Why a camera or a microphone could not be opened, from the DOMException of getUserMedia. */
export function mediaFailure(name: string, what: "camera" | "microphone" | "camera and microphone" | "screen"): Failure {
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      if (what === "screen") return { title: "The screen is not shared", detail: "The browser was not allowed to show it." };
      return {
        title: `The browser may not use your ${what}`,
        detail: `Allow it in the address bar's site settings, then choose the ${what} again. You can also join as you are.`,
      };
    case "NotFoundError":
    case "OverconstrainedError":
      return { title: `No ${what} found`, detail: "Connect one and choose it, or join without." };
    case "NotReadableError":
    case "AbortError":
      return { title: `Your ${what} does not start`, detail: "Another program may be using it. Close that and choose it again." };
    default:
      return { title: `Your ${what} does not work here`, detail: `The browser says: ${name || "unknown error"}.` };
  }
}

export const insecure: Failure = {
  title: "This page needs a secure address",
  detail: "Browsers give camera and microphone only to https:// pages and to localhost. Open it under its https address.",
};

export const noConfig: Failure = {
  title: "The page could not load its settings",
  detail: "Its server does not answer. Check the network and reload.",
};

export function socketFailure(server: string): Failure {
  return {
    title: "The call server cannot be reached",
    detail: `No connection to ${server}. Check the network${server.startsWith("wss:") ? "; a self-signed certificate must be accepted once" : ""}.`,
  };
}

/** Why the registrar did not take an address; status 0: it did not answer. */
export function refusal(status: number, reason: string, room: string): Failure {
  const said = `The server said ${status} ${reason}`.trim();
  switch (status) {
    case 0:
    case 408:
      return { title: "The call server does not answer", detail: "It is connected but silent. Try again in a moment." };
    case 401:
    case 403:
    case 407:
      return { title: `You are not let into “${room}”`, detail: `${said}. Its administrator decides who may join.` };
    case 404:
      return { title: "The call server does not serve this conference", detail: `${said}. The domain may be set wrongly.` };
    case 503:
      return { title: "The call server is too busy", detail: `${said}. Try again in a moment.` };
    default:
      return { title: `“${room}” cannot be joined`, detail: `${said}.` };
  }
}

/** Why there is no call with a member. */
export function callFailure(name: string, f: FailureReason): Failure {
  switch (f.kind) {
    case "no-answer":
      return { title: "No answer", detail: `${name} did not answer the call.` };
    case "no-path":
      return { title: "No media path", detail: `The call with ${name} stands, but no media gets through the relay.` };
    case "refused":
      switch (f.status) {
        case 404:
        case 410:
        case 480:
          return { title: "Not there", detail: `${name} cannot be reached at the moment.` };
        case 408:
        case 0:
          return { title: "No answer", detail: `The call to ${name} got lost on its way.` };
        case 500:
        case 503:
          return { title: "No relay", detail: `The server could not carry the call to ${name} (${f.status}).` };
        default:
          return { title: "Call refused", detail: `The call to ${name} was refused (${f.status}).` };
      }
  }
}

/** What comes after a call that failed, as told by Member.attempt. */
export function nextTry(name: string, attempt: number): string {
  return attempt > 0 ? `Calling again in a moment (${attempt} of ${maxAttempts})…` : `Calling again when ${name} is heard of.`;
}

/** What a call under way says. */
export function calling(attempt: number): string {
  return attempt > 1 ? "Calling again…" : "Calling…";
}
