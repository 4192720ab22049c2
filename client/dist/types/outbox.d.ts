// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5
import type { Connection } from "./connection.js";
import { type Environment } from "./environment.js";
import { ChatUpError } from "./error.js";
import { type Position } from "./wire.js";
/** What an acknowledgement says. */
export interface SayReceipt {
    /** The message's place in the room; null where the server named none. */
    readonly position: Position | null;
    /** The message had been published before, by an attempt whose answer was lost. */
    readonly duplicate: boolean;
}
export declare class Outbox {
    #private;
    constructor(environment: Environment, acknowledged: () => void);
    say(text: string): Promise<SayReceipt>;
    /** From now on messages go out by this connection, which has joined the room. */
    start(connection: Connection): void;
    /** No connection for the time being: messages wait. */
    pause(): void;
    /** Gives up everything that waits. */
    rejectAll(error: ChatUpError): void;
}
