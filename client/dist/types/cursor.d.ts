// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5
import { type Entry, type Position, type Subscribed } from "./wire.js";
/** Why messages are missing. */
export type GapReason = 
/** This client read too slowly; `from` and `to` say what was left out. */
"slow"
/** After a reconnect the server could not promise to have everything. */
 | "not_recovered"
/** The channel lost its past and began anew. */
 | "reset"
/** Offsets were left out without a word. */
 | "hole";
export interface Gap {
    readonly channel: string;
    readonly reason: GapReason;
    /** The first and the last offset missing, where known. */
    readonly from?: number;
    readonly to?: number;
}
/** What to ask for when subscribing. */
export interface SubscribeRequest {
    readonly channel: string;
    readonly position?: Position;
    readonly history?: number;
}
export interface Received {
    readonly offset: number;
    readonly entry: Entry;
}
export declare class Cursor {
    #private;
    readonly channel: string;
    /**
     * `history`: how many of the last messages to ask for, at first and where the
     * server cannot go on from the position; 0 for none.
     */
    constructor(channel: string, history: number);
    get position(): Position | null;
    request(): SubscribeRequest;
    /** Takes a subscription's answer. */
    subscribed(answer: Subscribed): Gap | null;
    /** Takes messages, the first of which has this offset; gives those not seen before. */
    received(offset: number, messages: readonly unknown[]): {
        gap: Gap | null;
        received: Received[];
    };
    /**
     * The server left messages out. The position stays that of the last message
     * seen: whoever comes back with it may yet get them.
     */
    skipped(from: number, to: number): Gap | null;
    /** The channel began a new epoch. */
    reset(position: Position, next: number): Gap;
}
