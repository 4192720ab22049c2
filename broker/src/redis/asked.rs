//! What questions to Redis are for.

use chatup_core::exchange::{MemberKey, Publish, Ticket, WorkerId};
use chatup_core::names::{ChannelName, RoomName};
use redis::Value;
use tokio::sync::oneshot;

use super::keys::Lease;
use super::link::Purpose;
use super::nodes::NodeId;
use crate::contract::ClientId;

/// Who asked the broker.
pub(crate) type Asker = (ClientId, Ticket);

/// What a question is for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A client's operation, answered with what Redis says.
    Client(Asker, Reading),
    /// Whether a sender is banned whose bans are in another slot than what it publishes.
    BanElsewhere(Asker, Box<Publish>),
    /// To subscribe to a topic, of this channel if it is one's, or no longer.
    Subscription(Option<ChannelName>),
    /// A member comes; told to whoever asked.
    Join(Option<Asker>, RoomName, MemberKey),
    /// A member of a worker goes.
    Leave(Option<Asker>, WorkerId, RoomName),
    /// A worker's count of a room's viewers.
    Viewers(WorkerId, RoomName),
    /// A worker has people in a room, under a lease: the room is to be listed.
    Listed(WorkerId, Lease, RoomName),
    /// It has nobody there any more.
    Unlisted(WorkerId, RoomName),
    /// A large room's comings and goings.
    Changes(RoomName),
    /// A worker's heartbeat, under a lease.
    Beat(Option<Asker>, WorkerId, Lease),
    /// Who is alive; told to whoever asked.
    Roster(Option<Asker>),
    /// Which server of the cluster has which slots, by the server with this number.
    Map(NodeId),
    /// A longer piece of work waits for it.
    Task(oneshot::Sender<Value>),
    /// Nobody waits for it.
    Nothing,
}

/// How an answer is read.
#[derive(Clone, Debug)]
pub(crate) enum Reading {
    Published,
    Bans,
    Stats,
    /// Nothing to read: it is done.
    Done,
    Was,
    /// Whether there was something to answer at all.
    Some,
}

impl Purpose for Asked {
    fn is_subscription(&self) -> bool {
        matches!(self, Asked::Subscription(_))
    }
}
