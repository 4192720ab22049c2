// Who the visitor is: a token, from the address's fragment, pasted, or given out
// by the demo server for a name. It is kept for this tab only, and apart for each
// dispatcher: a link that names a foreign one must not be handed this one's token.

export interface Identity {
  readonly token: string;
  /** The name that the token claims; null where it cannot be read here. */
  readonly name: string | null;
}

export class IdentityStore {
  readonly #key: string;

  constructor(dispatcher: string) {
    this.#key = `chatup.token ${dispatcher}`;
  }

  /** From the fragment `#token=…`, else from this tab's storage. */
  load(): Identity | null {
    const given = takeTokenFromAddress();
    if (given !== null) this.save(given);
    const token = given ?? sessionStorage.getItem(this.#key);
    return token === null ? null : identityOf(token);
  }

  save(token: string): void {
    sessionStorage.setItem(this.#key, token);
  }

  forget(): void {
    sessionStorage.removeItem(this.#key);
  }
}

export function identityOf(token: string): Identity {
  return { token, name: nameInToken(token) };
}

/** A token must not stay in the address, where it would be shared with the link. */
function takeTokenFromAddress(): string | null {
  const token = new URLSearchParams(location.hash.slice(1)).get("token")?.trim();
  if (!token) return null;
  history.replaceState(null, "", location.pathname + location.search);
  return token;
}

/**
 * The name that a token claims, to be shown. Nothing is checked here: that is
 * the server's part.
 */
function nameInToken(token: string): string | null {
  try {
    const payload = token.split(".")[1] ?? "";
    const bytes = Uint8Array.from(atob(payload.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
    const name: unknown = JSON.parse(new TextDecoder().decode(bytes))?._public?.name;
    return typeof name === "string" && name !== "" ? name : null;
  } catch {
    return null;
  }
}

/** Whether the server gives out tokens for names; it answers 404 where it does not. */
export async function givesOutTokens(dispatcher: string): Promise<boolean> {
  try {
    return (await request(dispatcher, { method: "GET" })).status !== 404;
  } catch {
    // Not reachable now; the name box says so when it is used.
    return true;
  }
}

/** A token for a name. Throws an Error whose message can be shown. */
export async function tokenFor(dispatcher: string, name: string): Promise<string> {
  let response: Response;
  try {
    response = await request(dispatcher, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name }),
    });
  } catch {
    throw new Error("The server cannot be reached. Try again.");
  }
  const body: unknown = await response.json().catch(() => null);
  if (response.ok) {
    const token = field(body, "token");
    if (token !== null) return token;
  }
  if (response.status === 404) throw new Error("This server gives out no names. Paste a token.");
  throw new Error(messageIn(body) ?? `The server did not take this name (${response.status}).`);
}

function request(dispatcher: string, how: RequestInit): Promise<Response> {
  return fetch(`${dispatcher}/demo/token`, { ...how, credentials: "omit", cache: "no-store" });
}

/** The dispatcher's errors are `{"error": text}` or `{"error": {"message": text}}`. */
function messageIn(body: unknown): string | null {
  const error: unknown = typeof body === "object" && body !== null ? (body as Record<string, unknown>)["error"] : null;
  return typeof error === "string" ? error : (field(error, "message") ?? field(body, "message"));
}

function field(value: unknown, name: string): string | null {
  if (typeof value !== "object" || value === null) return null;
  const found = (value as Record<string, unknown>)[name];
  return typeof found === "string" && found !== "" ? found : null;
}
