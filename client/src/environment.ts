// What the library takes from the world around it: sockets, HTTP, time,
// randomness, and word that the network is back. A test hands in its own; a page gets the browser's.

/** The part of a WebSocket that is used. The browser's own fits. */
export interface WebSocketLike {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: ((event: never) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

/** The part of a fetch answer that is used. */
export interface ResponseLike {
  readonly ok: boolean;
  readonly status: number;
  json(): Promise<unknown>;
}

export interface RequestLike {
  method: string;
  headers?: Record<string, string>;
  body?: string;
  signal?: AbortSignal;
}

export type TimerId = unknown;

export interface Environment {
  openWebSocket(url: string, subprotocol: string): WebSocketLike;
  fetch(url: string, request: RequestLike): Promise<ResponseLike>;
  setTimeout(run: () => void, delay_ms: number): TimerId;
  clearTimeout(id: TimerId): void;
  /** Milliseconds on a clock that does not jump. */
  now_ms(): number;
  /** Evenly distributed in [0, 1). */
  random(): number;
  /** Calls `run` whenever the network has come back; answers with a function that ends that. */
  onOnline(run: () => void): () => void;
}

/** The browser's (or Node's) own. */
export function browserEnvironment(): Environment {
  return {
    openWebSocket: (url, subprotocol) => new WebSocket(url, subprotocol) as unknown as WebSocketLike,
    fetch: (url, request) => fetch(url, { ...request, cache: "no-store", credentials: "omit" }),
    setTimeout: (run, delay_ms) => setTimeout(run, delay_ms),
    clearTimeout: (id) => clearTimeout(id as ReturnType<typeof setTimeout>),
    now_ms: () => performance.now(),
    random: () => Math.random(),
    onOnline: (run) => {
      // Only a window or a worker tells of it; elsewhere the wait just takes its time.
      if (typeof globalThis.addEventListener !== "function") return () => undefined;
      addEventListener("online", run);
      return () => removeEventListener("online", run);
    },
  };
}

/** A promise with its two ends outside. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: Error): void;
}

export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
