// What stands above a room's text field: a ban that counts down, a refusal or a
// gap; and texts that were not sent, until somebody has done with them.

import { copyOf, part } from "./parts.ts";
import { banText } from "./texts.ts";

/** A gap's notice goes by itself; the list of messages keeps a line. */
const GAP_SHOWN_MS = 10_000;

export class Notice {
  readonly #element: HTMLElement;
  readonly #text: HTMLElement;
  readonly #unsent: HTMLElement;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #kind: "ban" | "refusal" | "gap" | null = null;

  constructor(element: HTMLElement) {
    this.#element = element;
    this.#text = part(element, "[data-part=notice-text]");
    this.#unsent = part(element, "[data-part=unsent]");
    part<HTMLElement>(element, "[data-part=forget-unsent]").addEventListener("click", () => this.forgetUnsent());
  }

  ban(ttl_s: number): void {
    clearTimeout(this.#timer);
    if (ttl_s === 0) return this.clear();
    this.#show("ban", banText(ttl_s));
    if (ttl_s < 0) return;
    const left_s = Math.min(ttl_s, 1);
    this.#timer = setTimeout(() => this.ban(Math.max(ttl_s - left_s, 0)), left_s * 1000);
  }

  refusal(text: string): void {
    if (this.#kind === "ban") return;
    clearTimeout(this.#timer);
    this.#show("refusal", text);
  }

  gap(text: string): void {
    // Neither a ban nor a refusal may be pushed away by it.
    if (this.#kind !== null && this.#kind !== "gap") return;
    clearTimeout(this.#timer);
    this.#show("gap", `${text}.`);
    this.#timer = setTimeout(() => this.clear(), GAP_SHOWN_MS);
  }

  /** A text that has no other place; it stays until it is dismissed. */
  unsent(text: string): void {
    const entry = copyOf("unsent-template");
    part(entry, ".unsent-text").textContent = text;
    part(this.#unsent, "[data-part=unsent-texts]").append(entry);
    this.#unsent.hidden = false;
    this.#showAny();
  }

  forgetUnsent(): void {
    part(this.#unsent, "[data-part=unsent-texts]").replaceChildren();
    this.#unsent.hidden = true;
    this.#showAny();
  }

  /** Something was sent: refusals and bans are over. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#show(null, "");
  }

  #show(kind: "ban" | "refusal" | "gap" | null, text: string): void {
    this.#kind = kind;
    this.#element.dataset["kind"] = kind ?? "unsent";
    this.#text.textContent = text;
    this.#text.hidden = kind === null;
    this.#showAny();
  }

  #showAny(): void {
    this.#element.hidden = this.#kind === null && this.#unsent.hidden;
  }
}
