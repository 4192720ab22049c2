//! One connection of a run: its socket, as far as the shard sees one, and what its client knows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chatup_core::names::{ChannelName, RoomName, UserName};
use chatup_core::position::{Epoch, Position};
use chatup_core::shard::Key;

use crate::support::wire::{self, ServerReader};

/// The shard and the key there.
pub(crate) type ConnectionId = (u16, u64);

/// Somebody who connects, goes and comes back.
pub(crate) struct Person {
    pub(crate) name: UserName,
    pub(crate) token: String,
    /// Its socket takes little, now and then.
    pub(crate) slow: bool,
    /// Calls much more than it reads.
    pub(crate) floods: bool,
    pub(crate) connection: Option<ConnectionId>,
    /// The last message that it has seen of each channel.
    pub(crate) positions: BTreeMap<ChannelName, Position>,
    /// Its texts under a key, for saying them again.
    pub(crate) keyed: Vec<usize>,
    pub(crate) next_call: u64,
}

/// What a channel's position in a `subscribe` is worth.
#[derive(Clone, Debug)]
pub(crate) enum Since {
    Nowhere,
    /// A true one.
    Position(Position),
    /// One that never was.
    Forged(Position),
}

/// A call that waits for its answer.
#[derive(Debug)]
pub(crate) enum Asked {
    Subscribe(Vec<(ChannelName, Since, u64)>),
    Unsubscribe(Vec<ChannelName>),
    Auth,
    Join(RoomName),
    /// The number in the ledger.
    Say(usize),
    Done,
    Leave,
    /// Must be refused with this code.
    Refused(&'static str),
}

/// A subscription, as the client has been told of it.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) epoch: Epoch,
    /// The offset that must come next.
    pub(crate) next: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Head,
    Open,
    Closed,
}

pub(crate) struct Connection {
    pub(crate) person: usize,
    pub(crate) shard: u16,
    pub(crate) key: Key,
    // The socket.
    pub(crate) to_server: Vec<u8>,
    /// Bytes that the socket takes before it is full.
    pub(crate) room: usize,
    pub(crate) blocked: bool,
    /// Nobody is at the other end any more; the shard does not know.
    pub(crate) abandoned: bool,
    /// The shard has given it up.
    pub(crate) dead: bool,
    // The client.
    pub(crate) reader: ServerReader,
    pub(crate) stage: Stage,
    pub(crate) close_sent: bool,
    pub(crate) calls: BTreeMap<u64, Asked>,
    pub(crate) subscriptions: BTreeMap<ChannelName, Subscription>,
    /// Channels that it has or has asked for.
    pub(crate) wanted: BTreeSet<ChannelName>,
    pub(crate) authenticated: bool,
    pub(crate) joined: Option<RoomName>,
    /// Every room that it has asked to join.
    pub(crate) rooms: BTreeSet<RoomName>,
    pub(crate) pings: VecDeque<Vec<u8>>,
}

impl Connection {
    pub(crate) fn new(person: usize, shard: u16, key: Key, room: usize, deflate: bool) -> Connection {
        Connection {
            person,
            shard,
            key,
            to_server: if deflate { wire::upgrade_and_deflate() } else { wire::UPGRADE.into() }.into(),
            room,
            blocked: false,
            abandoned: false,
            dead: false,
            reader: ServerReader::default(),
            stage: Stage::Head,
            close_sent: false,
            calls: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            wanted: BTreeSet::new(),
            authenticated: false,
            joined: None,
            rooms: BTreeSet::new(),
            pings: VecDeque::new(),
        }
    }

    pub(crate) fn id(&self) -> ConnectionId {
        (self.shard, self.key.packed())
    }

    /// Whether its client still takes part.
    pub(crate) fn lives(&self) -> bool {
        !self.abandoned && !self.dead && !self.close_sent && self.stage != Stage::Closed
    }

    /// Nothing is on its way in either direction.
    pub(crate) fn is_quiet(&self) -> bool {
        self.to_server.is_empty() && !self.blocked
    }
}
