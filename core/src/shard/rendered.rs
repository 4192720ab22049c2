//! A channel's messages as a PushStream location's template has them: rendered once for all its subscribers.

use std::ops::Range;

use crate::limits::LIST_BYTES_MAX;
use crate::message;
use crate::names::ChannelName;
use crate::position::{Offset, Position};
use crate::protocol::message_of;
use crate::pushstream::{Location, Stamp, View, wire};
use crate::room_log::{FrameRun, LogLimits, RoomLog};

use super::forms::Form;
use super::past::stamp_of;

/// What was gathered before a send is one frame, a list of all of it; it stands at its last message, and
/// before that stand empty ones. A text that was published as it is is a frame of its own. The log stays as
/// long as the channel is open: whoever comes and goes does not cost it anew.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) form: Form,
    pub(super) log: RoomLog,
}

/// The number of the message by which a channel is deleted.
const ID_OF_DELETION: i64 = -2;

impl Rendered {
    pub(super) fn new(form: Form, plain: &RoomLog) -> Rendered {
        Rendered { form, log: RoomLog::new(plain.head(), limits(plain)) }
    }

    /// Takes up what is new in the plain log, in lists. Numbers count from the last deletion.
    pub(super) fn follow(
        &mut self,
        plain: &RoomLog,
        name: &ChannelName,
        location: &Location,
        deleted: Offset,
    ) {
        let (here, there) = (self.log.head(), plain.head());
        let oldest = plain.back(u32::MAX);
        if here.epoch != there.epoch || here.offset < oldest || here.offset > there.offset {
            return self.rebuild(plain, name, location, deleted);
        }
        if here.offset < there.offset {
            let run = plain.run_after(here.offset, usize::MAX);
            let mut from = 0;
            while from < run.ids.len() {
                let mut bytes = 0;
                let fits = |index: &usize| {
                    bytes += run.frame(*index).len();
                    let alone = message::is_posted(message_of(run.frame(*index)));
                    bytes <= LIST_BYTES_MAX && !alone
                };
                let count = (from..run.ids.len()).take_while(fits).count().max(1);
                self.append(&run, from..from + count, (name, location), deleted);
                from += count;
            }
        }
        self.log.let_go_before(oldest);
    }

    /// Begins anew with all that is kept, each message by itself: then everybody's place is one to begin at.
    pub(super) fn rebuild(
        &mut self,
        plain: &RoomLog,
        name: &ChannelName,
        location: &Location,
        deleted: Offset,
    ) {
        let run = plain.run_after(plain.back(u32::MAX), usize::MAX);
        let before = Position { epoch: run.epoch, offset: run.before, id: run.before_id };
        self.log = RoomLog::new(before, limits(plain));
        for one in 0..run.ids.len() {
            self.append(&run, one..one + 1, (name, location), deleted);
        }
    }

    /// Appends messages of a run as one list, or a text by itself.
    fn append(
        &mut self,
        run: &FrameRun,
        of: Range<usize>,
        of_what: (&ChannelName, &Location),
        deleted: Offset,
    ) {
        let frame = self.frame(run, &of, of_what, deleted);
        self.log.append_list(&run.ids[of], frame.len(), |out| out.extend_from_slice(&frame));
    }

    /// Messages of a run as one list, or a text by itself.
    pub(super) fn frame(
        &self,
        run: &FrameRun,
        of: &Range<usize>,
        (name, location): (&ChannelName, &Location),
        deleted: Offset,
    ) -> Vec<u8> {
        let Some(last) = of.end.checked_sub(1) else { return Vec::new() };
        let offset = Offset(run.before.0 + last as u64 + 1);
        let stamp = stamp_of(run, last);
        let number = offset.0.checked_sub(deleted.0).filter(|number| *number > 0).unwrap_or(offset.0);
        let view = View {
            id: i64::try_from(number).unwrap_or(i64::MAX),
            stamp,
            channel: name.as_str(),
            text: b"",
            event_id: "",
            event_type: "",
        };
        let mut frame = Vec::new();
        let framing = self.form.framing(location.mode);
        let mut write = |view: &View<'_>| {
            wire::message(location, framing, view, &mut frame);
        };
        match message::read_posted(message_of(run.frame(last))) {
            Some(posted) if posted.deletes => {
                let stamp = Stamp { second: 0, tag: 0 };
                write(&View { id: ID_OF_DELETION, stamp, text: posted.text.as_bytes(), ..view });
            }
            Some(posted) => write(&View {
                text: posted.text.as_bytes(),
                event_id: posted.event_id.as_deref().unwrap_or_default(),
                event_type: posted.event_type.as_deref().unwrap_or_default(),
                ..view
            }),
            None => {
                let payloads: Vec<&[u8]> = of.clone().map(|index| message_of(run.frame(index))).collect();
                let text = [b"[", payloads.join(&b',').as_slice(), b"]"].concat();
                // By this a browser comes back to where it was.
                write(&View { text: &text, event_id: &stamp.event_id(), ..view });
            }
        }
        frame
    }
}

/// As many messages as the plain log, whatever they take: it lets go of what the plain one has let go of.
fn limits(plain: &RoomLog) -> LogLimits {
    LogLimits { bytes_max: usize::MAX, ..plain.limits() }
}
