// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5
import { type Environment } from "./environment.js";
export interface ChatUpConfiguration {
    /** The dispatcher's base address, e.g. `https://chat.example.org`. */
    readonly dispatcherURL: string;
    readonly room: string;
    /** The user's token. Without one the room is only read. */
    readonly jwt?: string | undefined;
    /** Channels to read beside the room's own. */
    readonly additionalChannels?: readonly string[];
    /** How many of the room's last messages to begin with, 0 to 1,000. Default 50. */
    readonly history?: number;
    /** Milliseconds between two refreshes of the user counts. Default 20,000. */
    readonly userCountRefreshTimeout?: number;
    /** Sockets, HTTP, time and randomness, for tests. */
    readonly environment?: Partial<Environment>;
}
export interface CheckedConfiguration {
    readonly dispatcher: string;
    readonly room: string;
    readonly jwt: string | null;
    readonly channels: readonly string[];
    readonly history: number;
    readonly countRefresh_ms: number;
    readonly environment: Environment;
}
/** Throws a ChatUpError that says what is wrong. */
export declare function checkConfiguration(conf: ChatUpConfiguration): CheckedConfiguration;
