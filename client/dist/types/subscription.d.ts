// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5
import type { Connection, Push } from "./connection.js";
import { type Gap, type Received } from "./cursor.js";
import { type ChatUpError } from "./error.js";
/** What the server sends by itself about a channel. */
export type ChannelPush = Exclude<Push, {
    kind: "banned";
}>;
export interface SubscriptionHandlers {
    /** Everything asked for is received from now on. */
    receiving(): void;
    refused(connection: Connection, error: ChatUpError): void;
    missing(gap: Gap): void;
    received(channel: string, received: Received): void;
}
export declare class Subscription {
    #private;
    /** `history`: how many messages to begin with in this one of the channels. */
    constructor(channels: readonly string[], history: {
        readonly channel: string;
        readonly count: number;
    }, handlers: SubscriptionHandlers);
    get receiving(): boolean;
    /** On a connection that has just opened. */
    begin(connection: Connection): void;
    /** The connection is over. */
    end(): void;
    /**
     * Resolves once this connection has answered, for whoever is to be heard by
     * itself. What it refused before is asked for again: by now one may be known.
     */
    settled(connection: Connection): Promise<void>;
    pushed(push: ChannelPush): void;
}
