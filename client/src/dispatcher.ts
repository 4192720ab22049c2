// The dispatcher's HTTP interface, as far as a page needs it: finding a worker,
// and who is in a room.

import type { Environment, RequestLike, ResponseLike } from "./environment.ts";
import { ChatUpError, isRecord, LOCAL_CODE } from "./error.ts";
import { DISPATCHER_TIMEOUT_MS } from "./limits.ts";
import { webSocketUrl } from "./names.ts";
import { isCount, parseUser, type User } from "./wire.ts";

/** A worker that the dispatcher chose. */
export interface Worker {
  readonly id: string;
  /** The address of its native WebSocket. */
  readonly url: string;
  /** The room's counts, where the answer had them. */
  readonly counts: Counts | null;
}

export interface Counts {
  /** Viewers: connections that read the room. */
  readonly subCount: number;
  /** Members: users that have joined it. */
  readonly pubCount: number;
}

/** A page of a room's members, with the room's counts. */
export interface UsersPage extends Counts {
  readonly limit: number;
  readonly skip: number;
  /** The members' public parts. */
  readonly clients: readonly User[];
}

export class Dispatcher {
  readonly #environment: Environment;
  readonly #base: string;
  readonly #room: string;
  /** Gives up each request that is under way. */
  readonly #underWay = new Set<() => void>();

  /** `base` without a slash at its end. */
  constructor(environment: Environment, base: string, room: string) {
    this.#environment = environment;
    this.#base = base;
    this.#room = room;
  }

  /** Asks for a worker other than the failed one. Rejects with `no_worker` or `dispatcher_error`. */
  async join(failedWorker: string | null): Promise<Worker> {
    const request: RequestLike = { method: "POST" };
    if (failedWorker !== null) {
      request.headers = { "content-type": "application/json" };
      request.body = JSON.stringify({ type: "workerSubConnect", worker: { id: failedWorker } });
    }
    const answer = await this.#ask(`/join/${encodeURIComponent(this.#room)}`, request);
    const { host, id } = answer;
    const url = typeof host === "string" ? webSocketUrl(host) : null;
    if (url === null || typeof id !== "string") throw malformed();
    return { id, url, counts: parseCounts(answer["channel"]) };
  }

  /** The room's counts and a page of its members. */
  async users(limit: number, skip: number): Promise<UsersPage> {
    const query = `limit=${limit}&skip=${skip}`;
    const answer = await this.#ask(`/stats/${encodeURIComponent(this.#room)}?${query}`, { method: "GET" });
    const counts = parseCounts(answer);
    if (counts === null) throw malformed();
    const clients = Array.isArray(answer["clients"]) ? answer["clients"] : [];
    return { ...counts, limit, skip, clients: clients.map(parseUser) };
  }

  /** Gives up every request that is under way; nobody waits for it any more. */
  abandon(): void {
    for (const giveUp of [...this.#underWay]) giveUp();
  }

  /** One request with its time limit, which covers the body, too. */
  async #ask(path: string, request: RequestLike): Promise<Record<string, unknown>> {
    const abort = new AbortController();
    const timer = this.#environment.setTimeout(() => abort.abort(), DISPATCHER_TIMEOUT_MS);
    const giveUp = (): void => {
      this.#environment.clearTimeout(timer);
      abort.abort();
    };
    this.#underWay.add(giveUp);
    let response: ResponseLike;
    let body: unknown = null;
    try {
      response = await this.#environment.fetch(this.#base + path, { ...request, signal: abort.signal });
      if (response.ok) body = await response.json();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new ChatUpError(LOCAL_CODE.dispatcherError, `The dispatcher did not answer: ${why}`, true);
    } finally {
      this.#environment.clearTimeout(timer);
      this.#underWay.delete(giveUp);
    }
    if (response.status === 418) {
      throw new ChatUpError(LOCAL_CODE.noWorker, "No workers available", true);
    }
    if (!response.ok) {
      const status = response.status;
      throw new ChatUpError(LOCAL_CODE.dispatcherError, `The dispatcher answered ${status}`, true, { status });
    }
    if (!isRecord(body)) throw malformed();
    return body;
  }
}

function parseCounts(value: unknown): Counts | null {
  if (!isRecord(value)) return null;
  const { subCount, pubCount } = value;
  return isCount(subCount) && isCount(pubCount) ? { subCount, pubCount } : null;
}

function malformed(): ChatUpError {
  return new ChatUpError(LOCAL_CODE.dispatcherError, "The dispatcher's answer makes no sense", true);
}
