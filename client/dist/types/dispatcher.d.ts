// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5
import type { Environment } from "./environment.js";
import { type User } from "./wire.js";
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
export declare class Dispatcher {
    #private;
    /** `base` without a slash at its end. */
    constructor(environment: Environment, base: string, room: string);
    /** Asks for a worker other than the failed one. Rejects with `no_worker` or `dispatcher_error`. */
    join(failedWorker: string | null): Promise<Worker>;
    /** The room's counts and a page of its members. */
    users(limit: number, skip: number): Promise<UsersPage>;
    /** Gives up every request that is under way; nobody waits for it any more. */
    abandon(): void;
}
