//! The broker of a run, which is the model too: what it has published is what has happened, and
//! what clients are given is held against it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use chatup_core::exchange::{Answer, ChannelTail, Event, MemberKey, Operation, Publish, Ticket};
use chatup_core::message::{self, Publication, UnixMillis};
use chatup_core::names::{ChannelName, IdempotencyKey, RoomName, UserName};
use chatup_core::position::{Epoch, MessageId, Offset, Position};
use chatup_core::refusal::{BanTtl, Refusal, Refused};
use serde_json::value::RawValue;

use crate::random::Random;
use crate::record::{Happened, Record};
use crate::settings::Settings;

pub(crate) struct Message {
    pub(crate) id: MessageId,
    pub(crate) payload: Arc<[u8]>,
}

#[derive(Default)]
pub(crate) struct Channel {
    /// Every epoch with all its messages, the current one last. Never forgets.
    pub(crate) pasts: Vec<(Epoch, Vec<Message>)>,
    open_at: BTreeSet<u16>,
    keys: BTreeMap<(UserName, IdempotencyKey), Position>,
}

impl Channel {
    pub(crate) fn epoch(&self) -> Epoch {
        self.pasts.last().unwrap().0
    }

    pub(crate) fn past(&self, epoch: Epoch) -> &[Message] {
        &self.pasts.iter().find(|(one, _)| *one == epoch).expect("an epoch that there was").1
    }

    pub(crate) fn message(&self, epoch: Epoch, offset: u64) -> &Message {
        &self.past(epoch)[usize::try_from(offset).unwrap() - 1]
    }

    pub(crate) fn position(&self, epoch: Epoch, offset: u64) -> Position {
        let id = if offset == 0 { MessageId::NONE } else { self.message(epoch, offset).id };
        Position { epoch, offset: Offset(offset), id }
    }

    pub(crate) fn head(&self) -> Position {
        self.position(self.epoch(), self.past(self.epoch()).len() as u64)
    }
}

#[derive(Default)]
pub(crate) struct Broker {
    pub(crate) channels: BTreeMap<ChannelName, Channel>,
    pub(crate) members: BTreeMap<(RoomName, MemberKey), Arc<RawValue>>,
    bans: BTreeSet<(RoomName, UserName)>,
    /// Whoever was ever banned.
    pub(crate) ever_banned: BTreeSet<(RoomName, UserName)>,
    /// What shards ask, each in its order.
    pub(crate) queues: Vec<VecDeque<(Ticket, Operation)>>,
    /// What they are told, each in its order.
    pub(crate) inboxes: Vec<VecDeque<Event>>,
    lost_percent: usize,
    refused_percent: usize,
    pub(crate) kept_max: usize,
}

impl Broker {
    pub(crate) fn new(settings: &Settings) -> Broker {
        Broker {
            queues: (0..settings.shards).map(|_| VecDeque::new()).collect(),
            inboxes: (0..settings.shards).map(|_| VecDeque::new()).collect(),
            lost_percent: settings.lost_percent,
            refused_percent: settings.refused_percent,
            kept_max: settings.kept_max,
            ..Broker::default()
        }
    }

    /// From here on nothing fails.
    pub(crate) fn heal(&mut self) {
        self.lost_percent = 0;
        self.refused_percent = 0;
    }

    /// Takes one operation of a shard; whether there was one.
    pub(crate) fn work(
        &mut self,
        shard: u16,
        now: UnixMillis,
        random: &mut Random,
        record: &mut Record,
    ) -> bool {
        let Some((ticket, operation)) = self.queues[usize::from(shard)].pop_front() else { return false };
        record.note(|| format!("broker takes of shard {shard}: {operation:?}"));
        let may_fail =
            matches!(operation, Operation::Publish(_) | Operation::Join { .. } | Operation::Open(_));
        if may_fail && random.percent(self.refused_percent) {
            record.count(Happened::BrokerRefused);
            self.tell(shard, ticket, Answer::Refused(Refusal::Unavailable.into()));
            return true;
        }
        match operation {
            Operation::Publish(publish) => self.publish(shard, ticket, publish, random, record),
            Operation::Join { room, member, name, public } => {
                let banned = self.bans.contains(&(room.clone(), name));
                self.tell(shard, ticket, Answer::Joined(banned.then_some(BanTtl::FOREVER)));
                if !banned {
                    self.announce(true, &room, &public, now, random, record);
                    let before = self.members.insert((room, member), public);
                    assert!(before.is_none(), "each membership is told apart");
                }
            }
            Operation::Leave { room, member } => {
                if let Some(public) = self.members.remove(&(room.clone(), member)) {
                    self.announce(false, &room, &public, now, random, record);
                }
                self.tell(shard, ticket, Answer::Done);
            }
            Operation::Open(name) => {
                let kept_max = self.kept_max;
                let channel = self.channel(&name, random);
                if !channel.open_at.insert(shard) {
                    record.count(Happened::ChannelReopened);
                }
                let epoch = channel.epoch();
                let head = channel.past(epoch).len();
                let before = head.saturating_sub(kept_max) as u64;
                let messages =
                    (before + 1..=head as u64).map(|offset| publication(&name, channel, epoch, offset));
                let messages = messages.collect();
                let before = channel.position(epoch, before);
                self.tell(shard, ticket, Answer::Opened(ChannelTail { channel: name, before, messages }));
            }
            Operation::Close(name) => {
                record.count(Happened::ChannelClosed);
                assert!(self.channel(&name, random).open_at.remove(&shard), "closed what was not open");
                self.tell(shard, ticket, Answer::Done);
            }
            other => panic!("a shard does not ask {other:?}"),
        }
        true
    }

    fn tell(&mut self, shard: u16, ticket: Ticket, answer: Answer) {
        self.inboxes[usize::from(shard)].push_back(Event::Answer(ticket, answer));
    }

    fn channel(&mut self, name: &ChannelName, random: &mut Random) -> &mut Channel {
        let channel = self.channels.entry(name.clone()).or_default();
        if channel.pasts.is_empty() {
            channel.pasts.push((Epoch(random.next()), Vec::new()));
        }
        channel
    }

    fn publish(
        &mut self,
        shard: u16,
        ticket: Ticket,
        publish: Publish,
        random: &mut Random,
        record: &mut Record,
    ) {
        let (room, name) = publish.sender.expect("a say has a sender");
        if self.bans.contains(&(room, name.clone())) {
            return self.tell(shard, ticket, Answer::Refused(Refused::banned(BanTtl::FOREVER)));
        }
        let owner = publish.key.map(|key| (name, key));
        let channel = self.channel(&publish.channel, random);
        if let Some(position) = owner.as_ref().and_then(|owner| channel.keys.get(owner)) {
            let position = *position;
            return self.tell(shard, ticket, Answer::Published { position, duplicate: true });
        }
        let answer_first = random.percent(50);
        let head = channel.head().offset.next();
        let position = Position { epoch: channel.epoch(), offset: head, id: publish.id };
        if let Some(owner) = owner {
            channel.keys.insert(owner, position);
        }
        let answer = Answer::Published { position, duplicate: false };
        if answer_first {
            self.tell(shard, ticket, answer.clone());
        }
        self.append(&publish.channel, publish.id, publish.payload, random, record);
        if !answer_first {
            self.tell(shard, ticket, answer);
        }
    }

    fn append(
        &mut self,
        name: &ChannelName,
        id: MessageId,
        payload: Arc<[u8]>,
        random: &mut Random,
        record: &mut Record,
    ) {
        let lost_percent = self.lost_percent;
        let channel = self.channel(name, random);
        channel.pasts.last_mut().unwrap().1.push(Message { id, payload });
        let head = channel.head();
        let publication = publication(name, channel, head.epoch, head.offset.0);
        for shard in channel.open_at.clone() {
            if random.percent(lost_percent) {
                record.count(Happened::PublicationLost);
                record.note(|| format!("{name} {} is lost on its way to shard {shard}", head.offset.0));
            } else {
                self.inboxes[usize::from(shard)].push_back(Event::Published(publication.clone()));
            }
        }
    }

    fn announce(
        &mut self,
        joined: bool,
        room: &RoomName,
        public: &RawValue,
        now: UnixMillis,
        random: &mut Random,
        record: &mut Record,
    ) {
        let id = MessageId::from_random(random.bits128());
        self.append(&room.events(), id, message::membership(joined, public, id, now), random, record);
    }

    /// A message from elsewhere.
    pub(crate) fn post(&mut self, name: &ChannelName, random: &mut Random, record: &mut Record) {
        let id = MessageId::from_random(random.bits128());
        let payload = format!(r#"{{"msg":"{}","i":"{id}"}}"#, "post".repeat(random.below(40) + 1));
        self.append(name, id, payload.into_bytes().into(), random, record);
    }

    /// Bans, or lifts the ban.
    pub(crate) fn ban(
        &mut self,
        room: &RoomName,
        name: &UserName,
        now: UnixMillis,
        random: &mut Random,
        record: &mut Record,
    ) {
        let ban = (room.clone(), name.clone());
        if self.bans.remove(&ban) {
            return;
        }
        self.bans.insert(ban.clone());
        self.ever_banned.insert(ban);
        let id = MessageId::from_random(random.bits128());
        self.append(&room.messages(), id, message::remove_user_messages(name, id, now), random, record);
        for inbox in &mut self.inboxes {
            let (room, name) = (room.clone(), name.clone());
            inbox.push_back(Event::Banned { room, name, ttl: BanTtl::FOREVER });
        }
    }

    /// A channel loses its past: another epoch, of which nobody is told before its next message.
    pub(crate) fn lose_past(&mut self, name: &ChannelName, random: &mut Random, record: &mut Record) {
        record.count(Happened::PastLost);
        record.note(|| format!("{name} loses its past"));
        let channel = self.channel(name, random);
        channel.pasts.push((Epoch(random.next()), Vec::new()));
        channel.keys.clear();
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.queues.iter().all(VecDeque::is_empty) && self.inboxes.iter().all(VecDeque::is_empty)
    }

    pub(crate) fn open_channels(&self) -> usize {
        self.channels.values().map(|channel| channel.open_at.len()).sum()
    }
}

fn publication(name: &ChannelName, channel: &Channel, epoch: Epoch, offset: u64) -> Publication {
    let Message { id, payload } = channel.message(epoch, offset);
    let (channel, payload) = (name.clone(), Arc::clone(payload));
    Publication { channel, epoch, offset: Offset(offset), id: *id, payload }
}

/// Whether a log that is at `head` may have let go of everything up to `before`: never of what is
/// within all three of its bounds.
pub(crate) fn may_be_cut(
    settings: &Settings,
    name: &ChannelName,
    channel: &Channel,
    epoch: Epoch,
    before: u64,
    head: u64,
) -> bool {
    let kept = usize::try_from(head - before).unwrap();
    let messages_max = settings.limits.log_messages_max as usize;
    if before == 0 || kept >= messages_max.min(settings.kept_max) {
        return true;
    }
    let frame = |offset: u64| {
        let payload = channel.message(epoch, offset).payload.len();
        let text = format!(r#"{{"channel":"{name}","offset":{offset},"messages":[]}}"#).len() + payload;
        text + if text < 126 { 2 } else { 4 }
    };
    (before..=head).map(frame).sum::<usize>() > settings.limits.log_bytes_max as usize
}
