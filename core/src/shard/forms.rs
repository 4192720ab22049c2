//! The forms in which a channel's messages go out: as they are, compressed, and as the templates of
//! PushStream locations have them. The plain log stays the truth; the others follow it when somebody is
//! sent something who wants them.

use crate::names::ChannelName;
use crate::position::Offset;
use crate::pushstream::{Framing, Location, Mode, Settings};
use crate::room_log::RoomLog;

use super::deflated::{DeflatedLog, Deflating};
use super::past::{self, Wanted};
use super::rendered::Rendered;

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
    /// The message by which the channel was last deleted.
    pub(super) deleted: Offset,
    pub(super) deflating: Option<&'a mut Deflating>,
    pub(super) locations: &'a [Location],
}

/// A channel's forms besides the plain one.
#[derive(Debug, Default)]
pub(super) struct Forms {
    deflated: DeflatedLog,
    rendered: Vec<Rendered>,
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
                rendered.follow(plain, name, location, tools.deleted);
                &rendered.log
            }
            // Nobody of this form has ever subscribed.
            None => plain,
        }
    }

    /// Where somebody new begins, who is then to be counted by [`Forms::joined`]; and before that the rest of
    /// a list, if it is in the middle of one.
    pub(super) fn begin(
        &mut self,
        plain: &RoomLog,
        name: &ChannelName,
        (form, location): (Form, &Location),
        wanted: &Wanted<'_>,
        own_bytes_max: usize,
    ) -> (Offset, Vec<Vec<u8>>) {
        let (deleted, unstored) = (wanted.deleted, wanted.unstored);
        let wanted = past::place(plain, wanted);
        let rendered = self.rendered_for(plain, form);
        rendered.follow(plain, name, location, deleted);
        if wanted < rendered.log.back(u32::MAX) {
            // All of it, so that nobody else has to.
            rendered.rebuild(plain, name, location, deleted);
        }
        let (mut end, head) = (wanted, plain.head_offset());
        while end < head && rendered.log.boundary(end) != end {
            end = end.next();
        }
        if unstored.behind(wanted) > 0 {
            // Among what is not for it, each by itself; unless that were too much to be written for it alone.
            let run = plain.run_after(wanted, usize::MAX);
            let stored = |index: &usize| !unstored.has(Offset(run.before.0 + *index as u64 + 1));
            let (mut frames, mut bytes) = (Vec::new(), 0);
            for index in (0..run.ids.len()).filter(stored) {
                let frame = rendered.frame(&run, &(index..index + 1), (name, location), deleted);
                bytes += frame.len();
                if bytes > own_bytes_max {
                    break;
                }
                frames.push(frame);
            }
            if bytes <= own_bytes_max {
                return (head, frames);
            }
        }
        let mut rest = Vec::new();
        if end > wanted {
            let run = plain.run_after(wanted, usize::try_from(end.0 - wanted.0).unwrap_or(usize::MAX));
            let all = 0..run.ids.len();
            rest.push(rendered.frame(&run, &all, (name, location), deleted));
        }
        (end, rest)
    }

    fn rendered_for(&mut self, plain: &RoomLog, form: Form) -> &mut Rendered {
        let place = self.rendered.iter().position(|one| one.form == form);
        let place = place.unwrap_or_else(|| {
            self.rendered.push(Rendered::new(form, plain));
            self.rendered.len() - 1
        });
        &mut self.rendered[place]
    }

    /// The messages behind a place as a poll is answered with them, each by itself.
    pub(super) fn texts_after(
        &mut self,
        plain: &RoomLog,
        name: &ChannelName,
        (form, location): (Form, &Location),
        (cursor, deleted): (Offset, Offset),
    ) -> Texts {
        let rendered = self.rendered_for(plain, form);
        rendered.follow(plain, name, location, deleted);
        let run = rendered.log.run_after(cursor, usize::MAX);
        let frames = (0..run.ids.len()).map(|index| run.frame(index));
        let texts = frames.filter(|frame| !frame.is_empty()).map(<[u8]>::to_vec).collect();
        Texts { texts, last: run.last() }
    }
}

/// What a poll is answered with, of one channel.
pub(super) struct Texts {
    pub(super) texts: Vec<Vec<u8>>,
    /// The last message among them, or where the poll was.
    pub(super) last: Offset,
}
