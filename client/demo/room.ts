// One room on the page: its connection, and everything that shows it.

import { ChatUpError, ChatUpProtocol, type ChatEvent, type Status, type UserCounts } from "../src/index.ts";
import type { Identity } from "./identity.ts";
import { nameOf } from "./looks.ts";
import { MessageList } from "./message-list.ts";
import { Notice } from "./notice.ts";
import { copyOf, part } from "./parts.ts";
import { People } from "./people.ts";
import { ENDED, gapText, refusalText, STATUS_TEXTS, tokenText } from "./texts.ts";

/** Members asked for at a time beyond the first. */
const MORE_PEOPLE = 50;

export class RoomView {
  readonly name: string;
  readonly element = copyOf("room-template");
  readonly #chat: ChatUpProtocol;
  readonly #messages: MessageList;
  readonly #people: People;
  readonly #notice: Notice;
  readonly #status: HTMLElement;
  readonly #compose: HTMLInputElement;
  readonly #send: HTMLButtonElement;
  #identity: Identity | null = null;
  #sending = 0;

  constructor(dispatcher: string, name: string, removed: () => void) {
    this.name = name;
    this.element.dataset["testid"] = `room-${name}`;
    this.element.setAttribute("aria-label", `Room ${name}`);
    part(this.element, ".room-name").textContent = name;
    part<HTMLElement>(this.element, "[data-part=remove]").addEventListener("click", removed);
    part(this.element, "[data-part=remove]").setAttribute("aria-label", `Close the room ${name}`);
    this.#status = part(this.element, ".status");
    this.#compose = part(this.element, ".compose");
    this.#send = part(this.element, ".send");
    this.#messages = new MessageList(this.element);
    this.#notice = new Notice(part(this.element, ".notice"));
    this.#chat = new ChatUpProtocol({ dispatcherURL: dispatcher, room: name });
    this.#people = new People(this.element, async (skip) => {
      return (await this.#chat.getUsers({ limit: MORE_PEOPLE, skip })).clients;
    });
    part<HTMLFormElement>(this.element, "[data-part=form]").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#say();
    });
    this.#listen();
    this.#showStatus(this.#chat.status);
  }

  /** Connects, as somebody or as a mere viewer. */
  start(identity: Identity | null): void {
    this.identify(identity);
    this.#chat.init().catch((error: unknown) => this.#refused(error));
  }

  identify(identity: Identity | null): void {
    const before = this.#identity;
    this.#identity = identity;
    this.#notice.clear();
    this.#notice.forgetUnsent();
    this.#showStatus(this.#chat.status);
    if (identity !== null) {
      this.#chat.authenticate(identity.token).catch((error: unknown) => {
        if (this.#identity === identity) this.#refused(error);
      });
    } else if (before !== null) {
      void this.#chat.unauthenticate();
    }
  }

  stop(): void {
    this.#chat.close();
    this.#messages.stop();
    this.#notice.clear();
    this.element.remove();
  }

  #listen(): void {
    const chat = this.#chat;
    chat.onMsg((message) => this.#messages.message(message));
    chat.onEv((event) => this.#event(event));
    chat.onStatusChange((status) => {
      this.#showStatus(status);
      if (status === "disconnected") this.#notice.refusal(ENDED);
    });
    chat.onUserCountUpdate((counts) => this.#counted(counts));
    chat.onBan(({ ttl_s }) => this.#notice.ban(ttl_s));
    chat.onGap((gap) => {
      // Of the other channel only joins and leaves are missing; the counts say who is here.
      if (gap.channel !== `m_${this.name}`) return;
      this.#messages.gap(gap);
      this.#notice.gap(gapText(gap));
    });
  }

  #event({ ev, user, data }: ChatEvent): void {
    if (ev === "join") this.#messages.event(nameOf(user), "joined");
    else if (ev === "leave") this.#messages.event(nameOf(user), "left");
    else if (ev === "rmUserMsg" && typeof data === "string") this.#messages.removeAuthor(data);
  }

  #showStatus(status: Status): void {
    const { text, tone } = STATUS_TEXTS[status];
    this.#status.textContent = text;
    this.#status.dataset["status"] = status;
    this.#status.dataset["tone"] = tone;
    this.#showMe();
    this.element.dataset["live"] = String(this.#chat.receiving);
    const canSpeak = this.#identity !== null && status !== "authError" && status !== "disconnected";
    this.#compose.disabled = !canSpeak;
    this.#send.disabled = !canSpeak;
    this.#compose.placeholder =
      canSpeak ? `Message ${this.name}`
      : status === "disconnected" ? "Not connected"
      : "Say who you are to speak";
    this.#compose.setAttribute("aria-label", `Message to ${this.name}`);
  }

  /** Own is what bears the token's name; where that cannot be read, the one that the server found in it. */
  #showMe(): void {
    const known = this.#chat.status === "authenticated" ? this.#chat.user?.name : undefined;
    const name = this.#identity === null ? null : (this.#identity.name ?? known ?? null);
    this.#messages.me = name;
    this.#people.me = name;
  }

  /** Both counts and the people are of one answer, else they contradict each other. */
  #counted({ subCount, pubCount, clients }: UserCounts): void {
    if (clients === undefined) return;
    // The dispatcher's picture may be older than this very connection.
    const viewers = Math.max(subCount, this.#chat.receiving ? 1 : 0);
    part(this.element, "[data-testid=viewers]").textContent = viewers.toLocaleString();
    part(this.element, "[data-testid=members]").textContent = pubCount.toLocaleString();
    part(this.element, "[data-part=members-word]").textContent = pubCount === 1 ? "member" : "members";
    this.#people.show(clients, pubCount);
  }

  async #say(): Promise<void> {
    const text = this.#compose.value;
    if (text.trim() === "") return;
    this.#compose.value = "";
    this.#messages.toEnd();
    this.#showSending(1);
    try {
      await this.#chat.say(text);
      this.#notice.clear();
    } catch (error) {
      this.#refused(error);
      // The text is given back; where something else was begun meanwhile, beside it.
      if (this.#compose.value === "") this.#compose.value = text;
      else this.#notice.unsent(text);
    } finally {
      this.#showSending(-1);
    }
  }

  #showSending(change: number): void {
    this.#sending += change;
    this.#send.classList.toggle("sending", this.#sending > 0);
  }

  #refused(error: unknown): void {
    if (!(error instanceof ChatUpError)) return this.#notice.refusal(String(error));
    if (error.code === "closed") return;
    if (error.code === "banned") return this.#notice.ban(error.ttl_s ?? -1);
    const aboutToken = this.#chat.status === "authError" && this.#identity !== null;
    this.#notice.refusal(aboutToken ? tokenText(error) : refusalText(error));
  }
}
