// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5
export declare function byteLength(text: string): number;
/** Whether the server would take this as a room's name. */
export declare function isRoomName(name: string): boolean;
/** Whether the server would take this as a channel's name. */
export declare function isChannelName(name: string): boolean;
/** The channel of a room's messages. */
export declare function messagesChannel(room: string): string;
/** The channel of a room's joins and leaves. */
export declare function eventsChannel(room: string): string;
/** The dispatcher's base address without a slash at its end; null where it is no HTTP address. */
export declare function baseUrl(address: string): string | null;
/** A worker's `host` to the address of its native WebSocket; null where it is no HTTP address. */
export declare function webSocketUrl(host: string): string | null;
