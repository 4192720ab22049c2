// The demo page: which rooms are open, and who the visitor is.

import { isRoomName } from "../src/index.ts";
import { givesOutTokens, identityOf, IdentityStore, tokenFor, type Identity } from "./identity.ts";
import { initialOf, setColour, shownName } from "./looks.ts";
import { byId } from "./parts.ts";
import { RoomView } from "./room.ts";

/** Each open room is a connection of its own. */
const ROOMS_MAX = 8;

const DEFAULT_ROOM = "lobby";

const dispatcher = dispatcherAddress();
const store = new IdentityStore(dispatcher);
const rooms = new Map<string, RoomView>();
let identity: Identity | null = null;

const nameForm = byId<HTMLFormElement>("name-form");
const nameInput = byId<HTMLInputElement>("name-input");
const tokenForm = byId<HTMLFormElement>("token-form");
const tokenInput = byId<HTMLInputElement>("token-input");
const roomForm = byId<HTMLFormElement>("add-room");
const roomInput = byId<HTMLInputElement>("room-input");

/** This page's own server, or the one that `?dispatcher=` names. */
function dispatcherAddress(): string {
  const given = new URLSearchParams(location.search).get("dispatcher");
  if (given !== null && /^https?:\/\//.test(given) && URL.canParse(given)) {
    const url = new URL(given);
    return (url.origin + url.pathname).replace(/\/+$/, "");
  }
  return location.origin;
}

function openRoom(name: string): RoomView {
  const open = rooms.get(name);
  if (open !== undefined) return open;
  const room = new RoomView(dispatcher, name, () => closeRoom(name));
  rooms.set(name, room);
  byId("rooms").append(room.element);
  room.start(identity);
  roomsChanged();
  return room;
}

function closeRoom(name: string): void {
  rooms.get(name)?.stop();
  rooms.delete(name);
  roomsChanged();
}

/** The address names the open rooms, so that it can be shared and reloaded. */
function roomsChanged(): void {
  byId("no-rooms").hidden = rooms.size > 0;
  const url = new URL(location.href);
  url.searchParams.delete("room");
  for (const name of rooms.keys()) url.searchParams.append("room", name);
  history.replaceState(null, "", url);
}

function become(next: Identity | null): void {
  identity = next;
  const avatar = byId("my-avatar");
  const name = next?.name ?? null;
  avatar.hidden = name === null;
  avatar.textContent = name === null ? "" : initialOf(shownName(name));
  setColour(avatar, name ?? "");
  byId("whoami").textContent =
    next === null ? "Just watching" : name === null ? "With an unreadable token" : shownName(name);
  byId("sign-out").hidden = next === null;
  byId("welcome").hidden = next !== null;
  showIdentityError(null);
  if (next === null) void offerNames();
  for (const room of rooms.values()) room.identify(next);
}

/** The name box is there only where the server gives out tokens for names. */
async function offerNames(): Promise<void> {
  showNameForm(await givesOutTokens(dispatcher));
}

function showNameForm(shown: boolean): void {
  nameForm.hidden = !shown;
  byId("welcome-or").hidden = !shown;
}

function showIdentityError(text: string | null): void {
  const element = byId("identity-error");
  element.hidden = text === null;
  element.textContent = text ?? "";
}

async function takeName(): Promise<void> {
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

function takeToken(): void {
  const token = tokenInput.value.trim();
  if (token === "") return tokenInput.focus();
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) {
    return showIdentityError("This is no token: it has three parts with dots between.");
  }
  tokenInput.value = "";
  store.save(token);
  become(identityOf(token));
}

function addRoom(): void {
  const name = roomInput.value.trim();
  if (name === "") return roomInput.focus();
  const problem =
    !isRoomName(name) ? "A room's name has letters, digits and _ - ~ ! @ $ : + , ; = only."
    : rooms.size >= ROOMS_MAX && !rooms.has(name) ? `At most ${ROOMS_MAX} rooms at a time.`
    : "";
  roomInput.setCustomValidity(problem);
  if (!roomInput.reportValidity()) return;
  roomInput.value = "";
  openRoom(name).element.scrollIntoView({ inline: "nearest", block: "nearest" });
}

function onSubmit(form: HTMLFormElement, run: () => void): void {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
}

function start(): void {
  onSubmit(nameForm, () => void takeName());
  onSubmit(tokenForm, takeToken);
  onSubmit(roomForm, addRoom);
  // A message about the last try must not keep the next from being sent.
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
