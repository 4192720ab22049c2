// Keeps a room's counts fresh: in a steady interval, and soon after somebody
// joined or left, spread in time because every viewer sees that at once.

import type { Dispatcher, UsersPage } from "./dispatcher.ts";
import type { Environment, TimerId } from "./environment.ts";
import {
  COUNT_DEBOUNCE_MS,
  COUNT_SETTLE_MS,
  COUNT_SPREAD_MS_PER_VIEWER,
  USERS_LIMIT_DEFAULT,
} from "./limits.ts";

export class CountRefresher {
  readonly #environment: Environment;
  readonly #dispatcher: Dispatcher;
  readonly #interval_ms: number;
  readonly #refreshed: (page: UsersPage) => void;
  /** The viewers last heard of; they decide how far requests are spread. */
  #viewers = 0;
  #running = false;
  #steadyTimer: TimerId | null = null;
  #soonTimer: TimerId | null = null;
  #settleTimer: TimerId | null = null;
  #asking = false;

  constructor(
    environment: Environment,
    dispatcher: Dispatcher,
    interval_ms: number,
    refreshed: (page: UsersPage) => void,
  ) {
    this.#environment = environment;
    this.#dispatcher = dispatcher;
    this.#interval_ms = interval_ms;
    this.#refreshed = refreshed;
  }

  /** Begins with one request soon. Again without a stop between does nothing. */
  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.changed();
    this.#schedule();
  }

  stop(): void {
    this.#running = false;
    for (const timer of [this.#steadyTimer, this.#soonTimer, this.#settleTimer]) {
      if (timer !== null) this.#environment.clearTimeout(timer);
    }
    this.#steadyTimer = this.#soonTimer = this.#settleTimer = null;
  }

  /** How many viewers the room has, from wherever it was heard. */
  heard(viewers: number): void {
    this.#viewers = viewers;
  }

  /** Somebody joined or left. A request already planned serves for this, too. */
  changed(): void {
    if (!this.#running) return;
    const spread_ms = Math.min(this.#interval_ms, this.#viewers * COUNT_SPREAD_MS_PER_VIEWER);
    const soon_ms = COUNT_DEBOUNCE_MS + this.#environment.random() * spread_ms;
    this.#soonTimer ??= this.#environment.setTimeout(() => {
      this.#soonTimer = null;
      void this.#refresh();
    }, soon_ms);
    // Planned anew by each change: it must come after the last of them.
    if (this.#settleTimer !== null) this.#environment.clearTimeout(this.#settleTimer);
    this.#settleTimer = this.#environment.setTimeout(() => {
      this.#settleTimer = null;
      void this.#refresh();
    }, soon_ms + COUNT_SETTLE_MS);
  }

  #schedule(): void {
    // A fifth more or less, so that those who came together do not ask together for ever.
    const wait_ms = this.#interval_ms * (0.8 + 0.4 * this.#environment.random());
    this.#steadyTimer = this.#environment.setTimeout(() => {
      this.#schedule();
      void this.#refresh();
    }, wait_ms);
  }

  async #refresh(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      const page = await this.#dispatcher.users(USERS_LIMIT_DEFAULT, 0);
      this.#viewers = page.subCount;
      if (this.#running) this.#refreshed(page);
    } catch {
      // Counts are an ornament: the ones shown stay until the next time.
    } finally {
      this.#asking = false;
    }
  }
}
