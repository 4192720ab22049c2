// The one line above a room's text field: a ban that counts down, a refusal, a gap.

import { banText } from "./texts.ts";

/** A gap's notice goes by itself; the list of messages keeps a line. */
const GAP_SHOWN_MS = 10_000;

export class Notice {
  readonly #element: HTMLElement;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ban = false;

  constructor(element: HTMLElement) {
    this.#element = element;
  }

  ban(ttl_s: number): void {
    clearTimeout(this.#timer);
    if (ttl_s === 0) return this.clear();
    this.#ban = true;
    this.#show("ban", banText(ttl_s));
    if (ttl_s < 0) return;
    const left_s = Math.min(ttl_s, 1);
    this.#timer = setTimeout(() => this.ban(Math.max(ttl_s - left_s, 0)), left_s * 1000);
  }

  refusal(text: string): void {
    if (this.#ban) return;
    clearTimeout(this.#timer);
    this.#show("refusal", text);
  }

  gap(text: string): void {
    // Neither a ban nor a refusal may be pushed away by it.
    if (!this.#element.hidden && this.#element.dataset["kind"] !== "gap") return;
    clearTimeout(this.#timer);
    this.#show("gap", `${text}.`);
    this.#timer = setTimeout(() => this.clear(), GAP_SHOWN_MS);
  }

  /** Something was sent: refusals and bans are over. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#ban = false;
    this.#element.hidden = true;
    this.#element.textContent = "";
  }

  #show(kind: "ban" | "refusal" | "gap", text: string): void {
    this.#element.dataset["kind"] = kind;
    this.#element.textContent = text;
    this.#element.hidden = false;
  }
}
