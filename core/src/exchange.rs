//! The words that shards, dispatchers and brokers exchange. What each means, and what a broker
//! promises, stands in the broker crate's contract; here are only the values, so that the shard's
//! decisions need not know that a broker is a thread or a Redis.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::message::{Publication, UnixMillis};
use crate::names::{ChannelName, IdempotencyKey, RoomName, TokenId, UserName};
use crate::position::{MessageId, Position};
use crate::refusal::{BanTtl, Refused};

/// Chosen by whoever asks, carried back with the answer, never looked at between.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Ticket(pub u128);

/// A worker process, told apart from all that ever were.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct WorkerId(pub u128);

impl std::fmt::Display for WorkerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// One membership: of one connection of one worker.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct MemberKey {
    /// The worker.
    pub worker: WorkerId,
    /// The connection, told apart from all that the worker ever had.
    pub connection: u64,
}

/// A message to be given its place.
#[derive(Clone, Debug)]
pub struct Publish {
    /// Where.
    pub channel: ChannelName,
    /// Who says it in which room: banned users are refused. `None` for signed posts.
    pub sender: Option<(RoomName, UserName)>,
    /// Publishes at most once under this key (of this sender, in this channel).
    pub key: Option<IdempotencyKey>,
    /// The message's id.
    pub id: MessageId,
    /// Its finished JSON.
    pub payload: Arc<[u8]>,
}

/// What is asked of a broker.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Check the ban and the key, number, keep and publish, in one step.
    Publish(Publish),
    /// A member comes: announced on `e_R`, unless banned.
    Join {
        /// The room.
        room: RoomName,
        /// Which membership.
        member: MemberKey,
        /// Who.
        name: UserName,
        /// What everybody may know of it.
        public: Arc<RawValue>,
    },
    /// A member goes: announced if its coming was.
    Leave {
        /// The room.
        room: RoomName,
        /// Which membership.
        member: MemberKey,
    },
    /// From now on, hand this client the channel's publications; the answer has its last ones.
    Open(ChannelName),
    /// No longer.
    Close(ChannelName),
    /// The last messages of a channel, newest first.
    History {
        /// The channel.
        channel: ChannelName,
        /// How many at most.
        messages_max: usize,
    },
    /// Ban a user from a room; the event for its messages' removal is published in the same step.
    Ban {
        /// The room.
        room: RoomName,
        /// Who.
        name: UserName,
        /// Until when; for ever without.
        until: Option<UnixMillis>,
        /// The id of the event.
        id: MessageId,
    },
    /// Lift a ban.
    Unban {
        /// The room.
        room: RoomName,
        /// Whose.
        name: UserName,
    },
    /// Who is banned from a room.
    Bans(RoomName),
    /// How many watch and who is in a room.
    Stats {
        /// The room.
        room: RoomName,
        /// Members to leave out at the start.
        skip: usize,
        /// Members to name at most.
        limit: usize,
    },
    /// A worker is alive, and what it carries. Repeated; forgotten after `WORKER_EXPIRY_MS`.
    Heartbeat(WorkerRecord),
    /// A worker ends in order: it and its members and viewers are gone.
    Retire(WorkerId),
    /// The workers alive.
    Workers,
    /// A shard's counts of subscribers that have changed, each in full.
    Viewers {
        /// The worker.
        worker: WorkerId,
        /// The shard.
        shard: u16,
        /// Room and count.
        counts: Vec<(RoomName, u32)>,
    },
    /// Take a token's id: granted once until then.
    Claim {
        /// The `jti`.
        id: TokenId,
        /// Until when it must be remembered.
        until: UnixMillis,
    },
}

/// What a worker tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerRecord {
    /// Which.
    pub id: WorkerId,
    /// The URL under which clients reach it.
    pub host: String,
    /// Connections it has.
    pub connections: u32,
    /// Whether it takes no new ones.
    pub draining: bool,
}

/// The last messages of a channel, and where it is.
#[derive(Clone, Debug)]
pub struct ChannelTail {
    /// The channel.
    pub channel: ChannelName,
    /// The position before the first of `messages`.
    pub before: Position,
    /// Consecutive, oldest first, up to the newest.
    pub messages: Vec<Publication>,
}

/// A ban as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanRecord {
    /// Who.
    pub name: String,
    /// Until when, in Unix milliseconds; for ever without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

/// How a room is doing.
#[derive(Clone, Debug, Default)]
pub struct RoomStats {
    /// Subscribers of its messages.
    pub viewers: u64,
    /// Members.
    pub members: u64,
    /// Some of them, in the order of their coming.
    pub users: Vec<Arc<RawValue>>,
    /// The workers that have viewers of it, as far as is known, each with how many.
    pub serving: Vec<(WorkerId, u64)>,
}

/// What a broker answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Done; nothing to add.
    Done,
    /// To `Publish`.
    Published {
        /// The place of the message.
        position: Position,
        /// Whether it had been published before, under the same key.
        duplicate: bool,
    },
    /// To `Join`: whether one is banned, and for how long still.
    Joined(Option<BanTtl>),
    /// To `Open`.
    Opened(ChannelTail),
    /// To `History`.
    History(Vec<Publication>),
    /// To `Bans`.
    Bans(Vec<BanRecord>),
    /// To `Stats`.
    Stats(RoomStats),
    /// To `Workers`.
    Workers(Vec<WorkerRecord>),
    /// To `Claim` and `Unban`: whether it was so.
    Was(bool),
    /// To anything.
    Refused(Refused),
}

/// What a broker hands its clients.
#[derive(Clone, Debug)]
pub enum Event {
    /// To what was asked.
    Answer(Ticket, Answer),
    /// A message of a channel that this client has open.
    Published(Publication),
    /// A channel that this client has open has lost its place, or its past: it begins anew here.
    Renewed(ChannelTail),
    /// To every client: a user has been banned.
    Banned {
        /// The room.
        room: RoomName,
        /// Who.
        name: UserName,
        /// How long.
        ttl: BanTtl,
    },
}
