// A list of handlers. One that throws is reported and harms nobody else: not
// the other handlers, not the connection that brought the message.

export type Unsubscribe = () => void;

export class Listeners<Arguments extends unknown[]> {
  readonly #handlers = new Set<(...args: Arguments) => void>();

  /** The handler's return value is ignored. Answers with a function that takes it off again. */
  add(handler: (...args: Arguments) => void): Unsubscribe {
    // A wrapper, so that the same function added twice is two entries.
    const entry = (...args: Arguments): void => handler(...args);
    this.#handlers.add(entry);
    return () => {
      this.#handlers.delete(entry);
    };
  }

  emit(...args: Arguments): void {
    // A copy: a handler may take itself or others off.
    for (const handler of [...this.#handlers]) {
      try {
        handler(...args);
      } catch (error) {
        console.error("chatup: a handler threw", error);
      }
    }
  }
}
