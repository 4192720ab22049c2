//! Who may not speak in which room, and until when.

use std::collections::{BTreeMap, HashMap};

use chatup_core::exchange::BanRecord;
use chatup_core::message::UnixMillis;
use chatup_core::names::{RoomName, UserName};
use chatup_core::refusal::BanTtl;

/// How a ban ends; never, without.
type Until = Option<UnixMillis>;

/// All bans. The key is a room and a name, not one text of both, which would be ambiguous.
#[derive(Default)]
pub(crate) struct Bans(HashMap<RoomName, BTreeMap<UserName, Until>>);

fn is_on(until: Until, now: UnixMillis) -> bool {
    until.is_none_or(|until| until > now)
}

impl Bans {
    /// How long a user is banned still, if so.
    pub(crate) fn left(&self, room: &RoomName, name: &UserName, now: UnixMillis) -> Option<BanTtl> {
        let until = *self.0.get(room)?.get(name)?;
        is_on(until, now).then(|| until.map_or(BanTtl::FOREVER, |until| BanTtl::left(until.0, now.0)))
    }

    pub(crate) fn set(&mut self, room: &RoomName, name: UserName, until: Until) {
        self.0.entry(room.clone()).or_default().insert(name, until);
    }

    /// Lifts a ban; whether there was one.
    pub(crate) fn lift(&mut self, room: &RoomName, name: &UserName, now: UnixMillis) -> bool {
        self.0.get_mut(room).and_then(|bans| bans.remove(name)).is_some_and(|until| is_on(until, now))
    }

    pub(crate) fn list(&self, room: &RoomName, now: UnixMillis) -> Vec<BanRecord> {
        let bans = self.0.get(room).into_iter().flatten().filter(|(_, until)| is_on(**until, now));
        let record = |(name, until): (&UserName, &Until)| BanRecord {
            name: name.as_str().into(),
            until_ms: until.map(|until| until.0),
        };
        bans.map(record).collect()
    }

    /// Forgets those that have ended.
    pub(crate) fn sweep(&mut self, now: UnixMillis) {
        self.0.retain(|_, bans| {
            bans.retain(|_, until| is_on(*until, now));
            !bans.is_empty()
        });
    }
}
