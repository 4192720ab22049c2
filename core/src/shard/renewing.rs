//! Subscribers of a channel whose log has become another: where they go on, and who is told of it.

use crate::names::ChannelName;
use crate::position::{Offset, Position};
use crate::protocol::{self, Notice};
use crate::room_log::RoomLog;

use super::past;
use super::{Outside, Shard};

impl Shard {
    /// Whoever cannot be told of another past goes on behind the message that it was at, if that is there.
    pub(super) fn keep_place(&mut self, place: u32, index: u32, old: Option<&RoomLog>) -> bool {
        let connection = self.connections.at_mut(place).filter(|one| one.form.location().is_some());
        let (Some(connection), Some(old)) = (connection, old) else { return false };
        let log = self.channels.at(index).and_then(|channel| channel.log.as_ref());
        let own = connection.subscriptions.iter_mut().find(|one| one.channel == index);
        if let (Some(own), Some(log)) = (own, log) {
            own.cursor = past::same_place(old, log, own.cursor);
        }
        true
    }

    #[allow(clippy::too_many_arguments, reason = "all of one reset, in one place")]
    pub(super) fn reset_subscriber(
        &mut self,
        place: u32,
        channel: u32,
        name: &ChannelName,
        head: Position,
        first: Offset,
        outside: &mut impl Outside,
    ) {
        let Some(key) = self.connections.key_at(place) else { return };
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Some(one) = connection.subscriptions.iter_mut().find(|one| one.channel == channel) else {
            return;
        };
        one.cursor = first;
        let notice = Notice::Reset { channel: name, position: head, next: first.next() };
        protocol::notice(&notice, connection.control());
        self.control_added(key, outside);
    }
}
