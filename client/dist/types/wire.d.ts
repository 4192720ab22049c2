// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5
/** Where a reader is in a channel. */
export interface Position {
    readonly epoch: string;
    readonly offset: number;
    readonly id: string;
}
/** The `_public` part of a user's token. */
export interface User {
    readonly name?: string;
    readonly [field: string]: unknown;
}
/** A text that somebody said. */
export interface Message {
    readonly user: User;
    readonly msg: string;
    /** The message's id. */
    readonly i: string;
    /** Unix time, in seconds. */
    readonly d: number;
}
/** Something that happened: `join`, `leave`, `rmUserMsg`, or the application's own. */
export interface ChatEvent {
    readonly user: User;
    readonly ev: string;
    readonly data?: unknown;
    readonly i: string;
    readonly d: number;
}
export type Entry = {
    kind: "message";
    message: Message;
} | {
    kind: "event";
    event: ChatEvent;
};
/** One channel's answer to a subscription. */
export interface Subscribed {
    readonly channel: string;
    readonly position: Position;
    readonly next: number;
    readonly recovered: boolean;
}
export type Frame = {
    kind: "answer";
    id: number;
    ok: Record<string, unknown>;
} | {
    kind: "refusal";
    id: number;
    error: unknown;
} | {
    kind: "messages";
    channel: string;
    offset: number;
    messages: readonly unknown[];
} | {
    kind: "gap";
    channel: string;
    from: number;
    to: number;
} | {
    kind: "reset";
    channel: string;
    position: Position;
    next: number;
} | {
    kind: "banned";
    room: string;
    ttl_s: number;
} | {
    kind: "unknown";
};
/** A server's text frame. What is malformed or not known is `unknown`, as the protocol asks. */
export declare function parseFrame(data: unknown): Frame;
/** The `ttl_s` of an object about a ban; -1 is for ever. */
export declare function parseBanSeconds(value: unknown): number | null;
export declare function parsePosition(value: unknown): Position | null;
/** The answer to a subscription; null unless it holds every channel asked for. */
export declare function parseSubscribed(ok: Record<string, unknown>, asked: readonly string[]): Subscribed[] | null;
/** One of a frame's messages; null where it is neither a message nor an event. */
export declare function parseEntry(value: unknown): Entry | null;
/** A user's public part. A `name` that is no text is left out: whoever shows it may rely on it. */
export declare function parseUser(value: unknown): User;
/** A whole number from 0 that JavaScript holds exactly. */
export declare function isCount(value: unknown): value is number;
