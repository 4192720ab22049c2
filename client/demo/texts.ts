// What the page says in words: statuses, refusals, bans, gaps.

import type { ChatUpError, Gap, Status } from "../src/index.ts";
import { duration } from "./looks.ts";

export interface StatusText {
  readonly text: string;
  readonly tone: "good" | "busy" | "bad" | "idle";
}

export const STATUS_TEXTS: Readonly<Record<Status, StatusText>> = {
  disconnected: { text: "Closed", tone: "idle" },
  gettingWorker: { text: "Connecting", tone: "busy" },
  connecting: { text: "Connecting", tone: "busy" },
  connected: { text: "Watching", tone: "good" },
  authenticated: { text: "Joined", tone: "good" },
  authError: { text: "Not accepted", tone: "bad" },
  subConnectError: { text: "Reconnecting", tone: "busy" },
  pubConnectError: { text: "Joining", tone: "busy" },
  workerSwitch: { text: "Changing server", tone: "busy" },
  noWorker: { text: "No server free", tone: "bad" },
  dispatcherError: { text: "Unreachable", tone: "bad" },
};

/** There will be no further try. */
export const ENDED = "The server has ended the connection. Reload the page to try again.";

export function banText(ttl_s: number): string {
  return ttl_s < 0
    ? "You are banned from this room."
    : `You are banned from this room for ${duration(ttl_s)}.`;
}

/** Why something was not sent. */
export function refusalText(error: ChatUpError): string {
  const wait = waitOf(error);
  switch (error.code) {
    case "banned":
      return banText(error.ttl_s ?? -1);
    case "rate_limited":
    case "rateLimited":
      return wait === null ? "Too fast. Wait a little." : `Too fast. You can go on in ${duration(wait)}.`;
    case "blacklisted_word":
    case "blacklistedWord":
      return "Not sent: it holds a word that is not allowed here.";
    case "message_empty":
      return "There is nothing to send.";
    case "message_too_long":
      return "Not sent: the message is too long.";
    case "too_many_in_flight":
    case "too_many_queued":
      return "Too many messages are under way. Wait a moment.";
    case "say_timeout":
      return "No answer from the server. Your message may not have been sent.";
    case "not_authenticated":
    case "never_joined":
      return "Say who you are before you speak.";
    case "superseded":
      return "Not sent: you have changed who you are.";
    case "connection_refused":
      return ENDED;
    default:
      return error.code.startsWith("token_") ? tokenText(error) : `Not sent: ${error.message}`;
  }
}

/** Why a token was not accepted. */
export function tokenText(error: ChatUpError): string {
  return error.code === "token_expired"
    ? "Your token has expired. Sign out and take a new one."
    : `The server did not accept who you are: ${error.message}`;
}

/** What is missing: so many messages, or perhaps some. */
export interface Loss {
  readonly count: number | null;
  readonly beganAnew: boolean;
}

export function lossOf({ reason, from, to }: Gap): Loss {
  const count = from === undefined || to === undefined ? null : to - from + 1;
  return { count, beganAnew: reason === "reset" };
}

/** Two losses with nothing between them. */
export function together(one: Loss, other: Loss): Loss {
  const count = one.count === null || other.count === null ? null : one.count + other.count;
  return { count, beganAnew: one.beganAnew || other.beganAnew };
}

export function lossText({ count, beganAnew }: Loss): string {
  if (beganAnew) return "The room began anew; earlier messages may be missing";
  if (count === null) return "Some messages may be missing";
  return count === 1 ? "1 message is missing" : `${count} messages are missing`;
}

export function gapText(gap: Gap): string {
  return lossText(lossOf(gap));
}

/** Seconds until the same may be tried again, where the server said so. */
function waitOf({ details }: ChatUpError): number | null {
  for (const field of ["ttw_s", "ttw", "ttl_s"]) {
    const value = details[field];
    if (typeof value === "number" && Number.isFinite(value) && value >= 0) return value;
  }
  return null;
}
