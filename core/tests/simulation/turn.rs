//! One turn of one shard, as a worker would drive it: what came in, what is due, what goes out.
//! Sends go in batches; they may be taken short, or find the socket full, and a turn may end with
//! some not begun.

use chatup_core::exchange::Event;
use chatup_core::shard::{AfterSend, Begun, Key};

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
            self.free_socket(id);
        }
        if self.moves(80) {
            self.on_shard(shard, |shard, port| shard.tick(port));
        }
        self.on_shard(shard, |shard, port| shard.end_turn(port));
        self.send(shard);
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

    fn send(&mut self, shard: u16) {
        let batches = if self.at_full_speed { usize::MAX } else { self.random.between(1, 3) };
        for _ in 0..batches {
            if !self.shards[usize::from(shard)].has_ready() {
                return;
            }
            self.send_batch(shard);
        }
        self.record.count(Happened::SendsLeft);
    }

    fn send_batch(&mut self, shard: u16) {
        let sends = if self.at_full_speed { usize::MAX } else { self.random.between(1, 12) };
        let mut batch: Vec<(Begun, Vec<u8>)> = Vec::new();
        while batch.len() < sends
            && let Some(begun) = self.on_shard(shard, |shard, port| shard.next_send(port))
        {
            let read = |flight| self.shards[usize::from(shard)].in_flight(flight, <[u8]>::to_vec);
            let bytes = read(begun.flight).expect("bytes in flight");
            assert_eq!(bytes.len(), begun.outgoing.len);
            assert!(!bytes.is_empty(), "nothing is not sent");
            assert!(batch.iter().all(|(other, _)| other.key != begun.key), "one send at a time");
            batch.push((begun, bytes));
        }
        for (begun, bytes) in batch {
            self.carry_out(shard, &begun, &bytes);
        }
        self.shards[usize::from(shard)].settle();
    }

    fn carry_out(&mut self, shard: u16, begun: &Begun, bytes: &[u8]) {
        let id = (shard, begun.key.packed());
        let still = self.shards[usize::from(shard)].in_flight(begun.flight, |now| now == bytes);
        assert_eq!(still, Some(true), "bytes in flight do not change");
        let connection = self.connections.get_mut(&id).expect("a connection that there is");
        assert!(!connection.blocked && !connection.dead, "a full or dead socket is sent nothing");
        let mut taken = bytes.len().min(connection.room);
        if !self.at_full_speed && self.random.percent(5) {
            taken = self.random.below(taken + 1);
        }
        if connection.room != usize::MAX {
            connection.room -= taken;
        }
        if !connection.abandoned {
            self.give(id, &bytes[..taken]);
        }
        if taken < bytes.len() {
            self.record.count(if taken == 0 { Happened::NothingTaken } else { Happened::PartialSend });
            let after = self.on_shard(shard, |shard, port| shard.taken_short(begun.flight, taken, port));
            self.connections.get_mut(&id).unwrap().blocked = after == AfterSend::WaitWritable;
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
        self.release(id);
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
