// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5
/** Codes that this library makes itself; all others are the server's. */
export declare const LOCAL_CODE: {
    /** `close()` was called. */
    readonly closed: "closed";
    /** `say` without a token, or before one was accepted. */
    readonly notAuthenticated: "not_authenticated";
    /** The message was not acknowledged in time; it may or may not have been published. */
    readonly sayTimeout: "say_timeout";
    /** Too many messages wait for a connection. */
    readonly tooManyQueued: "too_many_queued";
    readonly messageEmpty: "message_empty";
    readonly messageTooLong: "message_too_long";
    readonly invalidName: "invalid_name";
    readonly invalidConfiguration: "invalid_configuration";
    /** A later call of `authenticate` or `unauthenticate` took this one's place. */
    readonly superseded: "superseded";
    /** The connection ended before the answer. Never leaves the library's own code paths. */
    readonly connectionLost: "connection_lost";
    /** The dispatcher has no worker to offer. */
    readonly noWorker: "no_worker";
    /** The dispatcher did not answer, or not as agreed. */
    readonly dispatcherError: "dispatcher_error";
    /** The server closed for a fault that trying again will not mend. */
    readonly connectionRefused: "connection_refused";
};
export declare class ChatUpError extends Error {
    readonly name = "ChatUpError";
    /** The refusal's code, as in the protocol's table of refusals. */
    readonly code: string;
    /** Whether the same call may succeed later without a change. */
    readonly retry: boolean;
    /** Every field of the server's error object, e.g. `ttl_s` of a ban. */
    readonly details: Readonly<Record<string, unknown>>;
    constructor(code: string, message: string, retry: boolean, details?: Readonly<Record<string, unknown>>);
    /** Seconds that a ban still lasts (-1: for ever), where the server said so. */
    get ttl_s(): number | undefined;
    /** From an answer's `error`, whatever it holds. */
    static fromServer(value: unknown): ChatUpError;
}
export declare function isRecord(value: unknown): value is Record<string, unknown>;
export declare function connectionLost(): ChatUpError;
export declare function isConnectionLost(error: unknown): boolean;
/** Anything thrown, as a ChatUpError. */
export declare function asChatUpError(error: unknown): ChatUpError;
