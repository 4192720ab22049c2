// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5
import { type ChatUpConfiguration } from "./configuration.js";
import type { Gap } from "./cursor.js";
import { type UsersPage } from "./dispatcher.js";
import { type Unsubscribe } from "./listeners.js";
import { type SayReceipt } from "./outbox.js";
import type { Ban, Source, Stats, Status, UserCounts } from "./status.js";
import type { ChatEvent, Message, User } from "./wire.js";
export declare class ChatUpProtocol {
    #private;
    readonly stats: Stats;
    /** Throws a ChatUpError where the configuration is wrong. Nothing is sent before `init`. */
    constructor(conf: ChatUpConfiguration);
    get status(): Status;
    /** Whether the room's messages arrive now. */
    get receiving(): boolean;
    get room(): string;
    /** The public part of the user's token, once the server has accepted it. */
    get user(): User | null;
    /**
     * Connects. Resolves once the room is received; rejects where the server
     * refuses that (after `authenticate` it may still come) or `close` is called.
     */
    init(): Promise<void>;
    /** With a token or the configured one. Resolves with the user once it is a member of the room. */
    authenticate(jwt?: string): Promise<User>;
    /** Leaves the room and forgets the token; the room is still received. */
    unauthenticate(): Promise<void>;
    /**
     * Says something. Resolves when the server has acknowledged it; rejects with
     * the server's error, or `say_timeout` where no answer came in time.
     */
    say(text: string): Promise<SayReceipt>;
    /** Every `on…` answers with a function that takes the handler off again. */
    onMsg(handler: (message: Message, source: Source) => void): Unsubscribe;
    onEv(handler: (event: ChatEvent, source: Source) => void): Unsubscribe;
    onUserCountUpdate(handler: (counts: UserCounts) => void): Unsubscribe;
    onStatusChange(handler: (status: Status) => void): Unsubscribe;
    onBan(handler: (ban: Ban) => void): Unsubscribe;
    /** Messages are missing, and why. */
    onGap(handler: (gap: Gap) => void): Unsubscribe;
    /** A page of the room's members. */
    getUsers({ limit, skip }?: {
        limit?: number | undefined;
        skip?: number | undefined;
    }): Promise<UsersPage>;
    /** Ends everything, for good. What was said and not acknowledged is rejected. */
    close(): void;
}
