// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5
/** The part of a WebSocket that is used. The browser's own fits. */
export interface WebSocketLike {
    onopen: ((event: never) => void) | null;
    onmessage: ((event: {
        data: unknown;
    }) => void) | null;
    onclose: ((event: {
        code: number;
        reason: string;
    }) => void) | null;
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
export declare function browserEnvironment(): Environment;
/** A promise with its two ends outside. */
export interface Deferred<T> {
    readonly promise: Promise<T>;
    resolve(value: T): void;
    reject(error: Error): void;
}
export declare function deferred<T>(): Deferred<T>;
