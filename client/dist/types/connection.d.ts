// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5
import type { Environment } from "./environment.js";
import { ChatUpError } from "./error.js";
import { type Frame } from "./wire.js";
export declare const SUBPROTOCOL = "chatup.v1";
/** How a connection ended. */
export interface ConnectionEnd {
    /** The WebSocket close code; 1006 where there was none, and for ends decided here. */
    readonly code: number;
    readonly reason: string;
    /** Whether the connection had opened before. */
    readonly opened: boolean;
    /** Whether this side ended it on purpose, to come back at once. */
    readonly renew: boolean;
}
/** What the server sends by itself. */
export type Push = Exclude<Frame, {
    kind: "answer" | "refusal" | "unknown";
}>;
export interface ConnectionHandlers {
    opened(): void;
    pushed(push: Push): void;
    latency(latency_ms: number): void;
}
export declare function isForGood(end: ConnectionEnd): boolean;
/** What becomes of a call: exactly one of the two is called, once. */
export interface AnswerHandlers {
    resolve(ok: Record<string, unknown>): void;
    reject(error: ChatUpError): void;
}
export declare class Connection {
    #private;
    /** Resolves once, when the connection is over, for whatever reason; never rejects. */
    readonly ended: Promise<ConnectionEnd>;
    constructor(environment: Environment, url: string, handlers: ConnectionHandlers);
    get open(): boolean;
    /**
     * Sends a call; the promise has its `ok`, or rejects with the server's error,
     * or with `connection_lost`. A call that is given a limit and outlives it
     * drops the connection, for it then is of no use.
     */
    call(name: string, fields: Record<string, unknown>, timeout_ms: number | null): Promise<Record<string, unknown>>;
    /**
     * A call whose answer is handled before the next frame is: a promise's
     * reaction may come only after several frames that arrived together.
     */
    request(name: string, fields: Record<string, unknown>, timeout_ms: number | null, answer: AnswerHandlers): void;
    /** Ends it properly, for good. */
    close(): void;
    /** Ends it on purpose, to come back at once. */
    renew(): void;
    /** Gives it up as dead or of no use. */
    drop(reason: string): void;
}
