// built from client/src and client/demo, sources sha256:2c0d122ce08394e9acdd5a1a56ff8dc206726cf426a1eb8a087310c18732e06f
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
