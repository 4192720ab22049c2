// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5
export { ChatUpProtocol } from "./protocol.js";
export type { Ban, Source, Stats, Status, UserCounts } from "./status.js";
export type { ChatUpConfiguration } from "./configuration.js";
export type { Gap, GapReason } from "./cursor.js";
export type { Counts, UsersPage } from "./dispatcher.js";
export type { Environment, RequestLike, ResponseLike, WebSocketLike } from "./environment.js";
export { ChatUpError } from "./error.js";
export type { Unsubscribe } from "./listeners.js";
export { isChannelName, isRoomName } from "./names.js";
export type { SayReceipt } from "./outbox.js";
export type { ChatEvent, Message, Position, User } from "./wire.js";
