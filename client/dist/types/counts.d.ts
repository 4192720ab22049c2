// built from client/src and client/demo, sources sha256:2c0d122ce08394e9acdd5a1a56ff8dc206726cf426a1eb8a087310c18732e06f
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
