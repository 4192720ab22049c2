// What a page may use.

export { ChatUpProtocol } from "./protocol.ts";
export type { Ban, Source, Stats, Status, UserCounts } from "./status.ts";
export type { ChatUpConfiguration } from "./configuration.ts";
export type { Gap, GapReason } from "./cursor.ts";
export type { Counts, UsersPage } from "./dispatcher.ts";
export type { Environment, RequestLike, ResponseLike, WebSocketLike } from "./environment.ts";
export { ChatUpError } from "./error.ts";
export type { Unsubscribe } from "./listeners.ts";
export { isChannelName, isRoomName } from "./names.ts";
export type { SayReceipt } from "./outbox.ts";
export type { ChatEvent, Message, Position, User } from "./wire.ts";
