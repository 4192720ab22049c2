// How people and times look: a colour for each name, the first letter, clock times.

import type { User } from "../src/index.ts";

/** Who a user is, to the letter; null for nobody in particular. */
export function nameOf({ name }: User): string | null {
  return name === undefined || name === "" ? null : name;
}

/** Controls, line ends, and what turns the direction of writing: all of them invisible. */
const INVISIBLE = /[\p{Cc}\u061C\u200B\u200E\u200F\u2028-\u202E\u2060\u2066-\u2069\uFEFF]/gu;

/** A name as the page shows it: one that only looks like another is told from it. */
export function shownName(name: string): string {
  return name.replace(INVISIBLE, "\uFFFD");
}

/** The same name has the same colour everywhere; the style sheet picks lightness for dark and light. */
export function setColour(element: HTMLElement, name: string): void {
  element.style.setProperty("--hue", String(hueOf(name)));
}

function hueOf(name: string): number {
  // FNV-1a: cheap, and near names get far colours.
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash % 360;
}

const segmenter = new Intl.Segmenter();

/** The first character as people count them, flags and accents included. */
export function initialOf(name: string): string {
  for (const { segment } of segmenter.segment(name)) return segment.toLocaleUpperCase();
  return "?";
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const dayAndClock = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/** Fills in a time in Unix seconds; nothing where there is none that makes sense. */
export function showTime(element: HTMLTimeElement, unix_s: number): void {
  const date = new Date(unix_s * 1000);
  if (unix_s <= 0 || Number.isNaN(date.getTime())) return;
  const today = date.toDateString() === new Date().toDateString();
  element.textContent = (today ? clock : dayAndClock).format(date);
  element.dateTime = date.toISOString();
  element.title = full.format(date);
}

/** A length of time as people say it. */
export function duration(seconds: number): string {
  const units: [number, string][] = [[86_400, "day"], [3_600, "hour"], [60, "minute"]];
  for (const [size, word] of units) {
    // Two of a unit or more: "90 seconds" says more than "2 minutes".
    if (seconds >= 2 * size) return `${Math.round(seconds / size)} ${word}s`;
  }
  const whole = Math.ceil(seconds);
  return whole === 1 ? "1 second" : `${whole} seconds`;
}
