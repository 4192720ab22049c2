//! The forms in which a channel's messages go out: as they are, compressed, and as the templates of
//! PushStream locations have them. The plain log stays the truth; the others follow it when somebody is
//! sent something who wants them.

use crate::limits::{CLOCK_SKEW_S, LIST_BYTES_MAX, LOOKED_AT_ONCE};
use crate::message;
use crate::names::ChannelName;
use crate::position::{Offset, Position};
use crate::protocol::message_of;
use crate::pushstream::{Framing, Location, Mode, Settings, Since, Stamp, View, wire};
use crate::room_log::{FrameRun, LogLimits, RoomLog};

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

    /// So many for each location: in frames or chunks, and as they are.
    pub(super) const OF_LOCATION: usize = 2;

    /// Of the PushStream location with this number.
    pub(super) fn of_location(number: usize, framing: Framing) -> Option<Form> {
        let number = number * Form::OF_LOCATION + usize::from(framing == Framing::None);
        u8::try_from(number + Form::OTHERS).ok().map(Form)
    }

    /// The location's number.
    pub(super) fn location(self) -> Option<usize> {
        Some(usize::from(self.0).checked_sub(Form::OTHERS)? / Form::OF_LOCATION)
    }

    /// How messages are told apart, of a location in this mode.
    pub(super) fn framing(self, mode: Mode) -> Framing {
        let raw = usize::from(self.0)
            .checked_sub(Form::OTHERS)
            .is_some_and(|number| number % Form::OF_LOCATION == 1);
        match mode {
            Mode::WebSocket => Framing::WebSocket,
            _ if raw => Framing::None,
            _ => Framing::Chunks,
        }
    }

    /// How many there are.
    pub(super) fn count(settings: &Settings) -> usize {
        Form::OTHERS + Form::OF_LOCATION * settings.locations.len()
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

/// Messages as a location's template has them. What was gathered before a send is one frame, a list of all
/// of it; it stands at its last message, and before that stand empty ones. It stays as long as the channel is
/// open: whoever comes and goes does not cost it anew.
#[derive(Debug)]
struct Rendered {
    form: Form,
    log: RoomLog,
}

impl Forms {
    /// Somebody subscribes who wants this form.
    pub(super) fn joined(&mut self, form: Form) {
        if form == Form::DEFLATED {
            self.deflated.joined();
        }
    }

    /// One of them has gone.
    pub(super) fn left(&mut self, form: Form) {
        if form == Form::DEFLATED {
            self.deflated.left();
        }
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
        let Some(number) = form.location() else {
            let deflating = tools.deflating.filter(|_| form == Form::DEFLATED);
            return self.deflated.or(plain, cursor, deflating);
        };
        match self.rendered.iter_mut().find(|one| one.form == form).zip(tools.locations.get(number)) {
            Some((rendered, location)) => {
                rendered.follow(plain, name, location);
                &rendered.log
            }
            // Nobody of this form has ever subscribed.
            None => plain,
        }
    }

    /// Where somebody new begins, who is then to be counted by [`Forms::joined`].
    pub(super) fn begin(
        &mut self,
        plain: &RoomLog,
        name: &ChannelName,
        (form, location): (Form, &Location),
        (since, flush_interval_ms): (&Since, u64),
    ) -> Offset {
        let wanted = place(plain, since, flush_interval_ms);
        let place = self.rendered.iter().position(|one| one.form == form);
        let rendered = match place {
            Some(place) => &mut self.rendered[place],
            None => {
                let log = RoomLog::new(plain.head(), limits(plain));
                self.rendered.push(Rendered { form, log });
                let last = self.rendered.len() - 1;
                &mut self.rendered[last]
            }
        };
        rendered.follow(plain, name, location);
        if wanted < rendered.log.back(u32::MAX) {
            // All of it, so that nobody else has to.
            rendered.rebuild(plain, name, location);
        }
        rendered.log.boundary(wanted)
    }
}

impl Rendered {
    /// Takes up what is new in the plain log, in lists.
    fn follow(&mut self, plain: &RoomLog, name: &ChannelName, location: &Location) {
        let (here, there) = (self.log.head(), plain.head());
        let oldest = plain.back(u32::MAX);
        if here.epoch != there.epoch || here.offset < oldest || here.offset > there.offset {
            return self.rebuild(plain, name, location);
        }
        if here.offset < there.offset {
            let run = plain.run_after(here.offset, usize::MAX);
            let mut from = 0;
            while from < run.ids.len() {
                let mut bytes = 0;
                let fits = |index: &usize| {
                    bytes += run.frame(*index).len();
                    bytes <= LIST_BYTES_MAX
                };
                let count = (from..run.ids.len()).take_while(fits).count().max(1);
                self.append(&run, from..from + count, name, location);
                from += count;
            }
        }
        self.log.let_go_before(oldest);
    }

    /// Begins anew with all that is kept, each message by itself: then everybody's place is one to begin at.
    fn rebuild(&mut self, plain: &RoomLog, name: &ChannelName, location: &Location) {
        let run = plain.run_after(plain.back(u32::MAX), usize::MAX);
        let before = Position { epoch: run.epoch, offset: run.before, id: run.before_id };
        self.log = RoomLog::new(before, limits(plain));
        for one in 0..run.ids.len() {
            self.append(&run, one..one + 1, name, location);
        }
    }

    /// Appends messages of a run as one list.
    fn append(
        &mut self,
        run: &FrameRun,
        of: std::ops::Range<usize>,
        name: &ChannelName,
        location: &Location,
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
        let view = View {
            id: i64::try_from(id.0).unwrap_or(i64::MAX),
            stamp: Stamp::of(time, id),
            channel: name.as_str(),
            text: &text,
            event_id: "",
            event_type: "",
        };
        let mut frame = Vec::new();
        let framing = self.form.framing(location.mode);
        wire::message(location.mode, framing, &location.template, &view, &mut frame);
        self.log.append_list(&run.ids[of], frame.len(), |out| out.extend_from_slice(&frame));
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

/// As many messages as the plain log, whatever they take: it lets go of what the plain one has let go of.
fn limits(plain: &RoomLog) -> LogLimits {
    LogLimits { bytes_max: usize::MAX, ..plain.limits() }
}

/// The place behind which all that is wanted stands. A place in time that is no message of this channel is
/// one of another's, which may have been sent when what was said here shortly before was still gathered:
/// that is wanted too.
fn place(plain: &RoomLog, since: &Since, flush_interval_ms: u64) -> Offset {
    let head = plain.head_offset();
    let after = match since {
        Since::Now | Since::Event(_) => return head,
        Since::Last(count) => return plain.back(*count),
        Since::After(stamp) => *stamp,
    };
    let oldest = plain.back(u32::MAX);
    let first_kept = plain.run_after(oldest, 1);
    let earlier = after.earlier_by(flush_interval_ms);
    if first_kept.ids.is_empty() || earlier.second + CLOCK_SKEW_S < stamp_of(&first_kept, 0).second {
        return oldest;
    }
    let (mut first, mut at) = (head, head);
    while at > oldest {
        let from = Offset(at.0.saturating_sub(LOOKED_AT_ONCE).max(oldest.0));
        let run = plain.run_after(from, usize::try_from(at.0 - from.0).unwrap_or(usize::MAX));
        let mut all_old = true;
        for index in (0..run.ids.len()).rev() {
            let (stamp, offset) = (stamp_of(&run, index), Offset(from.0 + index as u64 + 1));
            if stamp == after {
                // This very message was the last.
                return offset;
            }
            if stamp > earlier {
                first = Offset(offset.0 - 1);
            }
            all_old &= stamp.second + CLOCK_SKEW_S < earlier.second;
        }
        if all_old {
            break;
        }
        at = from;
    }
    first
}

/// Where a client is that was in another past: behind the same message, or one said then, if that is there;
/// else before everything.
pub(super) fn same_place(old: &RoomLog, new: &RoomLog, cursor: Offset) -> Offset {
    let beginning = new.back(u32::MAX);
    if cursor == Offset::START {
        return beginning;
    }
    let Some(id) = old.id_at(cursor) else { return beginning };
    if let Some(found) = new.find(id) {
        return found;
    }
    let run = old.run_after(Offset(cursor.0 - 1), 1);
    if run.ids.first() == Some(&id) {
        return place(new, &Since::After(stamp_of(&run, 0)), 0);
    }
    beginning
}
