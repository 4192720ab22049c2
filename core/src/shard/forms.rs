//! The forms in which a channel's messages go out: as they are, compressed, and as the templates of
//! PushStream locations have them. The plain log stays the truth; the others follow it while somebody
//! subscribes who wants them.

use crate::message;
use crate::names::ChannelName;
use crate::position::{Offset, Position};
use crate::protocol::message_of;
use crate::pushstream::{Location, Since, Stamp, Template, View};
use crate::room_log::{FrameRun, RoomLog};
use crate::websocket;

use super::deflated::{DeflatedLog, Deflating};

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form(u8);

impl Form {
    pub(super) const PLAIN: Form = Form(0);
    pub(super) const DEFLATED: Form = Form(1);
    /// Nothing but answers, by engine.io 3 or 4.
    pub(super) const SOCKET_IO_3: Form = Form(2);
    pub(super) const SOCKET_IO_4: Form = Form(3);
    /// Besides locations.
    pub(super) const OTHERS: usize = 4;

    /// Of the PushStream location with this number.
    pub(super) fn of_location(number: usize) -> Option<Form> {
        u8::try_from(number + Form::OTHERS).ok().map(Form)
    }

    /// The location's number.
    pub(super) fn location(self) -> Option<usize> {
        usize::from(self.0).checked_sub(Form::OTHERS)
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// What the forms are made with.
pub(super) struct Tools<'a> {
    pub(super) deflating: Option<&'a mut Deflating>,
    pub(super) locations: &'a [Location],
}

/// A channel's forms besides the plain one.
#[derive(Debug, Default)]
pub(super) struct Forms {
    deflated: DeflatedLog,
    rendered: Vec<Rendered>,
}

/// Messages as a location's template has them, in WebSocket frames. What was gathered before a send is one
/// frame, a list of all of it; it stands at its last message, and before that stand empty ones.
#[derive(Debug)]
struct Rendered {
    location: usize,
    subscribers: u32,
    log: RoomLog,
}

impl Forms {
    /// Somebody subscribes who wants this form.
    pub(super) fn joined(&mut self, form: Form) {
        if form == Form::DEFLATED {
            self.deflated.joined();
        }
        if let Some(rendered) = self.rendered_mut(form) {
            rendered.subscribers += 1;
        }
    }

    /// One of them has gone.
    pub(super) fn left(&mut self, form: Form) {
        if form == Form::DEFLATED {
            self.deflated.left();
        }
        if let Some(rendered) = self.rendered_mut(form) {
            rendered.subscribers = rendered.subscribers.saturating_sub(1);
            self.rendered.retain(|one| one.subscribers > 0);
        }
    }

    fn rendered_mut(&mut self, form: Form) -> Option<&mut Rendered> {
        let location = form.location()?;
        self.rendered.iter_mut().find(|one| one.location == location)
    }

    /// Bytes that they take.
    pub(super) fn memory(&self) -> usize {
        let rendered = self.rendered.iter().map(|one| size_of::<Rendered>() + one.log.memory());
        self.deflated.memory() + rendered.sum::<usize>()
    }

    /// The log that a subscriber at this place is sent from.
    pub(super) fn or<'a>(
        &'a mut self,
        plain: &'a RoomLog,
        name: &ChannelName,
        cursor: Offset,
        form: Form,
        tools: Tools<'_>,
    ) -> &'a RoomLog {
        let Some(location) = form.location() else {
            let deflating = tools.deflating.filter(|_| form == Form::DEFLATED);
            return self.deflated.or(plain, cursor, deflating);
        };
        let template = tools.locations.get(location).map(|location| &location.template);
        match self.rendered.iter_mut().find(|one| one.location == location).zip(template) {
            Some((rendered, template)) => {
                rendered.follow(plain, name, template);
                &rendered.log
            }
            // Nobody of this form subscribes.
            None => plain,
        }
    }

    /// Where somebody new begins, who is then to be counted by [`Forms::joined`].
    pub(super) fn begin(
        &mut self,
        plain: &RoomLog,
        name: &ChannelName,
        (location, template): (usize, &Template),
        since: &Since,
    ) -> Offset {
        let wanted = place(plain, since);
        let place = self.rendered.iter().position(|one| one.location == location);
        let rendered = match place {
            Some(place) => &mut self.rendered[place],
            None => {
                let log = RoomLog::new(plain.head(), plain.limits());
                self.rendered.push(Rendered { location, subscribers: 0, log });
                let last = self.rendered.len() - 1;
                &mut self.rendered[last]
            }
        };
        rendered.follow(plain, name, template);
        if wanted < rendered.log.back(u32::MAX) {
            rendered.rebuild(plain, name, template, wanted);
        }
        rendered.log.boundary(wanted)
    }
}

impl Rendered {
    /// Takes up what is new in the plain log, as one list.
    fn follow(&mut self, plain: &RoomLog, name: &ChannelName, template: &Template) {
        let (here, there) = (self.log.head(), plain.head());
        if here.epoch != there.epoch || here.offset < plain.back(u32::MAX) || here.offset > there.offset {
            return self.rebuild(plain, name, template, plain.back(u32::MAX));
        }
        if here.offset < there.offset {
            let run = plain.run_after(here.offset, usize::MAX);
            self.append(&run, 0..run.ids.len(), name, template);
        }
    }

    /// Begins anew behind `from`, each message by itself: then everybody's place is one to begin at.
    fn rebuild(&mut self, plain: &RoomLog, name: &ChannelName, template: &Template, from: Offset) {
        let run = plain.run_after(from, usize::MAX);
        let before = Position { epoch: run.epoch, offset: run.before, id: run.before_id };
        self.log = RoomLog::new(before, plain.limits());
        for one in 0..run.ids.len() {
            self.append(&run, one..one + 1, name, template);
        }
    }

    /// Appends messages of a run as one list.
    fn append(
        &mut self,
        run: &FrameRun,
        of: std::ops::Range<usize>,
        name: &ChannelName,
        template: &Template,
    ) {
        let mut text = vec![b'['];
        let mut time = message::UnixMillis::default();
        for index in of.clone() {
            let payload = message_of(run.frame(index));
            if text.len() > 1 {
                text.push(b',');
            }
            text.extend_from_slice(payload);
            time = message::time_of(payload).unwrap_or(time);
        }
        text.push(b']');
        let Some(last) = of.end.checked_sub(1) else { return };
        let id = Offset(run.before.0 + last as u64 + 1);
        let view =
            View { id, stamp: Stamp::of(time, id), channel: name, text: &text, event_id: "", event_type: "" };
        let (mut rendered, mut frame) = (Vec::new(), Vec::new());
        template.render(&view, &mut rendered);
        websocket::text_frame(&rendered, &mut frame);
        for index in of {
            let bytes: &[u8] = if index == last { &frame } else { &[] };
            self.log.append(run.ids[index], bytes.len(), |out| out.extend_from_slice(bytes));
        }
    }
}

/// Where a message is in time.
fn stamp_of(run: &FrameRun, index: usize) -> Stamp {
    let time = message::time_of(message_of(run.frame(index))).unwrap_or_default();
    Stamp::of(time, Offset(run.before.0 + index as u64 + 1))
}

/// The newest message's place in time.
pub(super) fn head_stamp(plain: &RoomLog) -> Option<Stamp> {
    let run = plain.run_after(plain.back(1), 1);
    (!run.ids.is_empty()).then(|| stamp_of(&run, 0))
}

/// How far clocks of servers may be apart, in seconds: so much older messages are looked at, too.
const SKEW_S: u64 = 5;
/// Messages that are looked at in one piece.
const LOOKED_AT: u64 = 64;

/// The place behind which all that is wanted stands.
fn place(plain: &RoomLog, since: &Since) -> Offset {
    let head = plain.head_offset();
    let after = match since {
        Since::Now | Since::Event(_) => return head,
        Since::Last(count) => return plain.back(*count),
        Since::After(stamp) => *stamp,
    };
    let (mut first, mut at) = (head, head);
    let oldest = plain.back(u32::MAX);
    while at > oldest {
        let from = Offset(at.0.saturating_sub(LOOKED_AT).max(oldest.0));
        let run = plain.run_after(from, usize::try_from(at.0 - from.0).unwrap_or(usize::MAX));
        for index in (0..run.ids.len()).rev() {
            let (stamp, offset) = (stamp_of(&run, index), Offset(from.0 + index as u64 + 1));
            if stamp == after {
                // This very message was the last.
                return offset;
            }
            if stamp > after {
                first = Offset(offset.0 - 1);
            } else if stamp.second + SKEW_S < after.second {
                return first;
            }
        }
        at = from;
    }
    first
}

/// Where a client is that was in another past: behind the same message, if it is there.
pub(super) fn same_place(old: &RoomLog, new: &RoomLog, cursor: Offset) -> Offset {
    let run = old.run_after(Offset(cursor.0.saturating_sub(1)), 1);
    let found = run.ids.first().and_then(|id| new.find(*id));
    found.unwrap_or_else(|| new.head_offset())
}
