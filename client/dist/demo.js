// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5

// demo/demo.ts
import { isRoomName } from "./chatup.js";

// demo/identity.ts
var IdentityStore = class {
  #key;
  constructor(dispatcher2) {
    this.#key = `chatup.token ${dispatcher2}`;
  }
  /** From the fragment `#token=…`, else from this tab's storage. */
  load() {
    const given = takeTokenFromAddress();
    if (given !== null) this.save(given);
    const token = given ?? sessionStorage.getItem(this.#key);
    return token === null ? null : identityOf(token);
  }
  save(token) {
    sessionStorage.setItem(this.#key, token);
  }
  forget() {
    sessionStorage.removeItem(this.#key);
  }
};
function identityOf(token) {
  return { token, name: nameInToken(token) };
}
function takeTokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token")?.trim();
  if (!token) return null;
  history.replaceState(null, "", location.pathname + location.search);
  return token;
}
function nameInToken(token) {
  try {
    const payload = token.split(".")[1] ?? "";
    const bytes = Uint8Array.from(atob(payload.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
    const name = JSON.parse(new TextDecoder().decode(bytes))?._public?.name;
    return typeof name === "string" && name !== "" ? name : null;
  } catch {
    return null;
  }
}
async function givesOutTokens(dispatcher2) {
  try {
    return (await request(dispatcher2, { method: "GET" })).status !== 404;
  } catch {
    return true;
  }
}
async function tokenFor(dispatcher2, name) {
  let response;
  try {
    response = await request(dispatcher2, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name })
    });
  } catch {
    throw new Error("The server cannot be reached. Try again.");
  }
  const body = await response.json().catch(() => null);
  if (response.ok) {
    const token = field(body, "token");
    if (token !== null) return token;
  }
  if (response.status === 404) throw new Error("This server gives out no names. Paste a token.");
  throw new Error(messageIn(body) ?? `The server did not take this name (${response.status}).`);
}
function request(dispatcher2, how) {
  return fetch(`${dispatcher2}/demo/token`, { ...how, credentials: "omit", cache: "no-store" });
}
function messageIn(body) {
  const error = typeof body === "object" && body !== null ? body["error"] : null;
  return typeof error === "string" ? error : field(error, "message") ?? field(body, "message");
}
function field(value, name) {
  if (typeof value !== "object" || value === null) return null;
  const found = value[name];
  return typeof found === "string" && found !== "" ? found : null;
}

// demo/looks.ts
function nameOf({ name }) {
  return name === void 0 || name === "" ? null : name;
}
var INVISIBLE = /[\p{Cc}\u061C\u200B\u200E\u200F\u2028-\u202E\u2060\u2066-\u2069\uFEFF]/gu;
function shownName(name) {
  return name.replace(INVISIBLE, "�");
}
function setColour(element, name) {
  element.style.setProperty("--hue", String(hueOf(name)));
}
function hueOf(name) {
  let hash = 2166136261;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 16777619) >>> 0;
  return hash % 360;
}
var segmenter = new Intl.Segmenter();
function initialOf(name) {
  for (const { segment } of segmenter.segment(name)) return segment.toLocaleUpperCase();
  return "?";
}
var clock = new Intl.DateTimeFormat(void 0, { hour: "2-digit", minute: "2-digit" });
var dayAndClock = new Intl.DateTimeFormat(void 0, {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit"
});
var full = new Intl.DateTimeFormat(void 0, { dateStyle: "full", timeStyle: "medium" });
function showTime(element, unix_s) {
  const date = new Date(unix_s * 1e3);
  if (unix_s <= 0 || Number.isNaN(date.getTime())) return;
  const today = date.toDateString() === (/* @__PURE__ */ new Date()).toDateString();
  element.textContent = (today ? clock : dayAndClock).format(date);
  element.dateTime = date.toISOString();
  element.title = full.format(date);
}
function duration(seconds) {
  const units = [[86400, "day"], [3600, "hour"], [60, "minute"]];
  for (const [size, word] of units) {
    if (seconds >= 2 * size) return `${Math.round(seconds / size)} ${word}s`;
  }
  const whole = Math.ceil(seconds);
  return whole === 1 ? "1 second" : `${whole} seconds`;
}

// demo/parts.ts
function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`index.html has no #${id}`);
  return element;
}
function part(root, selector) {
  const element = root.querySelector(selector);
  if (element === null) throw new Error(`index.html has no ${selector}`);
  return element;
}
function copyOf(templateId) {
  const element = byId(templateId).content.firstElementChild;
  if (element === null) throw new Error(`#${templateId} is empty`);
  return document.importNode(element, true);
}

// demo/room.ts
import { ChatUpError, ChatUpProtocol } from "./chatup.js";

// demo/texts.ts
var STATUS_TEXTS = {
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
  dispatcherError: { text: "Unreachable", tone: "bad" }
};
var ENDED = "The server has ended the connection. Reload the page to try again.";
function banText(ttl_s) {
  return ttl_s < 0 ? "You are banned from this room." : `You are banned from this room for ${duration(ttl_s)}.`;
}
function refusalText(error) {
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
function tokenText(error) {
  return error.code === "token_expired" ? "Your token has expired. Sign out and take a new one." : `The server did not accept who you are: ${error.message}`;
}
function lossOf({ reason, from, to }) {
  const count = from === void 0 || to === void 0 ? null : to - from + 1;
  return { count, beganAnew: reason === "reset" };
}
function together(one, other) {
  const count = one.count === null || other.count === null ? null : one.count + other.count;
  return { count, beganAnew: one.beganAnew || other.beganAnew };
}
function lossText({ count, beganAnew }) {
  if (beganAnew) return "The room began anew; earlier messages may be missing";
  if (count === null) return "Some messages may be missing";
  return count === 1 ? "1 message is missing" : `${count} messages are missing`;
}
function gapText(gap) {
  return lossText(lossOf(gap));
}
function waitOf({ details }) {
  for (const field2 of ["ttw_s", "ttw", "ttl_s"]) {
    const value = details[field2];
    if (typeof value === "number" && Number.isFinite(value) && value >= 0) return value;
  }
  return null;
}

// demo/message-list.ts
var ENTRIES_MAX = 500;
var TOGETHER_S_MAX = 300;
var BACKGROUND_DRAW_MS = 500;
var AT_END_PX = 40;
var MessageList = class {
  #list;
  #jump;
  #jumpText;
  #empty;
  #resize;
  #waiting = [];
  #drawPlanned = false;
  #atEnd = true;
  #unread = 0;
  #me = null;
  /** The last entry, where that is a line about missing messages. */
  #lastLoss = null;
  constructor(room) {
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
  set me(name) {
    this.#me = name;
    for (const entry of this.#entries()) this.#markOwn(entry);
  }
  message({ user, msg, d }) {
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
  event(name, what) {
    const entry = copyOf("line-template");
    setColour(entry, name ?? "");
    part(entry, ".name").textContent = name === null ? "Somebody without a name" : shownName(name);
    part(entry, ".what").textContent = ` ${what}`;
    this.#add(entry);
  }
  /** A line about messages that are missing; the next such line right after it becomes one with it. */
  gap(gap) {
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
  removeAuthor(name) {
    this.#draw();
    for (const entry of this.#entries()) if (entry.dataset["author"] === name) entry.remove();
    let before = null;
    for (const entry of this.#entries()) {
      group(entry, before);
      before = entry;
    }
    this.#empty.hidden = before !== null;
  }
  toEnd() {
    this.#atEnd = true;
    this.#scrollToEnd();
    this.#showUnread(0);
  }
  stop() {
    this.#resize.disconnect();
  }
  #add(entry) {
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
  #draw() {
    this.#drawPlanned = false;
    const entries = this.#waiting;
    if (entries.length === 0) return;
    this.#waiting = [];
    const batch = document.createDocumentFragment();
    let before = this.#list.lastElementChild;
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
  #trim() {
    const surplus = this.#list.childElementCount - ENTRIES_MAX;
    if (surplus <= 0) return;
    for (let removed = 0; removed < surplus; removed += 1) this.#list.firstElementChild?.remove();
    const first = this.#list.firstElementChild;
    if (first !== null) group(first, null);
  }
  #entries() {
    return [...this.#list.children, ...this.#waiting];
  }
  #markOwn(entry) {
    const author = entry.dataset["author"];
    entry.classList.toggle("own", author !== void 0 && author === this.#me);
  }
  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#list;
    this.#atEnd = scrollHeight - scrollTop - clientHeight <= AT_END_PX;
    if (this.#atEnd) this.#showUnread(0);
  }
  #scrollToEnd() {
    this.#list.scrollTop = this.#list.scrollHeight;
  }
  #showUnread(count) {
    this.#unread = count;
    this.#jump.hidden = count === 0;
    this.#jumpText.textContent = count === 1 ? "1 new message" : `${count} new messages`;
  }
};
function group(entry, before) {
  const author = entry.dataset["author"];
  const together2 = before !== null && author !== void 0 && before.dataset["author"] === author && Math.abs(Number(entry.dataset["at"]) - Number(before.dataset["at"])) <= TOGETHER_S_MAX;
  entry.classList.toggle("follows", together2);
}

// demo/notice.ts
var GAP_SHOWN_MS = 1e4;
var Notice = class {
  #element;
  #text;
  #unsent;
  #timer;
  #kind = null;
  constructor(element) {
    this.#element = element;
    this.#text = part(element, "[data-part=notice-text]");
    this.#unsent = part(element, "[data-part=unsent]");
    part(element, "[data-part=forget-unsent]").addEventListener("click", () => this.forgetUnsent());
  }
  ban(ttl_s) {
    clearTimeout(this.#timer);
    if (ttl_s === 0) return this.clear();
    this.#show("ban", banText(ttl_s));
    if (ttl_s < 0) return;
    const left_s = Math.min(ttl_s, 1);
    this.#timer = setTimeout(() => this.ban(Math.max(ttl_s - left_s, 0)), left_s * 1e3);
  }
  refusal(text) {
    if (this.#kind === "ban") return;
    clearTimeout(this.#timer);
    this.#show("refusal", text);
  }
  gap(text) {
    if (this.#kind !== null && this.#kind !== "gap") return;
    clearTimeout(this.#timer);
    this.#show("gap", `${text}.`);
    this.#timer = setTimeout(() => this.clear(), GAP_SHOWN_MS);
  }
  /** A text that has no other place; it stays until it is dismissed. */
  unsent(text) {
    const entry = copyOf("unsent-template");
    part(entry, ".unsent-text").textContent = text;
    part(this.#unsent, "[data-part=unsent-texts]").append(entry);
    this.#unsent.hidden = false;
    this.#showAny();
  }
  forgetUnsent() {
    part(this.#unsent, "[data-part=unsent-texts]").replaceChildren();
    this.#unsent.hidden = true;
    this.#showAny();
  }
  /** Something was sent: refusals and bans are over. */
  clear() {
    clearTimeout(this.#timer);
    this.#show(null, "");
  }
  #show(kind, text) {
    this.#kind = kind;
    this.#element.dataset["kind"] = kind ?? "unsent";
    this.#text.textContent = text;
    this.#text.hidden = kind === null;
    this.#showAny();
  }
  #showAny() {
    this.#element.hidden = this.#kind === null && this.#unsent.hidden;
  }
};

// demo/people.ts
var SHOWN_AT_FIRST = 12;
var People = class {
  #list;
  #more;
  #users = [];
  #total = 0;
  #shown = SHOWN_AT_FIRST;
  #me = null;
  /** `more` fetches the members after the first `skip`. */
  constructor(room, more) {
    this.#list = part(room, ".people");
    this.#more = more;
  }
  set me(name) {
    this.#me = name;
    this.#draw();
  }
  /** The first members and how many there are. */
  show(users, total) {
    this.#users = [...users, ...this.#users.slice(users.length, Math.max(total, users.length))];
    this.#total = Math.max(total, users.length);
    this.#draw();
  }
  #draw() {
    const shown = this.#users.slice(0, this.#shown);
    const entries = shown.map((user) => this.#person(nameOf(user)));
    const hidden = this.#total - shown.length;
    if (hidden > 0) entries.push(this.#moreButton(hidden));
    this.#list.replaceChildren(...entries);
    this.#list.hidden = entries.length === 0;
  }
  #person(name) {
    const entry = copyOf("person-template");
    const shown = name === null ? "No name" : shownName(name);
    setColour(entry, name ?? "");
    entry.title = shown;
    entry.classList.toggle("own", name !== null && name === this.#me);
    entry.classList.toggle("nameless", name === null);
    part(entry, ".name").textContent = shown;
    return entry;
  }
  #moreButton(hidden) {
    const entry = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = `${hidden} more`;
    button.addEventListener("click", () => void this.#showMore(button));
    entry.append(button);
    return entry;
  }
  async #showMore(button) {
    button.disabled = true;
    if (this.#shown >= this.#users.length) {
      const users = await this.#more(this.#users.length).catch(() => []);
      this.#users = [...this.#users, ...users];
    }
    this.#shown = Math.max(this.#users.length, SHOWN_AT_FIRST);
    this.#draw();
  }
};

// demo/room.ts
var MORE_PEOPLE = 50;
var RoomView = class {
  name;
  element = copyOf("room-template");
  #chat;
  #messages;
  #people;
  #notice;
  #status;
  #compose;
  #send;
  #identity = null;
  #sending = 0;
  constructor(dispatcher2, name, removed) {
    this.name = name;
    this.element.dataset["testid"] = `room-${name}`;
    this.element.setAttribute("aria-label", `Room ${name}`);
    part(this.element, ".room-name").textContent = name;
    part(this.element, "[data-part=remove]").addEventListener("click", removed);
    part(this.element, "[data-part=remove]").setAttribute("aria-label", `Close the room ${name}`);
    this.#status = part(this.element, ".status");
    this.#compose = part(this.element, ".compose");
    this.#send = part(this.element, ".send");
    this.#messages = new MessageList(this.element);
    this.#notice = new Notice(part(this.element, ".notice"));
    this.#chat = new ChatUpProtocol({ dispatcherURL: dispatcher2, room: name });
    this.#people = new People(this.element, async (skip) => {
      return (await this.#chat.getUsers({ limit: MORE_PEOPLE, skip })).clients;
    });
    part(this.element, "[data-part=form]").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#say();
    });
    this.#listen();
    this.#showStatus(this.#chat.status);
  }
  /** Connects, as somebody or as a mere viewer. */
  start(identity2) {
    this.identify(identity2);
    this.#chat.init().catch((error) => this.#refused(error));
  }
  identify(identity2) {
    const before = this.#identity;
    this.#identity = identity2;
    this.#notice.clear();
    this.#notice.forgetUnsent();
    this.#showStatus(this.#chat.status);
    if (identity2 !== null) {
      this.#chat.authenticate(identity2.token).catch((error) => {
        if (this.#identity === identity2) this.#refused(error);
      });
    } else if (before !== null) {
      void this.#chat.unauthenticate();
    }
  }
  stop() {
    this.#chat.close();
    this.#messages.stop();
    this.#notice.clear();
    this.element.remove();
  }
  #listen() {
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
      if (gap.channel !== `m_${this.name}`) return;
      this.#messages.gap(gap);
      this.#notice.gap(gapText(gap));
    });
  }
  #event({ ev, user, data }) {
    if (ev === "join") this.#messages.event(nameOf(user), "joined");
    else if (ev === "leave") this.#messages.event(nameOf(user), "left");
    else if (ev === "rmUserMsg" && typeof data === "string") this.#messages.removeAuthor(data);
  }
  #showStatus(status) {
    const { text, tone } = STATUS_TEXTS[status];
    this.#status.textContent = text;
    this.#status.dataset["status"] = status;
    this.#status.dataset["tone"] = tone;
    this.#showMe();
    this.element.dataset["live"] = String(this.#chat.receiving);
    const canSpeak = this.#identity !== null && status !== "authError" && status !== "disconnected";
    this.#compose.disabled = !canSpeak;
    this.#send.disabled = !canSpeak;
    this.#compose.placeholder = canSpeak ? `Message ${this.name}` : status === "disconnected" ? "Not connected" : "Say who you are to speak";
    this.#compose.setAttribute("aria-label", `Message to ${this.name}`);
  }
  /** Own is what bears the token's name; where that cannot be read, the one that the server found in it. */
  #showMe() {
    const known = this.#chat.status === "authenticated" ? this.#chat.user?.name : void 0;
    const name = this.#identity === null ? null : this.#identity.name ?? known ?? null;
    this.#messages.me = name;
    this.#people.me = name;
  }
  /** Both counts and the people are of one answer, else they contradict each other. */
  #counted({ subCount, pubCount, clients }) {
    if (clients === void 0) return;
    const viewers = Math.max(subCount, this.#chat.receiving ? 1 : 0);
    part(this.element, "[data-testid=viewers]").textContent = viewers.toLocaleString();
    part(this.element, "[data-testid=members]").textContent = pubCount.toLocaleString();
    part(this.element, "[data-part=members-word]").textContent = pubCount === 1 ? "member" : "members";
    this.#people.show(clients, pubCount);
  }
  async #say() {
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
      if (this.#compose.value === "") this.#compose.value = text;
      else this.#notice.unsent(text);
    } finally {
      this.#showSending(-1);
    }
  }
  #showSending(change) {
    this.#sending += change;
    this.#send.classList.toggle("sending", this.#sending > 0);
  }
  #refused(error) {
    if (!(error instanceof ChatUpError)) return this.#notice.refusal(String(error));
    if (error.code === "closed") return;
    if (error.code === "banned") return this.#notice.ban(error.ttl_s ?? -1);
    const aboutToken = this.#chat.status === "authError" && this.#identity !== null;
    this.#notice.refusal(aboutToken ? tokenText(error) : refusalText(error));
  }
};

// demo/demo.ts
var ROOMS_MAX = 8;
var DEFAULT_ROOM = "lobby";
var dispatcher = dispatcherAddress();
var store = new IdentityStore(dispatcher);
var rooms = /* @__PURE__ */ new Map();
var identity = null;
var nameForm = byId("name-form");
var nameInput = byId("name-input");
var tokenForm = byId("token-form");
var tokenInput = byId("token-input");
var roomForm = byId("add-room");
var roomInput = byId("room-input");
function dispatcherAddress() {
  const given = new URLSearchParams(location.search).get("dispatcher");
  if (given !== null && /^https?:\/\//.test(given) && URL.canParse(given)) {
    const url = new URL(given);
    return (url.origin + url.pathname).replace(/\/+$/, "");
  }
  return location.origin;
}
function openRoom(name) {
  const open = rooms.get(name);
  if (open !== void 0) return open;
  const room = new RoomView(dispatcher, name, () => closeRoom(name));
  rooms.set(name, room);
  byId("rooms").append(room.element);
  room.start(identity);
  roomsChanged();
  return room;
}
function closeRoom(name) {
  rooms.get(name)?.stop();
  rooms.delete(name);
  roomsChanged();
}
function roomsChanged() {
  byId("no-rooms").hidden = rooms.size > 0;
  const url = new URL(location.href);
  url.searchParams.delete("room");
  for (const name of rooms.keys()) url.searchParams.append("room", name);
  history.replaceState(null, "", url);
}
function become(next) {
  identity = next;
  const avatar = byId("my-avatar");
  const name = next?.name ?? null;
  avatar.hidden = name === null;
  avatar.textContent = name === null ? "" : initialOf(shownName(name));
  setColour(avatar, name ?? "");
  byId("whoami").textContent = next === null ? "Just watching" : name === null ? "With an unreadable token" : shownName(name);
  byId("sign-out").hidden = next === null;
  byId("welcome").hidden = next !== null;
  showIdentityError(null);
  if (next === null) void offerNames();
  for (const room of rooms.values()) room.identify(next);
}
async function offerNames() {
  showNameForm(await givesOutTokens(dispatcher));
}
function showNameForm(shown) {
  nameForm.hidden = !shown;
  byId("welcome-or").hidden = !shown;
}
function showIdentityError(text) {
  const element = byId("identity-error");
  element.hidden = text === null;
  element.textContent = text ?? "";
}
async function takeName() {
  const name = nameInput.value.trim();
  if (name === "") return nameInput.focus();
  nameForm.inert = true;
  try {
    const token = await tokenFor(dispatcher, name);
    nameInput.value = "";
    store.save(token);
    become(identityOf(token));
  } catch (error) {
    showIdentityError(error instanceof Error ? error.message : String(error));
  } finally {
    nameForm.inert = false;
  }
}
function takeToken() {
  const token = tokenInput.value.trim();
  if (token === "") return tokenInput.focus();
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) {
    return showIdentityError("This is no token: it has three parts with dots between.");
  }
  tokenInput.value = "";
  store.save(token);
  become(identityOf(token));
}
function addRoom() {
  const name = roomInput.value.trim();
  if (name === "") return roomInput.focus();
  const problem = !isRoomName(name) ? "A room's name has letters, digits and _ - ~ ! @ $ : + , ; = only." : rooms.size >= ROOMS_MAX && !rooms.has(name) ? `At most ${ROOMS_MAX} rooms at a time.` : "";
  roomInput.setCustomValidity(problem);
  if (!roomInput.reportValidity()) return;
  roomInput.value = "";
  openRoom(name).element.scrollIntoView({ inline: "nearest", block: "nearest" });
}
function onSubmit(form, run) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
}
function start() {
  onSubmit(nameForm, () => void takeName());
  onSubmit(tokenForm, takeToken);
  onSubmit(roomForm, addRoom);
  roomInput.addEventListener("input", () => roomInput.setCustomValidity(""));
  byId("sign-out").addEventListener("click", () => {
    store.forget();
    become(null);
  });
  addEventListener("hashchange", () => {
    if (location.hash.startsWith("#token=")) become(store.load());
  });
  if (dispatcher !== location.origin) {
    const via = byId("via");
    via.hidden = false;
    via.textContent = `via ${new URL(dispatcher).host}`;
  }
  become(store.load());
  const asked = new URLSearchParams(location.search).getAll("room").filter(isRoomName);
  for (const name of new Set(asked.length > 0 ? asked.slice(0, ROOMS_MAX) : [DEFAULT_ROOM])) openRoom(name);
}
start();
