//! The queues between shards and to the broker, with little room now and then: what a shard sees
//! of the world.

use std::collections::{BTreeMap, VecDeque};

use chatup_core::exchange::{Operation, Ticket};
use chatup_core::names::ChannelName;
use chatup_core::position::Offset;
use chatup_core::refusal::Refusal;
use chatup_core::shard::{Key, Outside, ShardMessage};

use crate::model::Broker;
use crate::random::Random;
use crate::record::{Happened, Record};
use crate::settings::Settings;

pub(crate) struct Links {
    /// What shards tell each shard, in order.
    pub(crate) inboxes: Vec<VecDeque<ShardMessage>>,
    broker_queue_max: usize,
    shard_queue_max: usize,
    /// In percent of what would fit.
    full_percent: usize,
    /// The last message of each channel that each shard was handed.
    handed: BTreeMap<(u16, ChannelName), Offset>,
}

impl Links {
    pub(crate) fn new(settings: &Settings) -> Links {
        Links {
            inboxes: (0..settings.shards).map(|_| VecDeque::new()).collect(),
            broker_queue_max: settings.broker_queue_max,
            shard_queue_max: settings.shard_queue_max,
            full_percent: 2,
            handed: BTreeMap::new(),
        }
    }

    /// From here on everything fits.
    pub(crate) fn heal(&mut self) {
        (self.broker_queue_max, self.shard_queue_max, self.full_percent) = (usize::MAX, usize::MAX, 0);
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.inboxes.iter().all(VecDeque::is_empty)
    }
}

/// A shard's way out.
pub(crate) struct Port<'a> {
    pub(crate) from: u16,
    pub(crate) links: &'a mut Links,
    pub(crate) broker: &'a mut Broker,
    pub(crate) random: &'a mut Random,
    pub(crate) record: &'a mut Record,
}

impl Outside for Port<'_> {
    fn random(&mut self) -> u128 {
        self.random.bits128()
    }

    fn to_broker(&mut self, ticket: Ticket, operation: Operation) -> Result<(), Operation> {
        let queue = &mut self.broker.queues[usize::from(self.from)];
        if queue.len() >= self.links.broker_queue_max || self.random.percent(self.links.full_percent) {
            self.record.count(Happened::BrokerQueueFull);
            return Err(operation);
        }
        queue.push_back((ticket, operation));
        Ok(())
    }

    fn to_shard(&mut self, shard: u16, message: ShardMessage) -> Result<(), ShardMessage> {
        assert_ne!(shard, self.from, "a shard needs no queue to itself");
        let queue = &mut self.links.inboxes[usize::from(shard)];
        if queue.len() >= self.links.shard_queue_max || self.random.percent(self.links.full_percent) {
            self.record.count(Happened::ShardQueueFull);
            return Err(message);
        }
        if let ShardMessage::Run { fresh, run, channel } = &message {
            self.record.count(if *fresh { Happened::FreshRun } else { Happened::LaterRun });
            let before = self.links.handed.insert((shard, channel.clone()), run.last());
            assert!(*fresh || before == Some(run.before), "{channel}: a copy is handed nothing twice");
            self.record.note(|| {
                let (before, last) = (run.before.0, run.last().0);
                let from = self.from;
                format!("shard {from} hands {channel} {before}..{last} to shard {shard}, fresh: {fresh}")
            });
        } else {
            self.record.note(|| format!("shard {} tells shard {shard} {message:?}", self.from));
        }
        queue.push_back(message);
        Ok(())
    }

    fn may_publish(&mut self, _: Key, _: Option<&str>) -> bool {
        false
    }

    fn http_get(&mut self, _: Key, _: &str, _: &str, _: Option<&str>) -> Result<String, Refusal> {
        Err(Refusal::NotFound)
    }
}
