// A room's list of messages and events: bounded, drawn in batches, and kept at
// its end while the reader is there.

import type { Gap, Message } from "../src/index.ts";
import { initialOf, nameOf, setColour, shownName, showTime } from "./looks.ts";
import { copyOf, part } from "./parts.ts";
import { gapText, lossOf, lossText, together, type Loss } from "./texts.ts";

/** Entries kept in the page for a room; older ones go. */
const ENTRIES_MAX = 500;

/** Messages of one author within this time stand together under one name. */
const TOGETHER_S_MAX = 300;

/** A page in the background draws no frames; then it draws this often. */
const BACKGROUND_DRAW_MS = 500;

/** The reader is at the end while no more than this is below. */
const AT_END_PX = 40;

export class MessageList {
  readonly #list: HTMLElement;
  readonly #jump: HTMLElement;
  readonly #jumpText: HTMLElement;
  readonly #empty: HTMLElement;
  readonly #resize: ResizeObserver;
  #waiting: HTMLElement[] = [];
  #drawPlanned = false;
  #atEnd = true;
  #unread = 0;
  #me: string | null = null;
  /** The last entry, where that is a line about missing messages. */
  #lastLoss: { readonly entry: HTMLElement; loss: Loss } | null = null;

  constructor(room: HTMLElement) {
    this.#list = part(room, ".messages");
    this.#jump = part(room, "[data-part=jump]");
    this.#jumpText = part(room, "[data-part=jump-text]");
    this.#empty = part(room, "[data-part=empty]");
    this.#list.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#jump.addEventListener("click", () => this.toEnd());
    this.#resize = new ResizeObserver(() => {
      if (this.#atEnd) this.#scrollToEnd();
    });
    this.#resize.observe(this.#list);
  }

  /** Whose messages are marked as own. */
  set me(name: string | null) {
    this.#me = name;
    for (const entry of this.#entries()) this.#markOwn(entry);
  }

  message({ user, msg, d }: Message): void {
    const name = nameOf(user);
    const entry = copyOf("message-template");
    entry.dataset["at"] = String(d);
    if (name === null) {
      entry.classList.add("announcement");
    } else {
      entry.dataset["author"] = name;
      setColour(entry, name);
      part(entry, ".avatar").textContent = initialOf(shownName(name));
      part(entry, ".name").textContent = shownName(name);
    }
    part(entry, ".text").textContent = msg;
    showTime(part(entry, ".time"), d);
    this.#markOwn(entry);
    this.#add(entry);
  }

  /** A subtle line about somebody. */
  event(name: string | null, what: string): void {
    const entry = copyOf("line-template");
    setColour(entry, name ?? "");
    part(entry, ".name").textContent = name === null ? "Somebody without a name" : shownName(name);
    part(entry, ".what").textContent = ` ${what}`;
    this.#add(entry);
  }

  /** A line about messages that are missing; the next such line right after it becomes one with it. */
  gap(gap: Gap): void {
    const last = this.#lastLoss;
    if (last !== null) {
      last.loss = together(last.loss, lossOf(gap));
      part(last.entry, ".what").textContent = lossText(last.loss);
      return;
    }
    const entry = copyOf("line-template");
    entry.classList.add("gap");
    part(entry, ".what").textContent = gapText(gap);
    this.#add(entry);
    this.#lastLoss = { entry, loss: lossOf(gap) };
  }

  /** Takes away all that somebody said. */
  removeAuthor(name: string): void {
    this.#draw();
    for (const entry of this.#entries()) if (entry.dataset["author"] === name) entry.remove();
    let before: HTMLElement | null = null;
    for (const entry of this.#entries()) {
      group(entry, before);
      before = entry;
    }
    this.#empty.hidden = before !== null;
  }

  toEnd(): void {
    this.#atEnd = true;
    this.#scrollToEnd();
    this.#showUnread(0);
  }

  stop(): void {
    this.#resize.disconnect();
  }

  #add(entry: HTMLElement): void {
    this.#lastLoss = null;
    this.#waiting.push(entry);
    if (this.#waiting.length > ENTRIES_MAX) this.#waiting.shift();
    if (this.#drawPlanned) return;
    this.#drawPlanned = true;
    const timer = setTimeout(() => this.#draw(), BACKGROUND_DRAW_MS);
    requestAnimationFrame(() => {
      clearTimeout(timer);
      this.#draw();
    });
  }

  #draw(): void {
    this.#drawPlanned = false;
    const entries = this.#waiting;
    if (entries.length === 0) return;
    this.#waiting = [];
    const batch = document.createDocumentFragment();
    let before = this.#list.lastElementChild as HTMLElement | null;
    for (const entry of entries) {
      group(entry, before);
      batch.append(entry);
      before = entry;
    }
    this.#list.append(batch);
    this.#empty.hidden = true;
    this.#trim();
    if (this.#atEnd) this.#scrollToEnd();
    else this.#showUnread(this.#unread + entries.filter((entry) => entry.dataset["at"]).length);
  }

  #trim(): void {
    const surplus = this.#list.childElementCount - ENTRIES_MAX;
    if (surplus <= 0) return;
    for (let removed = 0; removed < surplus; removed += 1) this.#list.firstElementChild?.remove();
    const first = this.#list.firstElementChild as HTMLElement | null;
    if (first !== null) group(first, null);
  }

  #entries(): HTMLElement[] {
    return [...this.#list.children, ...this.#waiting] as HTMLElement[];
  }

  #markOwn(entry: HTMLElement): void {
    const author = entry.dataset["author"];
    entry.classList.toggle("own", author !== undefined && author === this.#me);
  }

  #scrolled(): void {
    const { scrollHeight, scrollTop, clientHeight } = this.#list;
    this.#atEnd = scrollHeight - scrollTop - clientHeight <= AT_END_PX;
    if (this.#atEnd) this.#showUnread(0);
  }

  #scrollToEnd(): void {
    this.#list.scrollTop = this.#list.scrollHeight;
  }

  #showUnread(count: number): void {
    this.#unread = count;
    this.#jump.hidden = count === 0;
    this.#jumpText.textContent = count === 1 ? "1 new message" : `${count} new messages`;
  }
}

/** Whether an entry stands under the name of the one before it. */
function group(entry: HTMLElement, before: HTMLElement | null): void {
  const author = entry.dataset["author"];
  const together =
    before !== null &&
    author !== undefined &&
    before.dataset["author"] === author &&
    Math.abs(Number(entry.dataset["at"]) - Number(before.dataset["at"])) <= TOGETHER_S_MAX;
  entry.classList.toggle("follows", together);
}
