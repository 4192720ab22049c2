//! What an answer of the broker belongs to, in the number that goes with the question.

use crate::exchange::Ticket;

use super::slab::Key;

/// What an answer belongs to: the kind, the connection and the call id ride in the ticket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Join = 1,
    Say = 2,
    /// Not a call: a channel, by its place, is being opened.
    Open = 3,
    /// Not a call: one of the channels of a request over HTTP.
    Job = 4,
}

/// For operations whose answer tells nothing new.
pub(super) const NO_TICKET: Ticket = Ticket(0);

/// For the opening of the channel at this place.
pub(super) fn open_ticket(channel: Key) -> Ticket {
    ticket(Kind::Open, channel, 0)
}

pub(super) fn ticket(kind: Kind, key: Key, call: u64) -> Ticket {
    let connection = (u128::from(key.generation) << 32) | u128::from(key.index);
    Ticket(((kind as u128) << 120) | (connection << 56) | u128::from(call))
}

pub(super) fn from_ticket(Ticket(ticket): Ticket) -> Option<(Kind, Key, u64)> {
    let kind = match ticket >> 120 {
        1 => Kind::Join,
        2 => Kind::Say,
        3 => Kind::Open,
        4 => Kind::Job,
        _ => return None,
    };
    let part = |shift: u32| u32::try_from((ticket >> shift) & u128::from(u32::MAX)).ok();
    let key = Key { index: part(56)?, generation: part(88)? };
    Some((kind, key, u64::try_from(ticket & ((1 << 56) - 1)).ok()?))
}
