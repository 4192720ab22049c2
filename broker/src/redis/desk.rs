//! Where questions to Redis are put together and collected: by the broker's loop, and by longer pieces of
//! work that run beside it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use chatup_core::exchange::WorkerId;
use chatup_core::message::UnixMillis;
use chatup_core::names::{ChannelName, RoomName, UserName};
use chatup_core::position::{MessageId, Position};
use redis::{Cmd, Value};
use serde_json::value::RawValue;
use tokio::sync::{Notify, Semaphore, oneshot};

use super::asked::Asked;
use super::keys::{self, Keys, Lease};
use super::presence::member_text;
use super::scripts::{Script, Scripts};
use crate::limits::{CHANGES_MS, READERS_MAX};

/// Redis cannot be reached, or the answer was lost with the way to it.
#[derive(Debug)]
pub(crate) struct Lost;

/// Puts questions together, and keeps them until they are sent.
pub(crate) struct Desk {
    pub(crate) keys: Keys,
    pub(crate) scripts: Rc<Scripts>,
    announced_max: u32,
    /// Publishing stays in one slot's servers.
    sharded: Cell<bool>,
    /// With the hash tag of their keys.
    outbox: RefCell<Vec<(String, Cmd, Asked)>>,
    /// Something is in the outbox.
    pub(crate) filled: Rc<Notify>,
    /// Who reads messages now.
    pub(crate) readers: Semaphore,
}

impl Desk {
    pub(crate) fn new(keys: Keys, scripts: Rc<Scripts>, announced_max: u32) -> Desk {
        Desk {
            keys,
            scripts,
            announced_max,
            sharded: Cell::new(true),
            outbox: RefCell::default(),
            filled: Rc::new(Notify::new()),
            readers: Semaphore::new(READERS_MAX),
        }
    }

    pub(crate) fn set_sharded(&self, sharded: bool) {
        self.sharded.set(sharded);
    }

    pub(crate) fn take_outbox(&self) -> Vec<(String, Cmd, Asked)> {
        self.outbox.take()
    }

    /// Asks about what lies under a hash tag.
    pub(crate) fn ask(&self, tag: &str, cmd: Cmd, asked: Asked) {
        self.outbox.borrow_mut().push((tag.to_owned(), cmd, asked));
        self.filled.notify_one();
    }

    /// Asks and waits.
    pub(crate) async fn answer(&self, tag: &str, cmd: Cmd) -> Result<Value, Lost> {
        self.begin(tag, cmd).await.map_err(|_| Lost)
    }

    /// Asks; the answer is to be waited for.
    pub(crate) fn begin(&self, tag: &str, cmd: Cmd) -> oneshot::Receiver<Value> {
        let (sender, receiver) = oneshot::channel();
        self.ask(tag, cmd, Asked::Task(sender));
        receiver
    }

    pub(crate) fn script(&self, script: Script, keys: &[&str]) -> Cmd {
        self.scripts.call(script, self.publishing(), keys)
    }

    /// The publishing of a message that takes the place of all before it.
    pub(crate) fn deletion(&self, keys: &[&str]) -> Cmd {
        self.scripts.call_keeping(Script::Publish, self.publishing(), keys, 1)
    }

    fn publishing(&self) -> &'static str {
        if self.sharded.get() { "SPUBLISH" } else { "PUBLISH" }
    }

    pub(crate) fn subscription(&self, on: bool, topic: &str) -> Cmd {
        let mut cmd = redis::cmd(match (on, self.sharded.get()) {
            (true, true) => "SSUBSCRIBE",
            (true, false) => "SUBSCRIBE",
            (false, true) => "SUNSUBSCRIBE",
            (false, false) => "UNSUBSCRIBE",
        });
        cmd.arg(topic);
        cmd
    }

    /// Where a channel is, and whether a position is of its past.
    pub(crate) fn sync(&self, channel: &ChannelName, from: Option<Position>) -> Cmd {
        let of = self.keys.channel(channel);
        let mut cmd = self.script(Script::Sync, &[&of.head, &of.stream]);
        cmd.arg(&of.topic).arg(self.scripts.empty_ms());
        match from {
            Some(own) => cmd.arg(own.epoch.to_string()).arg(own.offset.0).arg(own.id.to_string()),
            None => cmd.arg("").arg(0).arg(""),
        };
        cmd
    }

    /// A message without a sender.
    pub(crate) fn publish_event(&self, channel: &ChannelName, id: MessageId, payload: &[u8]) {
        let of = self.keys.channel(channel);
        let mut cmd = self.script(Script::Publish, &[&of.head, &of.stream, &of.head, &of.head]);
        cmd.arg(&of.topic).arg(id.to_string()).arg(payload).arg("").arg("");
        self.ask(keys::tag(channel), cmd, Asked::Nothing);
    }

    pub(crate) fn join(
        &self,
        room: &RoomName,
        lease: Lease,
        connection: u64,
        name: &UserName,
        public: &Arc<RawValue>,
    ) -> Cmd {
        let (of, people) = (self.keys.channel(&room.events()), self.keys.people(room));
        let (bans, own) = (self.keys.bans(room), self.keys.brought(room, lease));
        let id = MessageId::from_random(rand::random());
        let payload = chatup_core::message::membership(true, public, id, wall_clock());
        let keys = [&of.head, &of.stream, &bans, &people.members, &people.public, &own, &people.changes]
            .map(String::as_str);
        let mut cmd = self.script(Script::Join, &keys);
        cmd.arg(&of.topic).arg(id.to_string()).arg(&*payload).arg(name.as_str());
        cmd.arg(member_text(lease, connection)).arg(public.get()).arg(self.announced_max);
        cmd
    }

    pub(crate) fn leave(&self, room: &RoomName, lease: Lease, member: &str, public: &RawValue) -> Cmd {
        let (of, people) = (self.keys.channel(&room.events()), self.keys.people(room));
        let own = self.keys.brought(room, lease);
        let id = MessageId::from_random(rand::random());
        let payload = chatup_core::message::membership(false, public, id, wall_clock());
        let keys = [&of.head, &of.stream, &people.members, &people.public, &own, &people.changes]
            .map(String::as_str);
        let mut cmd = self.script(Script::Leave, &keys);
        cmd.arg(&of.topic).arg(id.to_string()).arg(&*payload).arg(member).arg(self.announced_max);
        cmd
    }

    pub(crate) fn changes(&self, room: &RoomName) -> Cmd {
        let people = self.keys.people(room);
        let mut cmd = self.script(Script::Changes, &[&people.members, &people.changes, &people.gate]);
        cmd.arg(CHANGES_MS);
        cmd
    }

    /// A worker's viewers of a room.
    pub(crate) fn viewers(&self, room: &RoomName, lease: Lease, count: u64) -> Cmd {
        let key = self.keys.people(room).viewers;
        let mut cmd = redis::cmd(if count > 0 { "HSET" } else { "HDEL" });
        cmd.arg(key).arg(format!("{lease:016x}"));
        if count > 0 {
            cmd.arg(count);
        }
        cmd
    }

    /// Remembers that a worker has people in a room: before the first.
    pub(crate) fn list_room(&self, room: &RoomName, worker: WorkerId, lease: Lease) {
        let key = self.keys.rooms(lease);
        let mut cmd = redis::cmd("SADD");
        cmd.arg(&key).arg(room.as_str());
        self.ask(&key, cmd, Asked::Listed(worker, lease, room.clone()));
    }

    /// Forgets it again: after the last.
    pub(crate) fn unlist_room(&self, room: &RoomName, worker: WorkerId, lease: Lease) {
        let key = self.keys.rooms(lease);
        let mut cmd = redis::cmd("SREM");
        cmd.arg(&key).arg(room.as_str());
        self.ask(&key, cmd, Asked::Unlisted(worker, room.clone()));
    }

    pub(crate) fn roster(&self) -> Cmd {
        let of = self.keys.registry();
        self.script(Script::Roster, &[&of.beats, &of.records, &of.dying, &of.looked])
    }

    pub(crate) fn beat(&self, lease: Lease, record: &str, new: bool) -> Cmd {
        let of = self.keys.registry();
        let mut cmd = self.script(Script::Beat, &[&of.beats, &of.records, &of.dying]);
        cmd.arg(format!("{lease:016x}")).arg(record).arg(u8::from(new));
        cmd
    }

    /// Ends a lease; if `beat` is given, only if that was its last.
    pub(crate) fn condemn(&self, lease: Lease, beat: Option<u64>) -> Cmd {
        let of = self.keys.registry();
        let mut cmd = self.script(Script::Condemn, &[&of.beats, &of.records, &of.dying]);
        cmd.arg(format!("{lease:016x}")).arg(beat.map_or(String::new(), |beat| beat.to_string()));
        cmd
    }
}

/// The hash tag of the registry's keys.
pub(crate) const REGISTRY: &str = "workers";

pub(crate) fn wall_clock() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
