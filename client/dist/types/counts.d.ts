// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5
import type { Dispatcher, UsersPage } from "./dispatcher.js";
import type { Environment } from "./environment.js";
export declare class CountRefresher {
    #private;
    constructor(environment: Environment, dispatcher: Dispatcher, interval_ms: number, refreshed: (page: UsersPage) => void);
    /** Begins with one request soon. Again without a stop between does nothing. */
    start(): void;
    stop(): void;
    /** How many viewers the room has, from wherever it was heard. */
    heard(viewers: number): void;
    /** Somebody joined or left. A request already planned serves for this, too. */
    changed(): void;
}
