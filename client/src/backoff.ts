// When to come back after a failure, and which worker to leave out. Decides
// only: it holds no timer and opens nothing.

import {
  BACKOFF_CAP_MS,
  BACKOFF_FIRST_MS,
  RETRY_HINT_MS_MAX,
  WORKER_FAILURES_BEFORE_EXCLUSION,
} from "./limits.ts";

/**
 * Exponential back-off with full jitter: evenly distributed between nothing and
 * a bound that doubles, so that a crowd cut off together does not come back
 * together.
 */
export function backoffDelayMs(failures: number, random: () => number): number {
  const exponent = Math.min(Math.max(failures - 1, 0), 30);
  return Math.floor(random() * Math.min(BACKOFF_CAP_MS, BACKOFF_FIRST_MS * 2 ** exponent));
}

/** The hint in a close reason such as `shutting_down retry_after_ms=850`. */
export function retryHintMs(closeReason: string): number | null {
  const match = /(?:^|\s)retry_after_ms=(\d{1,9})(?:\s|$)/.exec(closeReason);
  return match === null ? null : Math.min(Number(match[1]), RETRY_HINT_MS_MAX);
}

export class RetryPolicy {
  readonly #random: () => number;
  #failures = 0;
  #worker: string | null = null;
  #workerFailures = 0;
  #excluded: string | null = null;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** The worker to leave out of the next /join, if any. */
  get excludedWorker(): string | null {
    return this.#excluded;
  }

  /** The dispatcher did not answer, or not as agreed. */
  dispatcherFailed(): void {
    this.#failures += 1;
  }

  /**
   * No worker could be had. The one left out is allowed again: it may be the
   * only one, and back by then.
   */
  noWorker(): void {
    this.#failures += 1;
    this.#forgetWorker();
  }

  /** A connection to this worker could not be made, or broke. */
  workerFailed(worker: string): void {
    this.#failures += 1;
    this.#workerFailures = worker === this.#worker ? this.#workerFailures + 1 : 1;
    this.#worker = worker;
    if (this.#workerFailures >= WORKER_FAILURES_BEFORE_EXCLUSION) this.#excluded = worker;
  }

  /** A worker went away as planned. It is not at fault, but a second time is not the first any more. */
  workerLeft(): void {
    this.#failures += 1;
  }

  /** A connection has held for a while. */
  stable(): void {
    this.#failures = 0;
    this.#forgetWorker();
  }

  /** The wait before the next attempt. A hint is already spread by the server, and is taken as it is. */
  delayMs(hint_ms: number | null): number {
    return hint_ms ?? backoffDelayMs(this.#failures, this.#random);
  }

  #forgetWorker(): void {
    this.#worker = null;
    this.#workerFailures = 0;
    this.#excluded = null;
  }
}
