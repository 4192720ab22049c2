//! What clients ask for, as questions to Redis.

use std::rc::Rc;
use std::time::Instant;

use chatup_core::exchange::{Answer, Event, Operation, Publish, WorkerId, WorkerRecord};
use chatup_core::limits::IDEMPOTENCY_TTL_MS;
use chatup_core::message::{self, UnixMillis};
use chatup_core::names::{RoomName, UserName};
use chatup_core::position::MessageId;
use chatup_core::refusal::Refusal;

use super::answers::Finished;
use super::asked::{Asked, Asker, Reading};
use super::broker::Broker;
use super::desk::{REGISTRY, wall_clock};
use super::fetching;
use super::keys;
use super::people;
use super::presence::Member;
use super::registry::stored;
use super::scripts::Script;
use super::telling::Telling;
use crate::limits::{CLAIM_MS_MAX, REDIS_QUESTIONS_MAX};

impl Broker {
    /// Carries an operation out, as far as that goes without Redis's answer.
    pub(super) fn carry_out(&mut self, asker: Asker, operation: Operation) {
        let tag = tag_of(&operation);
        let waiting = if matches!(operation, Operation::Join { .. }) { self.waiting_tellings } else { 0 };
        let questions = self.nodes.questions(tag) + waiting;
        let refusal = match (self.is_up(tag), questions < REDIS_QUESTIONS_MAX) {
            (true, true) => None,
            (false, _) => Some(Refusal::Unavailable),
            (true, false) => Some(Refusal::Overloaded),
        };
        if let Some(refusal) = refusal.filter(|_| !must_be_told(&operation)) {
            if let (Operation::Retire(worker), Refusal::Unavailable) = (&operation, refusal) {
                // Its people go when its lease runs out.
                self.end(*worker);
            }
            self.answer(asker, Answer::Refused(refusal.into()));
            return;
        }
        match operation {
            Operation::Publish(publish) => self.publish(asker, publish),
            Operation::Open(channel) => {
                self.channels.open(asker.0, asker.1, &channel);
                // Now: a close that follows must come behind it.
                self.ask_channels();
            }
            Operation::Close(channel) => {
                if self.channels.close(asker.0, &channel) {
                    self.unsubscribe(&channel);
                }
                self.answer(asker, Answer::Done);
            }
            Operation::History { channel, messages_max } => {
                let (desk, finished) = (Rc::clone(&self.desk), Rc::clone(&self.finished));
                tokio::task::spawn_local(async move {
                    let history = fetching::history(&desk, &channel, messages_max).await;
                    finished.borrow_mut().push(Finished::History(asker, history.ok()));
                    desk.filled.notify_one();
                });
            }
            Operation::Ban { room, name, until, id } => self.ban(asker, &room, &name, until, id),
            Operation::Unban { room, name } => {
                let mut cmd = self.desk.script(Script::Unban, &[&self.desk.keys.bans(&room)]);
                cmd.arg(name.as_str());
                self.desk.ask(room.as_str(), cmd, Asked::Client(asker, Reading::Was));
            }
            Operation::Bans(room) => {
                let cmd = self.desk.script(Script::Bans, &[&self.desk.keys.bans(&room)]);
                self.desk.ask(room.as_str(), cmd, Asked::Client(asker, Reading::Bans));
            }
            Operation::Stats { room, skip, limit } => {
                let of = self.desk.keys.people(&room);
                let mut cmd = self.desk.script(Script::Stats, &[&of.viewers, &of.members, &of.public]);
                cmd.arg(skip).arg(limit);
                self.desk.ask(room.as_str(), cmd, Asked::Client(asker, Reading::Stats));
            }
            Operation::Join { room, member, name, public } => {
                let entry = Member { name: name.clone(), public: public.clone(), asking: true };
                self.presence.borrow_mut().joining(&room, member, entry);
                let connection = member.connection;
                self.tell(member.worker, &room, Telling::Join { asker, connection, name, public });
            }
            Operation::Leave { room, member } => {
                let left = self.presence.borrow_mut().left(&room, member);
                match left {
                    // Behind his coming, where that waits.
                    Some(left)
                        if self.is_up(room.as_str())
                            || self.presence.borrow().is_waiting(member.worker, &room) =>
                    {
                        let (connection, public) = (member.connection, left.public);
                        self.tell(member.worker, &room, Telling::Leave { asker, connection, public });
                    }
                    // Redis will be told when it is back.
                    left => {
                        if left.is_some() {
                            self.presence.borrow_mut().doubt_room(member.worker, room);
                        }
                        self.answer(asker, Answer::Done);
                    }
                }
            }
            Operation::Viewers { worker, shard, counts } => self.viewers(asker, worker, shard, counts),
            Operation::Heartbeat(record) => self.heartbeat(asker, record),
            Operation::Retire(worker) => self.retire(asker, worker),
            Operation::Workers if self.registry.is_fresh(Instant::now()) => {
                self.answer(asker, Answer::Workers(self.registry.alive()));
            }
            Operation::Workers => self.desk.ask(REGISTRY, self.desk.roster(), Asked::Roster(Some(asker))),
            Operation::Claim { id, until } => {
                let left = until.0.saturating_sub(wall_clock().0).min(CLAIM_MS_MAX);
                if left == 0 {
                    self.answer(asker, Answer::Was(true));
                    return;
                }
                let key = self.desk.keys.claimed(&id);
                let mut cmd = redis::cmd("SET");
                cmd.arg(&key).arg(1).arg("NX").arg("PX").arg(left);
                self.desk.ask(&key, cmd, Asked::Client(asker, Reading::Some));
            }
        }
    }

    pub(super) fn answer(&mut self, asker: Asker, answer: Answer) {
        self.deliver(asker.0, Event::Answer(asker.1, answer));
    }

    pub(super) fn lease(&self, worker: WorkerId) -> keys::Lease {
        let mut presence = self.presence.borrow_mut();
        let own = presence.worker(worker);
        if !own.registered && own.record.is_none() {
            // Known to the registry before it has people anywhere: somebody must find these.
            own.registered = true;
            let cmd = self.desk.beat(own.lease, "", true);
            self.desk.ask(REGISTRY, cmd, Asked::Beat(None, worker, own.lease));
        }
        own.lease
    }

    fn publish(&mut self, asker: Asker, publish: Publish) {
        match &publish.sender {
            // The ban is in another slot than the channel, which no session asks for: it is looked at
            // in a step of its own.
            Some((room, name)) if room.as_str() != keys::tag(&publish.channel) => {
                let mut cmd = redis::cmd("HGET");
                cmd.arg(self.desk.keys.bans(room)).arg(name.as_str());
                self.desk.ask(room.clone().as_str(), cmd, Asked::BanElsewhere(asker, Box::new(publish)));
            }
            Some((room, _)) => {
                let bans = self.desk.keys.bans(room);
                self.publish_unless_banned(asker, &publish, Some(&bans));
            }
            None => self.publish_unless_banned(asker, &publish, None),
        }
    }

    /// Publishes; `bans` is where the sender's would be.
    pub(super) fn publish_unless_banned(&self, asker: Asker, publish: &Publish, bans: Option<&String>) {
        let of = self.desk.keys.channel(&publish.channel);
        let user = publish.sender.as_ref().map(|(_, name)| name);
        let once = publish.key.as_ref().map(|key| self.desk.keys.published(&publish.channel, user, key));
        let (ban_key, once_key) = (bans.unwrap_or(&of.head), once.as_ref().unwrap_or(&of.head));
        let keys = [&of.head, &of.stream, ban_key, once_key].map(String::as_str);
        let mut cmd = match message::is_deletion(&publish.payload) {
            true => self.desk.deletion(&keys),
            false => self.desk.script(Script::Publish, &keys),
        };
        cmd.arg(&of.topic).arg(publish.id.to_string()).arg(&*publish.payload);
        cmd.arg(user.filter(|_| bans.is_some()).map_or("", UserName::as_str));
        match once {
            Some(_) => cmd.arg(IDEMPOTENCY_TTL_MS),
            None => cmd.arg(""),
        };
        self.desk.ask(keys::tag(&publish.channel), cmd, Asked::Client(asker, Reading::Published));
    }

    fn ban(
        &mut self,
        asker: Asker,
        room: &RoomName,
        name: &UserName,
        until: Option<UnixMillis>,
        id: MessageId,
    ) {
        let of = self.desk.keys.channel(&room.messages());
        let payload = message::remove_user_messages(name, id, wall_clock());
        let mut cmd = self.desk.script(Script::Ban, &[&of.head, &of.stream, &self.desk.keys.bans(room)]);
        cmd.arg(&of.topic).arg(id.to_string()).arg(&*payload).arg(name.as_str());
        cmd.arg(until.map_or(0, |until| until.0.max(1)))
            .arg(self.desk.keys.banned_topic())
            .arg(room.as_str());
        self.desk.ask(room.as_str(), cmd, Asked::Client(asker, Reading::Done));
    }

    fn viewers(&mut self, asker: Asker, worker: WorkerId, shard: u16, counts: Vec<(RoomName, u32)>) {
        let mut waits = None;
        for (room, count) in counts {
            let sum = self.presence.borrow_mut().viewers(worker, shard, &room, count);
            if self.tell(worker, &room, Telling::Viewers { sum }) {
                waits = Some(room);
            }
        }
        match waits {
            // Rooms are listed in the order in which that was asked for.
            Some(room) => drop(self.tell(worker, &room, Telling::Told { asker })),
            None => self.answer(asker, Answer::Done),
        }
    }

    pub(super) fn forget_if_empty(&self, worker: WorkerId, room: &RoomName) {
        let Some(lease) = self.presence.borrow().get(worker).map(|own| own.lease) else { return };
        if self.is_up(room.as_str()) && self.presence.borrow_mut().forget_if_empty(worker, room) {
            self.desk.unlist_room(room, worker, lease);
        }
    }

    fn heartbeat(&mut self, asker: Asker, record: WorkerRecord) {
        self.registry.changed();
        let worker = record.id;
        let (lease, cmd) = {
            let mut presence = self.presence.borrow_mut();
            let own = presence.worker(worker);
            let cmd = self.desk.beat(own.lease, &stored(&record), !own.registered);
            own.record = Some(record);
            (own.lease, cmd)
        };
        if self.is_up(REGISTRY) {
            self.desk.ask(REGISTRY, cmd, Asked::Beat(Some(asker), worker, lease));
        } else {
            self.answer(asker, Answer::Done);
        }
    }

    /// Ends a worker's lease and removes its people, however many; then answers.
    fn retire(&mut self, asker: Asker, worker: WorkerId) {
        let Some(own) = self.end(worker) else {
            self.answer(asker, Answer::Done);
            return;
        };
        let (desk, finished) = (Rc::clone(&self.desk), Rc::clone(&self.finished));
        let presence = Rc::clone(&self.presence);
        tokio::task::spawn_local(async move {
            if desk.answer(REGISTRY, desk.condemn(own.lease, None)).await.is_ok() {
                // Nobody is left to try these again.
                people::bury_former(&desk, &presence, worker, own.former).await;
                // Cut short, others go on with it.
                let _ = people::bury(Rc::clone(&desk), presence, own.lease).await;
            }
            finished.borrow_mut().push(Finished::Retired(asker));
            desk.filled.notify_one();
        });
    }
}

/// Whether an operation is carried out, or answered, whether or not Redis can be asked: people go, counts
/// change and workers are known all the same.
fn must_be_told(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Close(_)
            | Operation::Leave { .. }
            | Operation::Viewers { .. }
            | Operation::Heartbeat(_)
            | Operation::Workers
    )
}

/// The hash tag of what an operation is about.
fn tag_of(operation: &Operation) -> &str {
    match operation {
        Operation::Publish(publish) => keys::tag(&publish.channel),
        Operation::Open(channel) | Operation::Close(channel) | Operation::History { channel, .. } => {
            keys::tag(channel)
        }
        Operation::Join { room, .. }
        | Operation::Leave { room, .. }
        | Operation::Ban { room, .. }
        | Operation::Unban { room, .. }
        | Operation::Bans(room)
        | Operation::Stats { room, .. } => room.as_str(),
        Operation::Heartbeat(_)
        | Operation::Retire(_)
        | Operation::Workers
        | Operation::Viewers { .. }
        | Operation::Claim { .. } => REGISTRY,
    }
}
