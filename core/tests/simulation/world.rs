//! A run: shards, the broker and people in one process on virtual time, every step drawn from the
//! seed. What one shard does in a turn is in `turn.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use chatup_core::message::UnixMillis;
use chatup_core::names::{RoomName, UserName};
use chatup_core::shard::{Now, Shard, ShardConfig, SlowSubscriberPolicy};

use crate::client::Client;
use crate::connection::{Connection, ConnectionId, Person, Stage};
use crate::ledger::Ledger;
use crate::links::{Links, Port};
use crate::model::Broker;
use crate::random::Random;
use crate::record::{Happened, Record};
use crate::settings::Settings;
use crate::support::rules::{BEGIN, rules};

/// Turns of all shards after which everything must have come to rest.
const ROUNDS_MAX: usize = 20_000;

pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) random: Random,
    pub(crate) record: Record,
    pub(crate) now_ms: u64,
    pub(crate) shards: Vec<Shard>,
    pub(crate) links: Links,
    pub(crate) broker: Broker,
    pub(crate) people: Vec<Person>,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    pub(crate) ledger: Ledger,
    pub(crate) viewers: BTreeMap<(RoomName, u16), u32>,
    /// Everything that can move does.
    pub(crate) at_full_speed: bool,
}

impl World {
    pub(crate) fn new(seed: u64, tokens: &[(UserName, String)], traced: bool) -> World {
        let mut random = Random::new(seed);
        let settings = Settings::draw(&mut random);
        let shard = |shard| {
            Shard::new(ShardConfig {
                shard,
                shards: settings.shards,
                worker: chatup_core::exchange::WorkerId(7),
                rules: rules(settings.limits.clone()),
                slow_subscribers: settings.slow_subscribers,
                flush_interval_ms: settings.flush_interval_ms,
                services: chatup_core::http_head::Services {
                    origins: chatup_core::origins::Origins::loopback(),
                    deflate: settings.deflate,
                    ..chatup_core::http_head::Services::default()
                },
                shared_store: settings.shared_store,
            })
        };
        let people = (0..settings.people)
            .map(|one| {
                let (name, token) = tokens[one % settings.names].clone();
                let (slow, floods) = (random.percent(35), random.percent(2));
                let (positions, keyed) = (BTreeMap::new(), Vec::new());
                Person { name, token, slow, floods, connection: None, positions, keyed, next_call: 1 }
            })
            .collect();
        World {
            shards: (0..settings.shards).map(shard).collect(),
            links: Links::new(&settings),
            broker: Broker::new(&settings),
            people,
            connections: BTreeMap::new(),
            ledger: Ledger::default(),
            viewers: BTreeMap::new(),
            at_full_speed: false,
            now_ms: 0,
            record: Record::new(traced),
            settings,
            random,
        }
    }

    /// The whole of it.
    pub(crate) fn run(&mut self) {
        for _ in 0..self.settings.steps {
            self.step();
        }
        self.come_to_rest();
        self.check_that_all_have_everything();
        self.end();
    }

    pub(crate) fn unix(&self) -> UnixMillis {
        UnixMillis(BEGIN.0 + self.now_ms)
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now_ms += u64::try_from(time.as_millis()).unwrap();
        let now = Now { mono_ms: self.now_ms, unix: self.unix() };
        self.shards.iter_mut().for_each(|shard| shard.set_time(now));
    }

    pub(crate) fn on_shard<R>(&mut self, shard: u16, act: impl FnOnce(&mut Shard, &mut Port<'_>) -> R) -> R {
        let World { shards, links, broker, random, record, .. } = self;
        act(&mut shards[usize::from(shard)], &mut Port { from: shard, links, broker, random, record })
    }

    fn step(&mut self) {
        let milliseconds = match self.random.below(100) {
            0..90 => self.random.below(30),
            90..98 => self.random.below(900),
            _ => 5_000,
        };
        self.pass(Duration::from_millis(milliseconds as u64));
        for _ in 0..self.random.between(1, 4) {
            self.somebody_acts();
        }
        self.something_happens();
        for _ in 0..self.random.below(8) {
            let shard = self.any_shard();
            let now = self.unix();
            self.broker.work(shard, now, &mut self.random, &mut self.record);
        }
        let shard = self.any_shard();
        self.turn(shard);
    }

    fn any_shard(&mut self) -> u16 {
        u16::try_from(self.random.below(self.shards.len())).unwrap()
    }

    fn somebody_acts(&mut self) {
        let person = self.random.below(self.people.len());
        let Some(id) = self.people[person].connection else { return self.connect(person) };
        let floods = self.people[person].floods && self.random.percent(15);
        let acts = if floods { 600 } else { self.random.between(1, 3) };
        for _ in 0..acts {
            let mut client = self.client(person, id);
            if !client.connection.lives() {
                return;
            }
            if floods {
                client.flood();
            } else {
                client.act();
            }
            if client.connection.abandoned {
                self.people[person].connection = None;
                return;
            }
        }
    }

    fn client(&mut self, person: usize, id: ConnectionId) -> Client<'_> {
        Client {
            connection: self.connections.get_mut(&id).expect("a connection of somebody"),
            person: &mut self.people[person],
            settings: &self.settings,
            broker: &self.broker,
            ledger: &mut self.ledger,
            random: &mut self.random,
            record: &mut self.record,
        }
    }

    fn connect(&mut self, person: usize) {
        let shard = self.any_shard();
        let key = self.shards[usize::from(shard)].accept().expect("there is room for another");
        let slow = self.people[person].slow || self.people[person].floods;
        let room = if slow { self.random.below(3_000) } else { usize::MAX };
        let connection = Connection::new(person, shard, key, room, self.random.percent(40));
        let id = connection.id();
        self.record.note(|| format!("person {person} connects to shard {shard} as {key:?}"));
        self.people[person].connection = Some(id);
        assert!(self.connections.insert(id, connection).is_none(), "keys are not given out twice");
        if self.random.percent(80) {
            self.client(person, id).come_back();
        }
    }

    fn something_happens(&mut self) {
        let channel = self.random.pick(&self.settings.channels);
        let known = self.broker.channels.contains_key(&channel);
        if known && self.random.percent(25) {
            for _ in 0..self.random.between(1, 12) {
                self.broker.post(&channel, &mut self.random, &mut self.record);
            }
        }
        if known && self.random.percent(self.settings.past_lost_percent) {
            self.broker.lose_past(&channel, &mut self.random, &mut self.record);
        }
        if self.random.percent(3) {
            let room = self.random.pick(&self.settings.rooms);
            let name = self.people[self.random.below(self.people.len())].name.clone();
            let now = self.unix();
            self.broker.ban(&room, &name, now, &mut self.random, &mut self.record);
        }
        for connection in self.connections.values_mut() {
            let slow = self.people[connection.person].slow;
            if slow && self.random.percent(20) {
                connection.room += self.random.pick(&[1, 100, 3_000]);
            }
        }
    }

    /// Nothing fails any more, everybody reads: until nothing moves.
    fn come_to_rest(&mut self) {
        self.record.note(|| "nothing fails any more".into());
        self.links.heal();
        self.broker.heal();
        self.at_full_speed = true;
        self.connections.values_mut().for_each(|connection| connection.room = usize::MAX);
        self.settle();
        // Only a later message tells that one was lost, or that a channel has lost its past.
        for channel in self.settings.channels.clone() {
            if self.broker.channels.contains_key(&channel) {
                self.broker.post(&channel, &mut self.random, &mut self.record);
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        let mut quiet_rounds = 0;
        for _ in 0..ROUNDS_MAX {
            for shard in 0..self.settings.shards {
                let now = self.unix();
                while self.broker.work(shard, now, &mut self.random, &mut self.record) {}
                self.turn(shard);
            }
            let window = self.shards.iter().filter_map(Shard::next_flush_ms).min();
            if let Some(ms) = window {
                self.record.count(Happened::FlushWindow);
                self.pass(Duration::from_millis(ms));
            }
            let quiet = window.is_none()
                && self.links.is_quiet()
                && self.broker.is_quiet()
                && self.connections.values().all(Connection::is_quiet)
                && !self.shards.iter().any(Shard::is_behind);
            quiet_rounds = if quiet { quiet_rounds + 1 } else { 0 };
            if quiet_rounds == 2 {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    fn check_that_all_have_everything(&mut self) {
        let mut viewers: BTreeMap<(RoomName, u16), u32> = BTreeMap::new();
        for connection in self.connections.values().filter(|connection| connection.lives()) {
            let person = connection.person;
            assert_eq!(connection.stage, Stage::Open, "person {person}: the upgrade is answered");
            assert!(connection.reader.is_empty(), "person {person}: no frame is left unfinished");
            assert!(connection.calls.is_empty(), "person {person}: no answer to {:?}", connection.calls);
            assert!(connection.pings.is_empty(), "person {person}: no pong to {:?}", connection.pings);
            for (name, subscription) in &connection.subscriptions {
                let head = self.broker.channels[name].head();
                let has = (subscription.epoch, subscription.next - 1);
                assert_eq!(has, (head.epoch, head.offset.0), "person {person} has all of {name}");
                self.record.count(Happened::StillSubscribedAtEnd);
                if let Some(room) = name.room_of_messages() {
                    *viewers.entry((room, connection.shard)).or_default() += 1;
                }
            }
        }
        self.viewers.retain(|_, count| *count > 0);
        assert_eq!(self.viewers, viewers, "the counts of viewers");
        self.ledger.check(&self.broker, &mut self.record);
        let gaps: u64 = self.shards.iter().map(|shard| shard.counters().gaps).sum();
        let told = self.settings.slow_subscribers == SlowSubscriberPolicy::Tell;
        assert!(gaps == 0 || (told && !self.settings.roomy));
    }

    /// Everybody goes; after a while nothing is left of anybody.
    fn end(&mut self) {
        self.connections.values_mut().for_each(|connection| connection.abandoned = true);
        // A copy lingers, and then its owner does.
        for _ in 0..12 {
            self.pass(Duration::from_secs(2));
            self.settle();
        }
        for shard in &self.shards {
            assert_eq!((shard.connections(), shard.channel_counts()), (0, (0, 0)), "nothing is left");
            assert_eq!(shard.counters().subscriptions, 0);
        }
        assert!(self.connections.is_empty());
        assert!(self.viewers.values().all(|count| *count == 0), "{:?}", self.viewers);
        assert!(self.broker.members.is_empty(), "members are left: {:?}", self.broker.members);
        assert_eq!(self.broker.open_channels(), 0, "channels are open at the broker");
    }
}
