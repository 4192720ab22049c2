//! What is done with Redis's answers, and with what it publishes.

use std::rc::Rc;
use std::time::{Duration, Instant};

use chatup_core::exchange::{Answer, BanRecord, Event, MemberKey, WorkerId};
use chatup_core::message::Publication;
use chatup_core::names::{RoomName, UserName};
use chatup_core::position::MessageId;
use chatup_core::refusal::{Refusal, Refused};
use redis::{PushInfo, PushKind, Value};

use super::asked::{Asked, Asker, Reading};
use super::broker::Broker;
use super::channels::{Ask, Synced};
use super::desk::{REGISTRY, wall_clock};
use super::keys::Lease;
use super::people;
use super::registry::{Registry, Roster};
use super::reply::{self, Banned, Changes, Joined, Misread, OnTopic, Published};
use super::slots::SlotMap;
use crate::limits::COMPLAINT_MS;

/// Errors after which this server is of no use: it is not the one to ask, or has lost its scripts.
const WRONG_SERVER: &[&str] =
    &["READONLY", "LOADING", "MASTERDOWN", "NOSCRIPT", "CLUSTERDOWN", "NOAUTH", "UNKILLABLE"];

/// Errors that say that a key is, or will soon be, at another server of the cluster.
const MOVED: &[&str] = &["MOVED", "ASK", "TRYAGAIN", "CROSSSLOT"];

impl Broker {
    /// Redis has answered.
    ///
    /// # Errors
    /// Why the connection is of no use any more.
    pub(super) fn answered(&mut self, asked: Asked, value: Value) -> Result<(), String> {
        if let Value::ServerError(error) = &value {
            let details = error.details().unwrap_or("");
            let text = format!("{} {details}", error.code());
            // Older servers put what went wrong inside of a script behind a code of their own.
            let is = |code: &&str| error.code() == *code || details.contains(&format!("-{code} "));
            let unusable = WRONG_SERVER.iter().any(is);
            if MOVED.contains(&error.code()) {
                self.nodes.doubt_map();
            } else if !unusable && self.may_complain() {
                tracing::error!("Redis refuses: {text}");
            }
            match asked {
                Asked::Listed(worker, _, room) if !unusable && !MOVED.contains(&error.code()) => {
                    self.not_listed(worker, &room);
                }
                asked => self.lost(asked),
            }
            return if unusable { Err(text) } else { Ok(()) };
        }
        match self.read(&asked, value) {
            Ok(read) => self.take(asked, read),
            Err(misread) => {
                // Answers and questions are in step, so it is this one's matter alone: somebody else has
                // put something else there.
                if self.may_complain() {
                    tracing::error!(%misread, "Redis has something else than was put there");
                }
                self.lost(asked);
            }
        }
        Ok(())
    }

    /// Whether to log what went wrong: as often as people speak it would fill the disk.
    fn may_complain(&mut self) -> bool {
        let pause = Duration::from_millis(COMPLAINT_MS);
        let may = self.complained.is_none_or(|last| last.elapsed() >= pause);
        if may {
            self.complained = Some(Instant::now());
        }
        may
    }

    fn read(&self, asked: &Asked, value: Value) -> Result<Read, Misread> {
        Ok(match asked {
            Asked::Client(_, reading) => Read::Answer(read(reading, value, &self.registry)?),
            Asked::BanElsewhere(..) if value == Value::Nil => Read::Ban(None),
            Asked::BanElsewhere(..) => Read::Ban(Some(reply::number(value)?)),
            Asked::Join(..) => Read::Joined(reply::joined(value)?),
            Asked::Leave(..) | Asked::Beat(..) => Read::Truth(reply::truth(value)?),
            Asked::Changes(_) => Read::Changes(reply::changes(value)?),
            Asked::Roster(_) => Read::Roster(Roster::read(value)?),
            Asked::Map(node) => Read::Map(SlotMap::read(value, &self.nodes.host(*node))?),
            Asked::Viewers(..)
            | Asked::Listed(..)
            | Asked::Unlisted(..)
            | Asked::Task(_)
            | Asked::Subscription(_)
            | Asked::Nothing => Read::Raw(value),
        })
    }

    fn take(&mut self, asked: Asked, read: Read) {
        match (asked, read) {
            (Asked::Client(asker, _), Read::Answer(answer)) => self.answer(asker, answer),
            (Asked::BanElsewhere(asker, publish), Read::Ban(until)) => {
                let now = wall_clock().0;
                match until.filter(|until| *until == 0 || *until > now) {
                    None => self.publish_unless_banned(asker, &publish, None),
                    Some(until) => {
                        let banned = Banned { until: (until > 0).then_some(until), now };
                        self.answer(asker, Answer::Refused(Refused::banned(banned.ttl())));
                    }
                }
            }
            (Asked::Join(asker, room, member), Read::Joined(joined)) => {
                self.joined(asker, room, member, &joined);
            }
            (Asked::Leave(asker, worker, room), Read::Truth(counted)) => {
                self.forget_if_empty(worker, &room);
                if counted {
                    self.presence.borrow_mut().changed.insert(room);
                }
                if let Some(asker) = asker {
                    self.answer(asker, Answer::Done);
                }
            }
            (Asked::Listed(worker, lease, room), _) => self.listed(worker, lease, &room),
            (Asked::Viewers(worker, room), _) => self.forget_if_empty(worker, &room),
            (Asked::Changes(room), Read::Changes(changes)) => match changes {
                Changes::None => {}
                Changes::NotYet => {
                    self.presence.borrow_mut().changed.insert(room);
                }
                Changes::Some { members, joined, left } => {
                    let id = MessageId::from_random(rand::random());
                    let payload =
                        chatup_core::message::members_changed(members, joined, left, id, wall_clock());
                    self.desk.publish_event(&room.events(), id, &payload);
                }
            },
            (Asked::Beat(asker, worker, lease), Read::Truth(known)) => {
                self.heard(worker, lease, known);
                if let Some(asker) = asker {
                    self.answer(asker, Answer::Done);
                }
            }
            (Asked::Roster(asker), Read::Roster(roster)) => {
                self.see(&roster);
                if let Some(asker) = asker {
                    self.answer(asker, Answer::Workers(self.registry.alive()));
                }
            }
            (Asked::Map(_), Read::Map(map)) => self.take_map(map),
            // Whoever has stopped waiting needs nothing.
            (Asked::Task(task), Read::Raw(value)) => drop(task.send(value)),
            // Nobody waits for the rest.
            _ => {}
        }
    }

    fn joined(&mut self, asker: Option<Asker>, room: RoomName, member: MemberKey, joined: &Joined) {
        let banned = match joined {
            Joined::Banned(banned) => Some(*banned),
            Joined::Announced => None,
            Joined::Counted => {
                self.presence.borrow_mut().changed.insert(room.clone());
                None
            }
        };
        match banned {
            None => self.presence.borrow_mut().joined(&room, member),
            Some(banned) => {
                let known = self.presence.borrow_mut().left(&room, member);
                self.forget_if_empty(member.worker, &room);
                if let (None, Some(known)) = (asker, known) {
                    // A member from before a cut, banned meanwhile.
                    self.banned(room, known.name, banned);
                }
            }
        }
        if let Some(asker) = asker {
            self.answer(asker, Answer::Joined(banned.map(Banned::ttl)));
        }
    }

    /// There will be no answer: it may or may not have happened.
    pub(super) fn lost(&mut self, asked: Asked) {
        let unavailable = || Answer::Refused(Refusal::Unavailable.into());
        match asked {
            Asked::Client(asker, _) | Asked::BanElsewhere(asker, _) => self.answer(asker, unavailable()),
            Asked::Join(Some(asker), room, member) => {
                let mut presence = self.presence.borrow_mut();
                presence.left(&room, member);
                // The next one says again that there is somebody.
                presence.forget_if_empty(member.worker, &room);
                // Redis may have taken him in all the same.
                presence.doubt_room(member.worker, room);
                drop(presence);
                self.answer(asker, unavailable());
            }
            Asked::Join(None, room, MemberKey { worker, .. })
            | Asked::Viewers(worker, room)
            | Asked::Unlisted(worker, room) => self.presence.borrow_mut().doubt_room(worker, room),
            Asked::Listed(worker, _, room) => self.perhaps_listed(worker, &room),
            Asked::Leave(asker, worker, room) => {
                self.presence.borrow_mut().doubt_room(worker, room);
                if let Some(asker) = asker {
                    self.answer(asker, Answer::Done);
                }
            }
            Asked::Beat(Some(asker), ..) => self.answer(asker, Answer::Done),
            Asked::Roster(asker) => {
                // While it takes no writes it hears of nobody, however alive.
                self.registry.down();
                if let Some(asker) = asker {
                    self.answer(asker, Answer::Workers(self.registry.alive()));
                }
            }
            Asked::Subscription(Some(channel)) => self.channels.unsubscribed(&channel),
            Asked::Changes(room) => {
                self.presence.borrow_mut().changed.insert(room);
            }
            // The sender is dropped with it, which is the news.
            Asked::Task(_)
            | Asked::Beat(None, ..)
            | Asked::Map(_)
            | Asked::Subscription(None)
            | Asked::Nothing => {}
        }
    }

    /// The registry's answer to a heartbeat.
    fn heard(&mut self, worker: WorkerId, lease: Lease, known: bool) {
        let again = {
            let mut presence = self.presence.borrow_mut();
            if presence.get(worker).is_none_or(|own| own.lease != lease) {
                return;
            }
            if known {
                let own = presence.worker(worker);
                own.registered = true;
                let due = std::mem::take(&mut own.unsure);
                drop(presence);
                if due {
                    self.reconcile(worker, None);
                }
                return;
            }
            presence.renew(worker);
            let own = presence.worker(worker);
            own.unsure = true;
            let record = own.record.as_ref().map(super::registry::stored).unwrap_or_default();
            (own.lease, self.desk.beat(own.lease, &record, true))
        };
        tracing::warn!(%worker, "the registry had given this worker up: it is told of it again, with its people");
        // What was still told of it under the old lease has nobody who would remove it.
        self.desk.ask(REGISTRY, self.desk.condemn(lease, None), Asked::Nothing);
        self.desk.ask(REGISTRY, again.1, Asked::Beat(None, worker, again.0));
    }

    fn see(&mut self, roster: &Roster) {
        for (lease, beat) in self.registry.see(roster, Instant::now()) {
            // One's own beats may be on their way.
            if self.presence.borrow().has_lease(lease) {
                continue;
            }
            tracing::warn!(lease = format!("{lease:016x}"), "a worker is silent: its people are removed");
            let cmd = self.desk.condemn(lease, Some(beat));
            self.desk.ask(REGISTRY, cmd, Asked::Nothing);
        }
        for lease in &roster.dying {
            // Whoever is first does it.
            tokio::task::spawn_local(people::bury(Rc::clone(&self.desk), Rc::clone(&self.presence), *lease));
        }
    }

    /// A user has been banned, here or elsewhere.
    pub(super) fn banned(&mut self, room: RoomName, name: UserName, banned: Banned) {
        self.deliver_to_all(&Event::Banned { room, name, ttl: banned.ttl() });
    }

    /// Something was published, or a subscription has changed.
    pub(super) fn pushed(&mut self, push: PushInfo) {
        let mut data = push.data.into_iter();
        let topic = data.next().and_then(|topic| reply::text(topic).ok()).unwrap_or_default();
        let channel = self.desk.keys.channel_of(&topic);
        match push.kind {
            PushKind::Message | PushKind::SMessage => {
                let Some(bytes) = data.next().and_then(|payload| reply::bytes(payload).ok()) else { return };
                match channel {
                    Some(channel) => match reply::on_topic(channel.clone(), &bytes) {
                        Ok(OnTopic::Message(publication)) => self.channels.published(publication),
                        Ok(OnTopic::Renewed) => self.channels.doubt(&channel),
                        Err(error) => {
                            tracing::error!(%error, %channel, "something else publishes on a topic of ours");
                        }
                    },
                    None if topic == self.desk.keys.banned_topic() => self.banned_elsewhere(&bytes),
                    None => {}
                }
            }
            // Unless it is nobody's any more here, the server has given its slot away.
            PushKind::SUnsubscribe => {
                if let Some(channel) = channel.filter(|one| self.channels.is_open(one)) {
                    self.channels.unsubscribed(&channel);
                    self.nodes.doubt_map();
                }
            }
            _ => {}
        }
    }

    fn banned_elsewhere(&mut self, bytes: &[u8]) {
        let read = str::from_utf8(bytes).ok().and_then(reply::on_banned_topic);
        let names = read.and_then(|(room, name, banned)| {
            Some((RoomName::new(room).ok()?, UserName::new(name).ok()?, banned))
        });
        match names {
            Some((room, name, banned)) => self.banned(room, name, banned),
            None => tracing::error!("something else publishes on the topic of bans"),
        }
    }
}

fn read(reading: &Reading, value: Value, registry: &Registry) -> Result<Answer, Misread> {
    Ok(match reading {
        Reading::Published => match reply::published(value)? {
            Published::New(position) => Answer::Published { position, duplicate: false },
            Published::Again(position) => Answer::Published { position, duplicate: true },
            Published::Banned(banned) => Answer::Refused(Refused::banned(banned.ttl())),
        },
        Reading::Bans => {
            let record = |(name, until_ms)| BanRecord { name, until_ms };
            Answer::Bans(reply::bans(value)?.into_iter().map(record).collect())
        }
        Reading::Stats => Answer::Stats(reply::stats(value, |lease| registry.worker_of(lease))?),
        Reading::Done => Answer::Done,
        Reading::Was => Answer::Was(reply::truth(value)?),
        Reading::Some => Answer::Was(value != Value::Nil),
    })
}

/// What a longer piece of work has come to.
#[derive(Debug)]
pub(super) enum Finished {
    /// A member that is here was banned while nobody could say so.
    Banned(RoomName, UserName, Banned),
    /// A worker has retired.
    Retired(Asker),
    /// A channel's history; nothing if it was refused or lost.
    History(Asker, Option<Vec<Publication>>),
    /// What was asked about a channel; nothing if it was refused or lost.
    Fetched(Ask, Option<Synced>),
    /// A worker's people were told again, but for those in these rooms; or nobody was.
    Reconciled(WorkerId, Option<Vec<RoomName>>),
}

/// An answer, read.
enum Read {
    Answer(Answer),
    /// Until when a sender is banned.
    Ban(Option<u64>),
    Joined(Joined),
    Truth(bool),
    Changes(Changes),
    Roster(Roster),
    Map(SlotMap),
    Raw(Value),
}
