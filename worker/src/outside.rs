//! What core asks of the world, answered for one shard: its sockets, the queues to the broker and
//! to the other shards, chance, and questions over HTTP.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chatup_broker::BrokerClient;
use chatup_core::exchange::{Operation, Ticket};
use chatup_core::names::ChannelName;
use chatup_core::refusal::Refusal;
use chatup_core::shard::{Key, Outside, ShardMessage};
use socket2::SockRef;

use crate::queues::{ShardSender, ToShard};
use crate::report::Board;
use crate::settings::StatsFrom;

/// A connection's socket, and which operations of it the ring still has.
pub(crate) struct Socket {
    pub(crate) key: Key,
    pub(crate) descriptor: OwnedFd,
    pub(crate) receiving: bool,
    pub(crate) awaiting_room: bool,
    /// Nothing more will come.
    pub(crate) ended: bool,
    /// Given up: closed and released once the ring has let go of it.
    pub(crate) dead: bool,
}

impl Socket {
    pub(crate) fn is_free(&self) -> bool {
        !self.receiving && !self.awaiting_room
    }
}

/// Descriptors that all shards of the worker may still take for connections. One pool, and not a share
/// for each: the kernel spreads connections by chance, and a shard that got more than its share would
/// turn clients away while there is room.
#[derive(Clone, Debug)]
pub(crate) struct Descriptors(Arc<AtomicU64>);

impl Descriptors {
    pub(crate) fn new(count: u64) -> Descriptors {
        Descriptors(Arc::new(AtomicU64::new(count)))
    }

    /// Whether there was one.
    fn take(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    fn give_back(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The sockets of a shard, by the place of their connection.
pub(crate) struct Sockets {
    table: Vec<Option<Socket>>,
    descriptors: Descriptors,
}

impl Sockets {
    pub(crate) fn new(descriptors: Descriptors) -> Sockets {
        Sockets { table: Vec::new(), descriptors }
    }

    /// Whether there is room for one more; if so it is for this shard.
    pub(crate) fn reserve(&mut self) -> bool {
        self.descriptors.take()
    }

    /// One that was reserved will not come.
    pub(crate) fn give_back(&mut self) {
        self.descriptors.give_back();
    }

    /// One that was reserved.
    pub(crate) fn insert(&mut self, socket: Socket) {
        let index = socket.key.index as usize;
        if self.table.len() <= index {
            self.table.resize_with(index + 1, || None);
        }
        self.table[index] = Some(socket);
    }

    /// Bytes that the table takes.
    pub(crate) fn memory(&self) -> usize {
        self.table.capacity() * size_of::<Option<Socket>>()
    }

    pub(crate) fn remove(&mut self, key: Key) {
        let place = self.table.get_mut(key.index as usize);
        if place.and_then(Option::take).is_some() {
            self.descriptors.give_back();
        }
    }

    /// The socket to which a completion belongs.
    pub(crate) fn by_packed(&mut self, packed: u64) -> Option<&mut Socket> {
        let index = usize::try_from(packed & u64::from(u32::MAX)).ok()?;
        self.table.get_mut(index)?.as_mut().filter(|socket| socket.key.packed() == packed)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Socket> {
        self.table.get_mut(key.index as usize)?.as_mut().filter(|socket| socket.key == key)
    }

    fn descriptor(&self, key: Key) -> Option<BorrowedFd<'_>> {
        let socket = self.table.get(key.index as usize)?.as_ref().filter(|socket| socket.key == key)?;
        Some(socket.descriptor.as_fd())
    }
}

/// The world as one shard sees it.
pub(crate) struct World {
    pub(crate) sockets: Sockets,
    pub(crate) broker: BrokerClient,
    pub(crate) shards: Vec<ShardSender>,
    pub(crate) board: Arc<Board>,
    pub(crate) stats_from: StatsFrom,
    pub(crate) publish_from: StatsFrom,
}

/// Whether an address that a proxy names is one of this machine.
fn is_loopback(address: &str) -> bool {
    address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

impl World {
    /// Whether somebody is among those who may, by its own address. What a proxy says of it is believed
    /// only of one on this machine, and only of the last one: whatever stands before may be made up.
    fn is_among(&self, who: StatsFrom, key: Key, forwarded_for: Option<&str>) -> bool {
        match who {
            StatsFrom::Anyone => true,
            StatsFrom::Nobody => false,
            StatsFrom::Loopback => {
                let peer =
                    self.sockets.descriptor(key).map(|descriptor| SockRef::from(&descriptor).peer_addr());
                let peer = peer.and_then(Result::ok).and_then(|peer| peer.as_socket());
                let here = peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
                let last = forwarded_for.map(|all| all.rsplit(',').next().unwrap_or("").trim());
                here && last.is_none_or(is_loopback)
            }
        }
    }
}

impl Outside for World {
    fn random(&mut self) -> u128 {
        rand::random()
    }

    fn to_broker(&mut self, ticket: Ticket, operation: Operation) -> Result<(), Operation> {
        self.broker.ask(ticket, operation)
    }

    fn to_shard(&mut self, shard: u16, message: ShardMessage) -> Result<(), ShardMessage> {
        let Some(sender) = self.shards.get(usize::from(shard)) else { return Ok(()) };
        sender.offer(ToShard::Shard(message)).map_err(|back| match back {
            ToShard::Shard(message) => message,
            ToShard::Broker(_) | ToShard::Drain => unreachable!("what was put in comes back"),
        })
    }

    fn may_publish(&mut self, key: Key, forwarded_for: Option<&str>) -> bool {
        self.is_among(self.publish_from, key, forwarded_for)
    }

    fn http_get(
        &mut self,
        key: Key,
        path: &str,
        query: &str,
        forwarded_for: Option<&str>,
    ) -> Result<String, Refusal> {
        match path {
            "/health" => Ok(r#"{"status":"ok"}"#.into()),
            "/stats" if self.stats_from == StatsFrom::Nobody => Err(Refusal::NotFound),
            "/stats" if !self.is_among(self.stats_from, key, forwarded_for) => Err(Refusal::ForbiddenAddress),
            "/stats" => {
                // Names need no escaping but for letters beyond ASCII, which curl sends as they are.
                let name = query.split('&').find_map(|part| part.strip_prefix("channel="));
                let channel = name.map(ChannelName::new).transpose().map_err(|_| Refusal::InvalidName)?;
                let shards = u16::try_from(self.shards.len()).unwrap_or(u16::MAX);
                let owner = channel.as_ref().map(|channel| (channel.as_str(), channel.owner(shards)));
                Ok(self.board.stats(owner))
            }
            _ => Err(Refusal::NotFound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(index: u32) -> Socket {
        let descriptor =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("one").into();
        let key = Key { index, generation: 0 };
        Socket { key, descriptor, receiving: false, awaiting_room: false, ended: false, dead: false }
    }

    #[test]
    fn shards_take_descriptors_out_of_one_pool() {
        let pool = Descriptors::new(3);
        let (mut one, mut other) = (Sockets::new(pool.clone()), Sockets::new(pool));
        for index in 0..3 {
            assert!(one.reserve(), "one shard may have all of them");
            one.insert(socket(index));
        }
        assert!(!one.reserve() && !other.reserve());
        one.remove(Key { index: 1, generation: 0 });
        one.remove(Key { index: 1, generation: 0 });
        assert!(other.reserve(), "given back once");
        assert!(!other.reserve());
        other.give_back();
        assert!(one.reserve(), "one that did not come");
    }
}
