// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5
/**
 * Exponential back-off with full jitter: evenly distributed between nothing and
 * a bound that doubles, so that a crowd cut off together does not come back
 * together.
 */
export declare function backoffDelayMs(failures: number, random: () => number): number;
/** The hint in a close reason such as `shutting_down retry_after_ms=850`. */
export declare function retryHintMs(closeReason: string): number | null;
export declare class RetryPolicy {
    #private;
    constructor(random: () => number);
    /** The worker to leave out of the next /join, if any. */
    get excludedWorker(): string | null;
    /** The dispatcher did not answer, or not as agreed. */
    dispatcherFailed(): void;
    /**
     * No worker could be had. The one left out is allowed again: it may be the
     * only one, and back by then.
     */
    noWorker(): void;
    /** A connection to this worker could not be made, or broke. */
    workerFailed(worker: string): void;
    /** A worker went away as planned. It is not at fault, but a second time is not the first any more. */
    workerLeft(): void;
    /** A connection has held for a while. */
    stable(): void;
    /** The wait before the next attempt. A hint is already spread by the server, and is taken as it is. */
    delayMs(hint_ms: number | null): number;
}
