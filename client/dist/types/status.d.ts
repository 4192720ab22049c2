// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5
import type { Counts } from "./dispatcher.js";
import type { User } from "./wire.js";
export type Status = 
/** Not begun, or ended for good. */
"disconnected" | "gettingWorker" | "connecting"
/** Receiving. */
 | "connected"
/** Receiving, and a member of the room. */
 | "authenticated"
/** Receiving where that needs no token; the token was refused. */
 | "authError"
/** The connection could not be made, or broke. */
 | "subConnectError"
/** Receiving; becoming a member failed for now and is tried again. */
 | "pubConnectError"
/** On the way to another worker. */
 | "workerSwitch" | "noWorker" | "dispatcherError";
/** Where a message or an event came from. */
export interface Source {
    readonly channel: string;
    readonly offset: number;
}
export interface UserCounts extends Counts {
    /** The first members, where they came along. */
    readonly clients?: readonly User[];
}
export interface Ban {
    readonly room: string;
    /** Seconds; -1 is for ever. */
    readonly ttl_s: number;
}
export interface Stats {
    msgSent: number;
    msgReceived: number;
    /** Of the last ping, in milliseconds; null before the first. */
    latency: number | null;
    pubCount: number;
    subCount: number;
}
