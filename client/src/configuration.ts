// What a page configures, checked once.

import { browserEnvironment, type Environment } from "./environment.ts";
import { ChatUpError, LOCAL_CODE } from "./error.ts";
import { CHANNELS_MAX, COUNT_REFRESH_DEFAULT_MS, HISTORY_DEFAULT, HISTORY_MAX } from "./limits.ts";
import { baseUrl, eventsChannel, isChannelName, isRoomName, messagesChannel } from "./names.ts";

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
export function checkConfiguration(conf: ChatUpConfiguration): CheckedConfiguration {
  const dispatcher = baseUrl(conf.dispatcherURL);
  if (dispatcher === null) throw invalid("dispatcherURL must be an http: or https: address");
  if (!isRoomName(conf.room)) throw invalidName(conf.room);
  const channels = [messagesChannel(conf.room), eventsChannel(conf.room)];
  for (const channel of conf.additionalChannels ?? []) {
    if (!isChannelName(channel)) throw invalidName(channel);
    if (!channels.includes(channel)) channels.push(channel);
  }
  if (channels.length > CHANNELS_MAX) throw invalid(`At most ${CHANNELS_MAX} channels`);
  const history = conf.history ?? HISTORY_DEFAULT;
  if (!Number.isInteger(history) || history < 0 || history > HISTORY_MAX) {
    throw invalid(`history must be a whole number from 0 to ${HISTORY_MAX}`);
  }
  const countRefresh_ms = conf.userCountRefreshTimeout ?? COUNT_REFRESH_DEFAULT_MS;
  if (!(countRefresh_ms >= 1_000)) throw invalid("userCountRefreshTimeout must be 1000 ms or more");
  return {
    dispatcher,
    room: conf.room,
    jwt: conf.jwt === undefined || conf.jwt === "" ? null : conf.jwt,
    channels,
    history,
    countRefresh_ms,
    environment: { ...browserEnvironment(), ...conf.environment },
  };
}

function invalid(message: string): ChatUpError {
  return new ChatUpError(LOCAL_CODE.invalidConfiguration, message, false);
}

function invalidName(name: string): ChatUpError {
  return new ChatUpError(LOCAL_CODE.invalidName, `Not a valid name: ${JSON.stringify(name)}`, false);
}
