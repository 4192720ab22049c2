// Who is in a room: a row of names, longer on request.

import type { User } from "../src/index.ts";
import { nameOf, setColour, shownName } from "./looks.ts";
import { copyOf, part } from "./parts.ts";

/** Names shown before one asks for more. */
const SHOWN_AT_FIRST = 12;

export class People {
  readonly #list: HTMLElement;
  readonly #more: (skip: number) => Promise<readonly User[]>;
  #users: readonly User[] = [];
  #total = 0;
  #shown = SHOWN_AT_FIRST;
  #me: string | null = null;

  /** `more` fetches the members after the first `skip`. */
  constructor(room: HTMLElement, more: (skip: number) => Promise<readonly User[]>) {
    this.#list = part(room, ".people");
    this.#more = more;
  }

  set me(name: string | null) {
    this.#me = name;
    this.#draw();
  }

  /** The first members and how many there are. */
  show(users: readonly User[], total: number): void {
    // Those fetched by hand stay until there are fewer than that.
    this.#users = [...users, ...this.#users.slice(users.length, Math.max(total, users.length))];
    this.#total = Math.max(total, users.length);
    this.#draw();
  }

  #draw(): void {
    const shown = this.#users.slice(0, this.#shown);
    const entries = shown.map((user) => this.#person(nameOf(user)));
    const hidden = this.#total - shown.length;
    if (hidden > 0) entries.push(this.#moreButton(hidden));
    this.#list.replaceChildren(...entries);
    this.#list.hidden = entries.length === 0;
  }

  #person(name: string | null): HTMLElement {
    const entry = copyOf("person-template");
    const shown = name === null ? "No name" : shownName(name);
    setColour(entry, name ?? "");
    entry.title = shown;
    entry.classList.toggle("own", name !== null && name === this.#me);
    entry.classList.toggle("nameless", name === null);
    part(entry, ".name").textContent = shown;
    return entry;
  }

  #moreButton(hidden: number): HTMLElement {
    const entry = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = `${hidden} more`;
    button.addEventListener("click", () => void this.#showMore(button));
    entry.append(button);
    return entry;
  }

  async #showMore(button: HTMLButtonElement): Promise<void> {
    button.disabled = true;
    if (this.#shown >= this.#users.length) {
      const users = await this.#more(this.#users.length).catch(() => []);
      this.#users = [...this.#users, ...users];
    }
    this.#shown = Math.max(this.#users.length, SHOWN_AT_FIRST);
    this.#draw();
  }
}
