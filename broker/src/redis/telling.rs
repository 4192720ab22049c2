//! What Redis is told of a room's people, and that it is told of nobody before it has said that it lists the
//! room under the worker's lease: whoever buries the worker looks only in rooms that are listed. Only where the
//! list's own server cannot be asked, and the room's can, is it told all the same, and listed later.

use std::sync::Arc;

use chatup_core::exchange::{Answer, MemberKey, WorkerId};
use chatup_core::names::{RoomName, UserName};
use serde_json::value::RawValue;

use super::asked::{Asked, Asker};
use super::broker::Broker;
use super::keys::Lease;
use super::presence::{Own, member_text};

/// What is to be told of a worker's people in a room.
#[derive(Debug)]
pub(crate) enum Telling {
    Join {
        asker: Asker,
        connection: u64,
        name: UserName,
        public: Arc<RawValue>,
    },
    Leave {
        asker: Asker,
        connection: u64,
        public: Arc<RawValue>,
    },
    Viewers {
        sum: u64,
    },
    /// Nothing more: who asked for what stands before is answered.
    Told {
        asker: Asker,
    },
}

impl Telling {
    /// Nobody would have to be found after it.
    fn is_removal(&self) -> bool {
        matches!(self, Telling::Leave { .. } | Telling::Viewers { sum: 0 })
    }
}

impl Broker {
    /// Tells Redis, in turn: at once where it lists the room, else when it does. Returns whether that waits.
    pub(super) fn tell(&mut self, worker: WorkerId, room: &RoomName, telling: Telling) -> bool {
        let lease = self.lease(worker);
        let ask = {
            let mut presence = self.presence.borrow_mut();
            let of = presence.worker(worker).rooms.entry(room.clone()).or_default();
            let listed = of.listed == Some(lease) || telling.is_removal();
            let away = !self.nodes.is_up(&self.desk.keys.rooms(lease));
            if (listed || away) && of.waiting.is_empty() {
                if !listed {
                    presence.doubt_room(worker, room.clone());
                }
                drop(presence);
                self.tell_now(worker, lease, room, telling);
                return false;
            }
            of.waiting.push(telling);
            of.waiting.len() == 1
        };
        self.waiting_tellings += 1;
        if ask {
            self.desk.list_room(room, worker, lease);
        }
        true
    }

    fn tell_now(&mut self, worker: WorkerId, lease: Lease, room: &RoomName, telling: Telling) {
        let (cmd, asked) = match telling {
            Telling::Join { asker, connection, name, public } => {
                let member = MemberKey { worker, connection };
                let cmd = self.desk.join(room, lease, connection, &name, &public);
                (cmd, Asked::Join(Some(asker), room.clone(), member))
            }
            Telling::Leave { asker, connection, public } => {
                let cmd = self.desk.leave(room, lease, &member_text(lease, connection), &public);
                (cmd, Asked::Leave(Some(asker), worker, room.clone()))
            }
            Telling::Viewers { sum } => {
                (self.desk.viewers(room, lease, sum), Asked::Viewers(worker, room.clone()))
            }
            Telling::Told { asker } => return self.answer(asker, Answer::Done),
        };
        self.desk.ask(room.as_str(), cmd, asked);
    }

    /// Redis lists a room under a lease: what has waited for that is told.
    pub(super) fn listed(&mut self, worker: WorkerId, lease: Lease, room: &RoomName) {
        let waiting = {
            let mut presence = self.presence.borrow_mut();
            let Some(own) = presence.get_mut(worker) else { return };
            let now = own.lease;
            let Some(of) = own.rooms.get_mut(room) else { return };
            if now != lease {
                // Under a lease that has been given up meanwhile.
                if !of.waiting.is_empty() {
                    self.desk.list_room(room, worker, now);
                }
                return;
            }
            of.listed = Some(lease);
            std::mem::take(&mut of.waiting)
        };
        // The answers to these take the room from the list again, if nobody is left.
        self.tell_all(worker, lease, room, waiting);
    }

    fn tell_all(&mut self, worker: WorkerId, lease: Lease, room: &RoomName, waiting: Vec<Telling>) {
        self.waiting_tellings -= waiting.len();
        for telling in waiting {
            self.tell_now(worker, lease, room, telling);
        }
    }

    /// Redis has refused to list a room: what has waited for that is not told.
    pub(super) fn not_listed(&mut self, worker: WorkerId, room: &RoomName) {
        let waiting = self.take_waiting(worker, room);
        self.not_told(worker, room, waiting);
    }

    /// There is no answer, as when the list's server has gone: what has waited is told all the same, if the room's
    /// server can be asked.
    pub(super) fn perhaps_listed(&mut self, worker: WorkerId, room: &RoomName) {
        let waiting = self.take_waiting(worker, room);
        if !waiting.is_empty() {
            let lease = self.lease(worker);
            self.tell_all(worker, lease, room, waiting);
        }
    }

    fn take_waiting(&mut self, worker: WorkerId, room: &RoomName) -> Vec<Telling> {
        let mut presence = self.presence.borrow_mut();
        presence.doubt_room(worker, room.clone());
        let of = presence.get_mut(worker).and_then(|own| own.rooms.get_mut(room));
        of.map(|of| std::mem::take(&mut of.waiting)).unwrap_or_default()
    }

    /// A worker ends, and with it what has waited for its rooms to be listed. Returns what was known of it.
    pub(super) fn end(&mut self, worker: WorkerId) -> Option<Own> {
        let mut own = self.presence.borrow_mut().retire(worker)?;
        for (room, of) in &mut own.rooms {
            self.not_told(worker, room, std::mem::take(&mut of.waiting));
        }
        Some(own)
    }

    fn not_told(&mut self, worker: WorkerId, room: &RoomName, waiting: Vec<Telling>) {
        self.waiting_tellings -= waiting.len();
        for telling in waiting {
            self.lost(match telling {
                Telling::Join { asker, connection, .. } => {
                    Asked::Join(Some(asker), room.clone(), MemberKey { worker, connection })
                }
                Telling::Leave { asker, .. } => Asked::Leave(Some(asker), worker, room.clone()),
                Telling::Viewers { .. } => Asked::Viewers(worker, room.clone()),
                Telling::Told { asker } => {
                    self.answer(asker, Answer::Done);
                    continue;
                }
            });
        }
    }
}
