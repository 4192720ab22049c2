// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5
import type { Connection } from "./connection.js";
import { type Environment } from "./environment.js";
import { ChatUpError } from "./error.js";
import { type User } from "./wire.js";
export type MembershipState = 
/** No token. */
"anonymous"
/** A token that was not answered yet. */
 | "pending" | "joined"
/** The server refused the token or the join; trying again will not help. */
 | "refused"
/** The server could not answer now; it is asked again. */
 | "failing";
export interface MembershipHandlers {
    changed(): void;
    /** Resolves once the room is received on this connection, so that one's own join is seen. */
    received(connection: Connection): Promise<void>;
    /** The user is a member on this connection. */
    joined(connection: Connection): void;
    banned(ttl_s: number): void;
    /** The user that was is not any more; what it has not said yet must not go out as another's. */
    left(error: ChatUpError): void;
}
export declare class Membership {
    #private;
    constructor(environment: Environment, room: string, jwt: string | null, handlers: MembershipHandlers);
    get state(): MembershipState;
    /** The `_public` part of the token, once the server has accepted it. */
    get user(): User | null;
    /** Why nothing can be said now; null where it can, or may soon. */
    get refusal(): ChatUpError | null;
    /** Resolves with the user once it is a member of the room, on this connection or a later one. */
    authenticate(jwt: string | undefined): Promise<User>;
    /** Leaves the room and forgets the token. Messages are still received. */
    unauthenticate(): Promise<void>;
    /** A connection has opened. Its first call is `auth`, since reading may need it. */
    connected(connection: Connection): void;
    disconnected(): void;
    /** A call was refused because of the token. */
    refused(error: ChatUpError): void;
    /** No connection will come any more. */
    finish(error: ChatUpError): void;
}
