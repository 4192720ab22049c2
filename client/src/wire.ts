// The protocol's JSON, parsed once at the edge: what comes out of here has the
// shape that its type says, whatever the network sent.

import { isRecord } from "./error.ts";

/** Where a reader is in a channel. */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
  readonly id: string;
}

/** The `_public` part of a user's token. */
export interface User {
  readonly name?: string;
  readonly [field: string]: unknown;
}

/** A text that somebody said. */
export interface Message {
  readonly user: User;
  readonly msg: string;
  /** The message's id. */
  readonly i: string;
  /** Unix time, in seconds. */
  readonly d: number;
}

/** Something that happened: `join`, `leave`, `rmUserMsg`, or the application's own. */
export interface ChatEvent {
  readonly user: User;
  readonly ev: string;
  readonly data?: unknown;
  readonly i: string;
  readonly d: number;
}

export type Entry = { kind: "message"; message: Message } | { kind: "event"; event: ChatEvent };

/** One channel's answer to a subscription. */
export interface Subscribed {
  readonly channel: string;
  readonly position: Position;
  readonly next: number;
  readonly recovered: boolean;
}

export type Frame =
  | { kind: "answer"; id: number; ok: Record<string, unknown> }
  | { kind: "refusal"; id: number; error: unknown }
  | { kind: "messages"; channel: string; offset: number; messages: readonly unknown[] }
  | { kind: "gap"; channel: string; from: number; to: number }
  | { kind: "reset"; channel: string; position: Position; next: number }
  | { kind: "banned"; room: string; ttl_s: number }
  | { kind: "unknown" };

const UNKNOWN: Frame = { kind: "unknown" };

/** A server's text frame. What is malformed or not known is `unknown`, as the protocol asks. */
export function parseFrame(data: unknown): Frame {
  if (typeof data !== "string") return UNKNOWN;
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return UNKNOWN;
  }
  if (!isRecord(value)) return UNKNOWN;
  if (isCount(value["id"])) return parseAnswer(value["id"], value);
  if (typeof value["channel"] === "string") return parseMessages(value["channel"], value);
  if (isRecord(value["gap"])) return parseGap(value["gap"]);
  if (isRecord(value["reset"])) return parseReset(value["reset"]);
  if (isRecord(value["banned"])) return parseBanned(value["banned"]);
  return UNKNOWN;
}

function parseAnswer(id: number, value: Record<string, unknown>): Frame {
  if (isRecord(value["ok"])) return { kind: "answer", id, ok: value["ok"] };
  // An answer with neither still ends its call: as an error without a code.
  return { kind: "refusal", id, error: value["error"] };
}

function parseMessages(channel: string, value: Record<string, unknown>): Frame {
  const { offset, messages } = value;
  if (!isCount(offset) || offset < 1 || !Array.isArray(messages)) return UNKNOWN;
  return { kind: "messages", channel, offset, messages };
}

function parseGap(gap: Record<string, unknown>): Frame {
  const { channel, from, to } = gap;
  if (typeof channel !== "string" || !isCount(from) || !isCount(to) || to < from) return UNKNOWN;
  return { kind: "gap", channel, from, to };
}

function parseReset(reset: Record<string, unknown>): Frame {
  const { channel, next } = reset;
  const position = parsePosition(reset["position"]);
  if (typeof channel !== "string" || position === null || !isCount(next) || next < 1) return UNKNOWN;
  return { kind: "reset", channel, position, next };
}

function parseBanned(banned: Record<string, unknown>): Frame {
  const { room } = banned;
  const ttl_s = parseBanSeconds(banned);
  if (typeof room !== "string" || ttl_s === null) return UNKNOWN;
  return { kind: "banned", room, ttl_s };
}

/** The `ttl_s` of an object about a ban; -1 is for ever. */
export function parseBanSeconds(value: unknown): number | null {
  if (!isRecord(value)) return null;
  const ttl_s = value["ttl_s"];
  return typeof ttl_s === "number" && Number.isFinite(ttl_s) ? ttl_s : null;
}

export function parsePosition(value: unknown): Position | null {
  if (!isRecord(value)) return null;
  const { epoch, offset, id } = value;
  if (typeof epoch !== "string" || !isCount(offset) || typeof id !== "string") return null;
  return { epoch, offset, id };
}

/** The answer to a subscription; null unless it holds every channel asked for. */
export function parseSubscribed(ok: Record<string, unknown>, asked: readonly string[]): Subscribed[] | null {
  const list = ok["channels"];
  if (!Array.isArray(list) || list.length !== asked.length) return null;
  const answers: Subscribed[] = [];
  for (const [index, channel] of asked.entries()) {
    const value: unknown = list[index];
    if (!isRecord(value) || value["channel"] !== channel) return null;
    const position = parsePosition(value["position"]);
    const next = value["next"];
    if (position === null || !isCount(next) || next < 1) return null;
    answers.push({ channel, position, next, recovered: value["recovered"] === true });
  }
  return answers;
}

/** One of a frame's messages; null where it is neither a message nor an event. */
export function parseEntry(value: unknown): Entry | null {
  if (!isRecord(value)) return null;
  const user = parseUser(value["user"]);
  const i = typeof value["i"] === "string" ? value["i"] : "";
  const d = typeof value["d"] === "number" && Number.isFinite(value["d"]) ? value["d"] : 0;
  if (typeof value["msg"] === "string") {
    return { kind: "message", message: { user, msg: value["msg"], i, d } };
  }
  if (typeof value["ev"] === "string") {
    const data = "data" in value ? { data: value["data"] } : {};
    return { kind: "event", event: { user, ev: value["ev"], ...data, i, d } };
  }
  return null;
}

/** A user's public part. A `name` that is no text is left out: whoever shows it may rely on it. */
export function parseUser(value: unknown): User {
  if (!isRecord(value)) return {};
  if (value["name"] === undefined || typeof value["name"] === "string") return value;
  const { name: _name, ...rest } = value;
  return rest;
}

/** A whole number from 0 that JavaScript holds exactly. */
export function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
