// Names of rooms and channels, and the addresses made of them.

import { CHANNEL_NAME_BYTES_MAX, ROOM_NAME_BYTES_MAX } from "./limits.ts";

/** Letters and digits of any script and a few signs, as the protocol says. */
const ROOM_NAME = /^[\p{Alphabetic}\p{N}_\-~!@$:+,;=]+$/u;

/** Anything but control characters and a few signs that mean something elsewhere. */
const CHANNEL_NAME = /^[^\p{Cc}/*{}]+$/u;

const encoder = new TextEncoder();

export function byteLength(text: string): number {
  return encoder.encode(text).length;
}

/** Whether the server would take this as a room's name. */
export function isRoomName(name: string): boolean {
  return isName(name, ROOM_NAME, ROOM_NAME_BYTES_MAX);
}

/** Whether the server would take this as a channel's name. */
export function isChannelName(name: string): boolean {
  return isName(name, CHANNEL_NAME, CHANNEL_NAME_BYTES_MAX);
}

function isName(name: string, pattern: RegExp, bytes_max: number): boolean {
  return pattern.test(name) && name !== "ALL" && byteLength(name) <= bytes_max;
}

/** The channel of a room's messages. */
export function messagesChannel(room: string): string {
  return `m_${room}`;
}

/** The channel of a room's joins and leaves. */
export function eventsChannel(room: string): string {
  return `e_${room}`;
}

/** The dispatcher's base address without a slash at its end; null where it is no HTTP address. */
export function baseUrl(address: string): string | null {
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return null;
  return (url.origin + url.pathname).replace(/\/+$/, "");
}

/** A worker's `host` to the address of its native WebSocket; null where it is no HTTP address. */
export function webSocketUrl(host: string): string | null {
  const base = baseUrl(host);
  return base === null ? null : `${base.replace(/^http/, "ws")}/chatup/v1`;
}
