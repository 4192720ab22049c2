// The one kind of error that the library rejects with: the server's own error
// object, or one of the few that arise here, in the same shape.

/** Codes that this library makes itself; all others are the server's. */
export const LOCAL_CODE = {
  /** `close()` was called. */
  closed: "closed",
  /** `say` without a token, or before one was accepted. */
  notAuthenticated: "not_authenticated",
  /** The message was not acknowledged in time; it may or may not have been published. */
  sayTimeout: "say_timeout",
  /** Too many messages wait for a connection. */
  tooManyQueued: "too_many_queued",
  messageEmpty: "message_empty",
  messageTooLong: "message_too_long",
  invalidName: "invalid_name",
  invalidConfiguration: "invalid_configuration",
  /** A later call of `authenticate` or `unauthenticate` took this one's place. */
  superseded: "superseded",
  /** The connection ended before the answer. Never leaves the library's own code paths. */
  connectionLost: "connection_lost",
  /** The dispatcher has no worker to offer. */
  noWorker: "no_worker",
  /** The dispatcher did not answer, or not as agreed. */
  dispatcherError: "dispatcher_error",
  /** The server closed for a fault that trying again will not mend. */
  connectionRefused: "connection_refused",
} as const;

export class ChatUpError extends Error {
  override readonly name = "ChatUpError";

  /** The refusal's code, as in the protocol's table of refusals. */
  readonly code: string;
  /** Whether the same call may succeed later without a change. */
  readonly retry: boolean;
  /** Every field of the server's error object, e.g. `ttl_s` of a ban. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: string,
    message: string,
    retry: boolean,
    details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
    this.code = code;
    this.retry = retry;
    this.details = details;
  }

  /** Seconds that a ban still lasts (-1: for ever), where the server said so. */
  get ttl_s(): number | undefined {
    const value = this.details["ttl_s"];
    return typeof value === "number" ? value : undefined;
  }

  /** From an answer's `error`, whatever it holds. */
  static fromServer(value: unknown): ChatUpError {
    const details = isRecord(value) ? value : {};
    const code = typeof details["code"] === "string" ? details["code"] : "unknown";
    const message = typeof details["message"] === "string" ? details["message"] : code;
    return new ChatUpError(code, message, details["retry"] === true, details);
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function connectionLost(): ChatUpError {
  return new ChatUpError(LOCAL_CODE.connectionLost, "The connection ended before the answer", true);
}

export function isConnectionLost(error: unknown): boolean {
  return error instanceof ChatUpError && error.code === LOCAL_CODE.connectionLost;
}

/** Anything thrown, as a ChatUpError. */
export function asChatUpError(error: unknown): ChatUpError {
  if (error instanceof ChatUpError) return error;
  return new ChatUpError("unknown", error instanceof Error ? error.message : String(error), false);
}
