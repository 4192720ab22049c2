//! One turn of one shard, as a worker would drive it: what came in, what is due, what goes out.
//! Sends may stay in flight over turns, end short, or find the socket full.

use chatup_core::exchange::Event;
use chatup_core::shard::{AfterSend, Key};

use crate::connection::ConnectionId;
use crate::record::Happened;
use crate::witness::Witness;
use crate::world::World;

impl World {
    pub(crate) fn turn(&mut self, shard: u16) {
        self.take_events(shard);
        self.take_messages(shard);
        let ids: Vec<ConnectionId> =
            self.connections.range((shard, 0)..=(shard, u64::MAX)).map(|(id, _)| *id).collect();
        for id in ids {
            self.receive(id);
            if self.moves(70) {
                self.end_send(id);
            }
            self.free_socket(id);
        }
        if self.moves(80) {
            self.on_shard(shard, |shard, port| shard.tick(port));
        }
        self.on_shard(shard, |shard, port| shard.end_turn(port));
        while let Some(key) = self.shards[usize::from(shard)].take_ready() {
            self.begin_send(shard, key);
        }
        while let Some(key) = self.shards[usize::from(shard)].take_dead() {
            self.let_go(shard, key);
        }
        if self.moves(50) {
            for (room, count) in self.shards[usize::from(shard)].take_viewer_counts() {
                self.viewers.insert((room, shard), count);
            }
        }
    }

    /// Whether something that may take its time happens now.
    fn moves(&mut self, percent: usize) -> bool {
        self.at_full_speed || self.random.percent(percent)
    }

    /// How many of so many things happen now.
    fn some(&mut self, count: usize) -> usize {
        if self.at_full_speed || self.random.percent(50) { count } else { self.random.below(count + 1) }
    }

    fn take_events(&mut self, shard: u16) {
        let waiting = self.broker.inboxes[usize::from(shard)].len();
        for _ in 0..self.some(waiting) {
            let event = self.broker.inboxes[usize::from(shard)].pop_front().unwrap();
            self.record.note(|| match &event {
                Event::Published(one) => format!("shard {shard} hears {} {}", one.channel, one.offset.0),
                other => format!("shard {shard} hears {other:?}"),
            });
            self.on_shard(shard, |shard, port| shard.broker_event(event, port));
        }
    }

    fn take_messages(&mut self, shard: u16) {
        let waiting = self.links.inboxes[usize::from(shard)].len();
        for _ in 0..self.some(waiting) {
            let message = self.links.inboxes[usize::from(shard)].pop_front().unwrap();
            self.on_shard(shard, |shard, port| shard.shard_message(message, port));
        }
    }

    /// What the client has sent, in pieces; or that it is gone.
    fn receive(&mut self, id: ConnectionId) {
        if !self.moves(70) {
            return;
        }
        let (abandoned, waiting) = (self.connections[&id].abandoned, self.connections[&id].to_server.len());
        if abandoned {
            let key = self.connections[&id].key;
            return self.on_shard(id.0, |shard, port| shard.ended(key, port));
        }
        if waiting == 0 {
            return;
        }
        let count = if self.random.percent(70) { waiting } else { self.random.between(1, waiting) };
        if count < waiting {
            self.record.count(Happened::SplitRead);
        }
        let connection = self.connections.get_mut(&id).unwrap();
        let (key, mut bytes) = (connection.key, connection.to_server.drain(..count).collect::<Vec<u8>>());
        if !connection.dead {
            self.on_shard(id.0, |shard, port| shard.received(key, &mut bytes, port));
        }
    }

    fn begin_send(&mut self, shard: u16, key: Key) {
        let id = (shard, key.packed());
        let Some(outgoing) = self.on_shard(shard, |shard, port| shard.begin_send(key, port)) else { return };
        let bytes = self.shards[usize::from(shard)].in_flight(key, <[u8]>::to_vec).expect("bytes in flight");
        assert_eq!(bytes.len(), outgoing.len);
        assert!(!bytes.is_empty(), "nothing is not sent");
        let connection = self.connections.get_mut(&id).expect("a connection that there is");
        assert!(connection.flight.is_none() && !connection.blocked, "one send at a time");
        connection.flight = Some(bytes);
        if self.moves(70) {
            self.end_send(id);
        } else {
            self.record.count(Happened::SendLeftInFlight);
        }
    }

    fn end_send(&mut self, id: ConnectionId) {
        let connection = self.connections.get_mut(&id).unwrap();
        let Some(bytes) = connection.flight.take() else { return };
        let key = connection.key;
        let still = self.shards[usize::from(id.0)].in_flight(key, |now| now == &bytes[..]);
        assert_eq!(still, Some(true), "bytes in flight do not change");
        let mut taken = bytes.len().min(connection.room);
        if !self.at_full_speed && self.random.percent(5) {
            taken = self.random.below(taken + 1);
        }
        if taken < bytes.len() {
            self.record.count(if taken == 0 { Happened::NothingTaken } else { Happened::PartialSend });
        }
        if connection.room != usize::MAX {
            connection.room -= taken;
        }
        let abandoned = connection.abandoned;
        if !abandoned {
            self.give(id, &bytes[..taken]);
        }
        let after = self.on_shard(id.0, |shard, port| shard.sent(key, taken, port));
        let connection = self.connections.get_mut(&id).unwrap();
        connection.blocked = after == AfterSend::WaitWritable;
        assert!(!connection.blocked || taken < bytes.len());
        if connection.dead {
            self.release(id);
        }
    }

    fn give(&mut self, id: ConnectionId, bytes: &[u8]) {
        let connection = self.connections.get_mut(&id).unwrap();
        let mut witness = Witness {
            person: &mut self.people[connection.person],
            connection,
            settings: &self.settings,
            broker: &self.broker,
            ledger: &mut self.ledger,
            random: &mut self.random,
            record: &mut self.record,
        };
        witness.read(bytes);
    }

    fn free_socket(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else { return };
        let (key, full) = (connection.key, connection.room == 0);
        if connection.blocked && !connection.dead && !full && self.moves(60) {
            self.connections.get_mut(&id).unwrap().blocked = false;
            self.shards[usize::from(id.0)].writable(key);
        }
    }

    fn let_go(&mut self, shard: u16, key: Key) {
        let id = (shard, key.packed());
        self.record.note(|| format!("shard {shard} gives {key:?} up"));
        let connection = self.connections.get_mut(&id).expect("given up once");
        connection.dead = true;
        if connection.flight.is_none() {
            self.release(id);
        }
    }

    fn release(&mut self, id: ConnectionId) {
        let connection = self.connections.remove(&id).unwrap();
        self.shards[usize::from(id.0)].release(connection.key);
        let person = &mut self.people[connection.person];
        if person.connection == Some(id) {
            person.connection = None;
        }
    }
}
