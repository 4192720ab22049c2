//! One connection as the shard's decisions see it. A hundred thousand of them wait in a table, so
//! what only some need is behind a pointer, and times are ticks in four bytes.

use smallvec::SmallVec;

use crate::http_answer::Asker;
use crate::names::RoomName;
use crate::position::{Offset, Position};
use crate::pushstream::{Framing, Want};
use crate::session::Session;
use crate::socketio::request::SessionId;
use crate::websocket::FrameReader;

use super::forms::Form;
use super::jobs::Job;
use super::polled::Polled;
use super::polls::Poll;
use super::syncing::SyncNumber;
use super::timers::Ticks;

/// A connection's place in a channel's list of subscribers, and how far it has been sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subscription {
    /// The channel's place in the shard's table. The channel stays as long as it has subscribers.
    pub(super) channel: u32,
    /// Place in the channel's list.
    pub(super) slot: u32,
    /// The last message that has been sent, or skipped.
    pub(super) cursor: Offset,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its request is coming in.
    Head,
    /// Its request is whole, and waits for its answer.
    Asked,
    /// It is a WebSocket.
    Open,
    /// Its end has been said; what waits is still sent.
    Closing {
        /// Whether to hang up as soon as all is sent, or to wait for the other's close.
        hang_up: bool,
        /// Large pieces that have come since, of [`crate::limits::CLOSE_PIECES_MAX`].
        pieces: u8,
    },
    /// Given up; waits for the caller to let go of it.
    Dead,
}

impl Phase {
    /// All that has to be said has been said, or waits to be sent.
    pub(super) const HANGING_UP: Phase = Phase::Closing { hang_up: true, pieces: 0 };

    pub(super) fn is_hanging_up(self) -> bool {
        matches!(self, Phase::Closing { hang_up: true, .. })
    }
}

/// Bytes that go before anything else, from this one on: the rest of a cut frame, or of answers.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) bytes: Vec<u8>,
    pub(super) from: usize,
}

/// A `subscribe` that waits for channels to open.
#[derive(Debug)]
pub(super) struct PendingSubscribe {
    /// The call to be answered; none of a PushStream client's request.
    pub(super) call: Option<u64>,
    /// What is asked of channels over HTTP.
    pub(super) job: bool,
    /// That request; `items` are its channels, in its order.
    pub(super) want: Option<Box<Want>>,
    pub(super) items: Vec<PendingChannel>,
    /// How many of them are not open yet.
    pub(super) missing: u32,
}

impl PendingSubscribe {
    pub(super) fn of_call(call: u64) -> PendingSubscribe {
        PendingSubscribe { call: Some(call), job: false, want: None, items: Vec::new(), missing: 0 }
    }

    pub(super) fn of_job() -> PendingSubscribe {
        PendingSubscribe { call: None, job: true, want: None, items: Vec::new(), missing: 0 }
    }

    pub(super) fn of_request(want: Want) -> PendingSubscribe {
        PendingSubscribe { job: false, want: Some(Box::new(want)), ..PendingSubscribe::of_job() }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct PendingChannel {
    pub(super) channel: u32,
    pub(super) position: Option<Position>,
    pub(super) history: u32,
    /// Where the copy here was behind the position: the first of the owner's answers that says what
    /// has become of it.
    pub(super) answer: Option<SyncNumber>,
}

/// A `join` that waits for the broker.
#[derive(Debug)]
pub(super) struct PendingJoin {
    pub(super) call: u64,
    pub(super) room: RoomName,
    pub(super) member: u64,
}

/// What a connection needs that does more than listen.
#[derive(Debug, Default)]
pub(super) struct Talk {
    pub(super) session: Session,
    /// Number of the membership, for the broker.
    pub(super) member: u64,
    /// More than one if it has left and joined again before the first answer.
    pub(super) joins: Vec<PendingJoin>,
    pub(super) pending: Vec<PendingSubscribe>,
    /// The request for an answer without end, until its channels are open.
    pub(super) stream: Option<Box<(Asker, Framing)>>,
    /// Until when it is served, where that is limited.
    pub(super) until: Option<Ticks>,
    /// What is asked of channels over HTTP.
    pub(super) job: Option<Box<Job>>,
    /// A PushStream client's poll.
    pub(super) poll: Option<Box<Poll>>,
    /// The Socket.IO session that it belongs to, where that is not itself.
    pub(super) wire: Option<SessionId>,
    /// A session without a socket.
    pub(super) polled: Option<Box<Polled>>,
    /// When a client that waits for pings of its own kind was last sent one.
    pub(super) pinged_at: Ticks,
}

#[derive(Debug)]
#[allow(clippy::box_collection, reason = "an idle connection pays 8 bytes for each instead of 24")]
pub(super) struct Connection {
    pub(super) phase: Phase,
    /// In one of the shard's lists of connections that may have something to send.
    pub(super) queued: bool,
    /// Its socket is full.
    pub(super) blocked: bool,
    /// A ping waits for any sign of life.
    pub(super) pinged: bool,
    /// A request of it has been answered: another may follow, or none.
    pub(super) answered: bool,
    /// It will say nothing more, but waits for an answer.
    pub(super) half_closed: bool,
    /// How messages go out to it; what it says may be compressed where they are.
    pub(super) form: Form,
    /// The batch of sends that its last one belongs to: at most one of a batch is its.
    pub(super) batch: u32,
    pub(super) rest: Option<Box<Rest>>,
    /// Answers, pongs and notices.
    pub(super) control: Option<Box<Vec<u8>>>,
    /// The beginning of a head or frame.
    pub(super) input: Option<Box<Vec<u8>>>,
    pub(super) reader: FrameReader,
    pub(super) subscriptions: SmallVec<[Subscription; 2]>,
    pub(super) talk: Option<Box<Talk>>,
    /// When something last came.
    pub(super) heard: Ticks,
    /// Since when the phase, or being blocked, or being idle, has lasted.
    pub(super) since: Ticks,
    /// Which entry of the timer wheel counts.
    pub(super) timer: Ticks,
}

impl Connection {
    pub(super) fn new(now: Ticks, batch: u32) -> Connection {
        Connection {
            phase: Phase::Head,
            queued: false,
            blocked: false,
            pinged: false,
            answered: false,
            half_closed: false,
            form: Form::PLAIN,
            batch,
            rest: None,
            control: None,
            input: None,
            reader: FrameReader::default(),
            subscriptions: SmallVec::new(),
            talk: None,
            heard: now,
            since: now,
            timer: Ticks(0),
        }
    }

    pub(super) fn control(&mut self) -> &mut Vec<u8> {
        self.control.get_or_insert_default()
    }

    pub(super) fn talk(&mut self) -> &mut Talk {
        self.talk.get_or_insert_default()
    }

    /// Channels that it has or waits for.
    pub(super) fn channels(&self) -> usize {
        let pending = |talk: &Talk| talk.pending.iter().map(|pending| pending.items.len()).sum::<usize>();
        self.subscriptions.len() + self.talk.as_deref().map_or(0, pending)
    }

    pub(super) fn waits_for(&self, channel: u32) -> bool {
        self.subscriptions.iter().any(|subscription| subscription.channel == channel)
            || self.talk.as_deref().is_some_and(|talk| {
                talk.pending.iter().any(|pending| pending.items.iter().any(|item| item.channel == channel))
            })
    }

    /// Neither subscribed to anything nor a member of a room. The original's publishers may be that for as
    /// long as they like: once cut off, they come back and do not say who they are.
    pub(super) fn is_idle(&self) -> bool {
        self.form.socketio().is_none()
            && self.channels() == 0
            && self.talk.as_deref().is_none_or(|talk| talk.session.room().is_none())
    }

    /// It has no socket.
    pub(super) fn is_polled(&self) -> bool {
        self.talk.as_deref().is_some_and(|talk| talk.polled.is_some())
    }

    /// A PushStream client has asked over HTTP, and no answer has begun.
    pub(super) fn is_unanswered(&self) -> bool {
        self.talk.as_deref().is_some_and(|talk| talk.stream.is_some() || talk.poll.is_some())
    }

    /// Something of it waits to be sent, messages aside.
    pub(super) fn has_unsent(&self) -> bool {
        self.control.is_some() || self.rest.is_some() || self.blocked
    }

    /// Forgets what is not worth keeping.
    pub(super) fn tidy(&mut self) {
        if self.form.socketio().is_none() && self.talk.as_deref().is_some_and(Talk::is_blank) {
            self.talk = None;
        }
    }
}

impl Talk {
    /// Whether nothing of it would have to be kept.
    fn is_blank(&self) -> bool {
        self.session.is_blank()
            && self.pending.is_empty()
            && self.stream.is_none()
            && self.poll.is_none()
            && self.job.is_none()
            && self.wire.is_none()
            && self.polled.is_none()
            && self.until.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A figure of the capacity plan: what every connection costs before it does anything.
    #[test]
    fn an_idle_connection_stays_small() {
        assert!(size_of::<Connection>() <= 128, "{} bytes", size_of::<Connection>());
    }
}
