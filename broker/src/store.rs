//! The state of the memory broker and its single steps, without threads or clocks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chatup_core::exchange::{
    Answer, ChannelTail, Event, MemberKey, Operation, Publish, RoomStats, WorkerId, WorkerRecord,
};
use chatup_core::message::{self, Publication, UnixMillis};
use chatup_core::names::{ChannelName, RoomName, TokenId, UserName};
use chatup_core::position::{Epoch, MessageId, Offset, Position};
use chatup_core::refusal::{BanTtl, Refused};
use serde_json::value::RawValue;

use crate::bans::Bans;
use crate::channel::Channel;
use crate::contract::ClientId;
use crate::limits::{CHANNELS_MAX, STORE_BYTES_MAX, WORKER_EXPIRY_MS};
use crate::members::Members;
use crate::viewers::Viewers;

/// What the store keeps.
#[derive(Clone, Copy, Debug)]
pub struct StoreSettings {
    /// Messages a channel keeps, for history and for coming back.
    pub messages_max: usize,
    /// How long a channel without a new message keeps them, in milliseconds.
    pub expire_ms: u64,
    /// Members of a room up to which each coming and going is told; in larger ones only their count.
    pub announced_members_max: u32,
}

/// To whom an event goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// One client.
    Client(ClientId),
    /// All of them.
    Everyone,
}

/// All of it.
pub struct Store {
    settings: StoreSettings,
    channels: HashMap<ChannelName, Channel>,
    /// Channels that nobody has open, the longest silent first: the first to go.
    silent: BTreeSet<(u64, ChannelName)>,
    touches: u64,
    bytes: usize,
    bans: Bans,
    members: Members,
    viewers: Viewers,
    /// With when each was last heard of, in `awake_ms`.
    workers: BTreeMap<WorkerId, (WorkerRecord, u64)>,
    awake_ms: u64,
    claims: HashMap<TokenId, UnixMillis>,
    random: Box<dyn FnMut() -> u128 + Send>,
    out: Vec<(Recipient, Event)>,
}

impl Store {
    /// An empty store; `random` gives 128 random bits.
    #[must_use]
    pub fn new(settings: StoreSettings, random: Box<dyn FnMut() -> u128 + Send>) -> Store {
        Store {
            settings,
            channels: HashMap::new(),
            silent: BTreeSet::new(),
            touches: 0,
            bytes: 0,
            bans: Bans::default(),
            members: Members::default(),
            viewers: Viewers::default(),
            workers: BTreeMap::new(),
            awake_ms: 0,
            claims: HashMap::new(),
            random,
            out: Vec::new(),
        }
    }

    /// Carries an operation out. The events are for [`Store::take_events`].
    pub fn handle(&mut self, client: ClientId, operation: Operation, now: UnixMillis) -> Answer {
        let answer = self.carry_out(client, operation, now);
        self.evict(CHANNELS_MAX, STORE_BYTES_MAX);
        answer
    }

    fn carry_out(&mut self, client: ClientId, operation: Operation, now: UnixMillis) -> Answer {
        match operation {
            Operation::Publish(publish) => self.publish(&publish, now),
            Operation::Join { room, member, name, public } => self.join(&room, member, &name, &public, now),
            Operation::Leave { room, member } => {
                self.leave(&room, member, now);
                Answer::Done
            }
            Operation::Open(channel) => self.open(client, channel, now),
            Operation::Close(channel) => {
                self.close(client, &channel);
                Answer::Done
            }
            Operation::History { channel, messages_max } => {
                let kept = self.channels.get(&channel).map(|channel| channel.messages.iter().rev());
                Answer::History(kept.into_iter().flatten().take(messages_max).cloned().collect())
            }
            Operation::Ban { room, name, until, id } => {
                self.ban(&room, name, until, id, now);
                Answer::Done
            }
            Operation::Unban { room, name } => Answer::Was(self.bans.lift(&room, &name, now)),
            Operation::Bans(room) => Answer::Bans(self.bans.list(&room, now)),
            Operation::Stats { room, skip, limit } => Answer::Stats(self.stats(&room, skip, limit)),
            Operation::Heartbeat(record) => {
                self.workers.insert(record.id, (record, self.awake_ms));
                Answer::Done
            }
            Operation::Retire(worker) => {
                self.retire(worker, now);
                Answer::Done
            }
            Operation::Workers => {
                Answer::Workers(self.workers.values().map(|(record, _)| record.clone()).collect())
            }
            Operation::Viewers { worker, shard, counts } => {
                for (room, count) in counts {
                    self.viewers.set(&room, (worker, shard), count);
                }
                Answer::Done
            }
            Operation::Claim { id, until } => {
                let free = self.claims.get(&id).is_none_or(|until| *until <= now);
                if free {
                    self.claims.insert(id, until);
                }
                Answer::Was(free)
            }
        }
    }

    /// The events of the steps since the last call, in order.
    pub fn take_events(&mut self) -> Vec<(Recipient, Event)> {
        std::mem::take(&mut self.out)
    }

    /// A client no longer exists.
    pub fn disconnect(&mut self, client: ClientId) {
        for (name, channel) in &mut self.channels {
            channel.open_at.retain(|open| *open != client);
            if channel.open_at.is_empty() {
                self.silent.insert((channel.last_touch, name.clone()));
            }
        }
    }

    /// Forgets what has run out. To be called about once a second, with how long the broker has been
    /// awake since the last time: time in which nobody could have been heard of does not count
    /// against workers, nor does a step of the wall clock.
    pub fn sweep(&mut self, now: UnixMillis, awake_ms: u64) {
        self.awake_ms += awake_ms;
        let dead: Vec<WorkerId> = self
            .workers
            .iter()
            .filter(|(_, (_, heard_ms))| heard_ms + WORKER_EXPIRY_MS <= self.awake_ms)
            .map(|(id, _)| *id)
            .collect();
        for worker in dead {
            self.retire(worker, now);
        }
        self.claims.retain(|_, until| *until > now);
        self.bans.sweep(now);
    }

    /// Forgets old messages and channels without any. Looks at every channel: to be called less often.
    pub fn sweep_channels(&mut self, now: UnixMillis) {
        let expire_ms = self.settings.expire_ms;
        let (bytes, silent) = (&mut self.bytes, &mut self.silent);
        self.channels.retain(|name, channel| {
            let before = channel.total_bytes();
            channel.expire_keys(now);
            if channel.last_published.0 + expire_ms <= now.0 {
                channel.keep_only(0);
            }
            *bytes -= before - channel.total_bytes();
            let stays =
                !channel.open_at.is_empty() || !channel.messages.is_empty() || !channel.keys.is_empty();
            if !stays {
                silent.remove(&(channel.last_touch, name.clone()));
            }
            stays
        });
    }

    /// Lets the longest silent channels go that nobody has open, until the bounds hold. Whoever
    /// comes back to one finds a new epoch, and so is told.
    fn evict(&mut self, silent_max: usize, bytes_max: usize) {
        while self.silent.len() > silent_max || self.bytes > bytes_max {
            let Some((_, name)) = self.silent.pop_first() else { return };
            if let Some(channel) = self.channels.remove(&name) {
                self.bytes -= channel.total_bytes();
            }
        }
    }

    fn channel(&mut self, name: &ChannelName, now: UnixMillis) -> &mut Channel {
        let (random, silent) = (&mut self.random, &mut self.silent);
        self.channels.entry(name.clone()).or_insert_with(|| {
            let epoch = Epoch(u64::try_from(random() & u128::from(u64::MAX)).unwrap_or(1));
            let channel = Channel::new(epoch, now);
            silent.insert((channel.last_touch, name.clone()));
            channel
        })
    }

    fn publish(&mut self, publish: &Publish, now: UnixMillis) -> Answer {
        if let Some((room, name)) = &publish.sender
            && let Some(ttl) = self.bans.left(room, name, now)
        {
            return Answer::Refused(Refused::banned(ttl));
        }
        let owner =
            publish.key.clone().map(|key| (publish.sender.as_ref().map(|(_, name)| name.clone()), key));
        if let Some(owner) = &owner {
            let channel = self.channel(&publish.channel, now);
            let before = channel.total_bytes();
            channel.expire_keys(now);
            let (freed, first) = (before - channel.total_bytes(), channel.keys.get(owner).copied());
            self.bytes -= freed;
            if let Some(position) = first {
                return Answer::Published { position, duplicate: true };
            }
        }
        let position = self.append(&publish.channel, publish.id, &publish.payload, now);
        if let Some(owner) = owner {
            let channel = self.channel(&publish.channel, now);
            let before = channel.total_bytes();
            channel.remember(owner, position, now);
            let added = channel.total_bytes() - before;
            self.bytes += added;
        }
        Answer::Published { position, duplicate: false }
    }

    /// Numbers, keeps and publishes.
    fn append(
        &mut self,
        name: &ChannelName,
        id: MessageId,
        payload: &Arc<[u8]>,
        now: UnixMillis,
    ) -> Position {
        let messages_max = self.settings.messages_max;
        self.touches += 1;
        let touch = self.touches;
        // Nothing else could go: the shards that have the channel open keep its log, too.
        let all_open_and_full = self.bytes > STORE_BYTES_MAX && self.silent.is_empty();
        let channel = self.channel(name, now);
        let (last_touch, is_silent) = (channel.last_touch, channel.open_at.is_empty());
        channel.last_touch = touch;
        channel.head = channel.head.next();
        channel.last_published = now;
        let publication = Publication {
            channel: name.clone(),
            epoch: channel.epoch,
            offset: channel.head,
            id,
            payload: Arc::clone(payload),
        };
        let position = Position { epoch: channel.epoch, offset: channel.head, id };
        let before = channel.total_bytes();
        channel.keep(publication.clone(), messages_max);
        if all_open_and_full || message::is_deletion(payload) {
            channel.keep_only(1);
        }
        let after = channel.total_bytes();
        let open_at = channel.open_at.clone();
        self.bytes = self.bytes - before + after;
        if is_silent {
            self.silent.remove(&(last_touch, name.clone()));
            self.silent.insert((touch, name.clone()));
        }
        let events = open_at
            .into_iter()
            .map(|client| (Recipient::Client(client), Event::Published(publication.clone())));
        self.out.extend(events);
        position
    }

    fn open(&mut self, client: ClientId, name: ChannelName, now: UnixMillis) -> Answer {
        let channel = self.channel(&name, now);
        if !channel.open_at.contains(&client) {
            channel.open_at.push(client);
        }
        let (offset, id) = channel.before;
        let last_touch = channel.last_touch;
        let opened = Answer::Opened(ChannelTail {
            before: Position { epoch: channel.epoch, offset, id },
            messages: channel.messages.iter().cloned().collect(),
            channel: name.clone(),
        });
        self.silent.remove(&(last_touch, name));
        opened
    }

    fn close(&mut self, client: ClientId, name: &ChannelName) {
        let Some(channel) = self.channels.get_mut(name) else { return };
        channel.open_at.retain(|open| *open != client);
        if !channel.open_at.is_empty() {
            return;
        }
        if channel.head == Offset::START {
            // Otherwise every name that anybody ever subscribed to would stay.
            self.silent.remove(&(channel.last_touch, name.clone()));
            self.channels.remove(name);
        } else {
            self.silent.insert((channel.last_touch, name.clone()));
        }
    }

    fn ban(
        &mut self,
        room: &RoomName,
        name: UserName,
        until: Option<UnixMillis>,
        id: MessageId,
        now: UnixMillis,
    ) {
        if until.is_some_and(|until| until <= now) {
            return;
        }
        let ttl = until.map_or(BanTtl::FOREVER, |until| BanTtl::left(until.0, now.0));
        self.append(&room.messages(), id, &message::remove_user_messages(&name, id, now), now);
        self.out.push((Recipient::Everyone, Event::Banned { room: room.clone(), name: name.clone(), ttl }));
        self.bans.set(room, name, until);
    }

    fn join(
        &mut self,
        room: &RoomName,
        member: MemberKey,
        name: &UserName,
        public: &Arc<RawValue>,
        now: UnixMillis,
    ) -> Answer {
        let banned = self.bans.left(room, name, now);
        if !self.members.has(room, member) && banned.is_none() {
            self.announce(true, room, public, now);
            self.members.add(room, member, public);
        }
        Answer::Joined(banned)
    }

    fn leave(&mut self, room: &RoomName, member: MemberKey, now: UnixMillis) {
        if let Some(public) = self.members.remove(room, member) {
            self.announce(false, room, &public, now);
        }
    }

    /// Tells of one who comes or goes; in a large room, later, of all who did.
    fn announce(&mut self, joined: bool, room: &RoomName, public: &RawValue, now: UnixMillis) {
        if self.members.count(room) >= self.settings.announced_members_max as usize {
            self.members.changed(room, joined);
            return;
        }
        let id = MessageId::from_random((self.random)());
        let payload = message::membership(joined, public, id, now);
        self.append(&room.events(), id, &payload, now);
    }

    /// Tells of all who came to and left large rooms. To be called about every [`CHANGES_MS`].
    ///
    /// [`CHANGES_MS`]: crate::limits::CHANGES_MS
    pub fn tell_changes(&mut self, now: UnixMillis) {
        for (room, changes) in self.members.take_changes() {
            let members = self.members.count(&room) as u64;
            let id = MessageId::from_random((self.random)());
            let payload = message::members_changed(members, changes.joined, changes.left, id, now);
            self.append(&room.events(), id, &payload, now);
        }
    }

    fn stats(&self, room: &RoomName, skip: usize, limit: usize) -> RoomStats {
        RoomStats {
            viewers: self.viewers.of(room),
            serving: self.viewers.by_worker(room),
            members: self.members.count(room) as u64,
            users: self.members.some(room, skip, limit),
        }
    }

    fn retire(&mut self, worker: WorkerId, now: UnixMillis) {
        self.workers.remove(&worker);
        self.viewers.retire(worker);
        let gone = self.members.of_worker(worker);
        for (room, member) in gone {
            self.leave(&room, member, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::limits::CHANNEL_BYTES_MAX;
    use chatup_core::limits::IDEMPOTENCY_TTL_MS;
    use chatup_core::names::IdempotencyKey;

    use super::*;

    const CLIENT: ClientId = ClientId(0);

    fn store(messages_max: usize) -> Store {
        let mut next = 0;
        let random = move || {
            next += 1;
            next
        };
        Store::new(
            StoreSettings { messages_max, expire_ms: 1_000, announced_members_max: 100 },
            Box::new(random),
        )
    }

    fn publish(key: Option<&str>) -> Operation {
        Operation::Publish(Publish {
            channel: ChannelName::new("m_a").unwrap(),
            sender: Some((RoomName::new("a").unwrap(), UserName::new("bob").unwrap())),
            key: key.map(|key| IdempotencyKey::new(key).unwrap()),
            id: MessageId(7),
            payload: b"{}".as_slice().into(),
        })
    }

    fn outcome(answer: &Answer) -> String {
        match answer {
            Answer::Published { position, duplicate } => format!("{} {duplicate}", position.offset.0),
            Answer::Refused(refused) => {
                format!("{} {:?}", refused.refusal.code(), refused.ttl.map(BanTtl::seconds))
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_ban_ends_to_the_millisecond_and_a_key_is_forgotten_in_time() {
        let mut store = store(10);
        let ban = |until| Operation::Ban {
            room: RoomName::new("a").unwrap(),
            name: UserName::new("bob").unwrap(),
            until,
            id: MessageId(1),
        };
        store.handle(CLIENT, ban(Some(UnixMillis(2_500))), UnixMillis(1_000));
        let last = IDEMPOTENCY_TTL_MS + 2_500;
        // The removal event has taken offset 1.
        let table = [
            (2_499, None, "banned Some(1)"),
            (1_500, Some("k"), "banned Some(1)"),
            (2_500, Some("k"), "2 false"),
            (last - 1, Some("k"), "2 true"),
            (last, Some("k"), "3 false"),
        ];
        for (now, key, expected) in table {
            assert_eq!(outcome(&store.handle(CLIENT, publish(key), UnixMillis(now))), expected, "at {now}");
        }
        store.handle(CLIENT, ban(None), UnixMillis(last));
        assert_eq!(outcome(&store.handle(CLIENT, publish(None), UnixMillis(last))), "banned Some(-1)");
    }

    #[test]
    fn what_has_run_out_is_forgotten_and_a_new_past_has_a_new_epoch() {
        let mut store = store(2);
        for _ in 0..3 {
            store.handle(CLIENT, publish(None), UnixMillis(0));
        }
        let open = Operation::Open(ChannelName::new("m_a").unwrap());
        let Answer::Opened(tail) = store.handle(CLIENT, open.clone(), UnixMillis(0)) else {
            panic!("opened")
        };
        assert_eq!((tail.before.offset, tail.messages.len()), (Offset(1), 2));
        store.sweep_channels(UnixMillis(999));
        let Answer::Opened(same) = store.handle(CLIENT, open.clone(), UnixMillis(999)) else {
            panic!("opened")
        };
        assert_eq!((same.before.epoch, same.messages.len()), (tail.before.epoch, 2));
        store.sweep_channels(UnixMillis(1_000));
        let Answer::Opened(empty) = store.handle(CLIENT, open.clone(), UnixMillis(1_000)) else {
            panic!("opened")
        };
        assert_eq!((empty.before.epoch, empty.before.offset), (tail.before.epoch, Offset(3)));
        store.handle(CLIENT, Operation::Close(ChannelName::new("m_a").unwrap()), UnixMillis(1_000));
        store.sweep_channels(UnixMillis(1_000));
        let Answer::Opened(anew) = store.handle(CLIENT, open, UnixMillis(1_000)) else { panic!("opened") };
        assert_ne!(anew.before.epoch, tail.before.epoch);
    }

    #[test]
    fn what_anybody_can_make_is_bounded_and_the_silent_go_first() {
        let mut store = store(1_000);
        let say = |store: &mut Store, name: &str, size: usize| {
            store.handle(
                CLIENT,
                Operation::Publish(Publish {
                    channel: ChannelName::new(name).unwrap(),
                    sender: None,
                    key: None,
                    id: MessageId(7),
                    payload: vec![b'1'; size].into(),
                }),
                UnixMillis(0),
            )
        };
        for _ in 0..500 {
            say(&mut store, "m_large", 10_000);
        }
        let kept = store.channels[&ChannelName::new("m_large").unwrap()].bytes;
        assert!((CHANNEL_BYTES_MAX - 20_000..=CHANNEL_BYTES_MAX).contains(&kept), "{kept} bytes");
        assert_eq!(store.bytes, kept);
        store.handle(CLIENT, Operation::Open(ChannelName::new("m_open").unwrap()), UnixMillis(0));
        for number in 0..CHANNELS_MAX + 10 {
            say(&mut store, &format!("m_{number}"), 1);
        }
        assert_eq!((store.channels.len(), store.silent.len()), (CHANNELS_MAX + 1, CHANNELS_MAX));
        let has = |name: &str| store.channels.contains_key(name);
        assert_eq!((has("m_open"), has("m_large"), has("m_5"), has("m_50")), (true, false, false, true));
        let counted: usize = store.channels.values().map(Channel::total_bytes).sum();
        assert_eq!(store.bytes, counted);
        store.evict(CHANNELS_MAX, 1);
        assert_eq!((store.channels.len(), store.bytes), (1, 0), "all but the open one");
    }
}
