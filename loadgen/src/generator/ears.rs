//! What a connection's session tells, as it is counted: for the length of one read.

use super::connection::Class;
use super::measuring::Measuring;
use crate::checking::{Lane, Track};
use crate::protocol::Heard;
use crate::stamp::Stamp;
use crate::tape::Tape;

/// Whoever listens on one connection, for the length of one read.
pub(super) struct Ears<'a> {
    pub(super) run: u32,
    pub(super) now_ns: u64,
    pub(super) class: Class,
    /// It is kept apart: its times are not the run's.
    pub(super) aside: bool,
    pub(super) lane: &'a mut Lane,
    pub(super) track: &'a mut Track,
    pub(super) tape: &'a mut Tape,
    pub(super) measuring: &'a mut Measuring,
    /// Messages heard for the first time.
    pub(super) new: u64,
    /// Messages in the frame that is being heard, and when the last of them was due.
    in_frame: u32,
    due_ns: u64,
    pub(super) ready: Option<Option<bool>>,
    pub(super) failed: Option<String>,
    /// When answered messages were due, and whether they were refused.
    pub(super) answered: Vec<(u64, bool)>,
    /// The connection is to be made anew.
    pub(super) hangs_up: bool,
    /// It asks again in a while.
    pub(super) pauses: bool,
}

impl<'a> Ears<'a> {
    /// Of one who has heard nothing yet in this read.
    pub(super) fn new(
        run: u32,
        now_ns: u64,
        (class, aside): (Class, bool),
        (lane, track, tape): (&'a mut Lane, &'a mut Track, &'a mut Tape),
        measuring: &'a mut Measuring,
    ) -> Ears<'a> {
        Ears {
            run,
            now_ns,
            class,
            aside,
            lane,
            track,
            tape,
            measuring,
            new: 0,
            in_frame: 0,
            due_ns: 0,
            ready: None,
            failed: None,
            answered: Vec::new(),
            hangs_up: false,
            pauses: false,
        }
    }

    /// Frames that somebody else has heard before, byte for byte: how many bytes.
    pub(super) fn familiar(&mut self, bytes: &[u8]) -> usize {
        let Some(place) = self.lane.next_place(self.track).filter(|_| self.class == Class::Stays) else {
            return 0;
        };
        let (measuring, now_ns, aside) = (&mut *self.measuring, self.now_ns, self.aside);
        let (length, count) =
            self.tape.follow(place, bytes, |due_ns| measuring.received(due_ns, now_ns, false, aside));
        self.lane.hear_again(self.track, count);
        self.new += u64::from(count);
        length
    }

    /// A frame: `hears` tells what is in it, and whether that is all there is to it. If it is one message
    /// which nobody has heard before, the frame is kept for those who will be sent the same.
    pub(super) fn frame(&mut self, frame: &[u8], hears: impl FnOnce(&mut Self) -> bool) {
        let place = self.lane.len();
        self.in_frame = 0;
        let whole = hears(self);
        if whole && self.in_frame == 1 && self.lane.len() > place {
            self.tape.write(place, frame, self.due_ns);
        }
    }

    pub(super) fn hear(&mut self, heard: Heard<'_>) {
        match heard {
            Heard::Text(text, offset) => self.text(text, offset),
            Heard::Ready { next, recovered } => {
                self.ready = Some(recovered);
                if self.class == Class::Comes {
                    *self.track = Track::from_now(next);
                }
            }
            Heard::Acknowledged(due_ns) => {
                self.answered.push((due_ns, false));
                self.measuring.acknowledged(due_ns, self.now_ns, self.aside);
            }
            Heard::Refused(due_ns, code) => {
                self.answered.push((due_ns, true));
                self.measuring.refused(due_ns, code);
            }
            Heard::Gap => self.track.told(),
            Heard::Failed(why) => self.failed = Some(why),
            Heard::HangsUp => self.hangs_up = true,
            Heard::Pauses => self.pauses = true,
        }
    }

    fn text(&mut self, text: &[u8], offset: Option<u64>) {
        let Some(stamp) = Stamp::read(text).filter(|stamp| stamp.run == self.run) else { return };
        match self.class {
            Class::Publishes => {}
            Class::Slow => self.measuring.received_slowly(),
            Class::Stays | Class::Comes => {
                (self.in_frame, self.due_ns) = (self.in_frame + 1, stamp.due_ns);
                if self.lane.hear(self.track, stamp.identity, offset, &mut self.measuring.found) {
                    self.new += 1;
                    let comes = self.class == Class::Comes;
                    self.measuring.received(stamp.due_ns, self.now_ns, comes, self.aside);
                }
            }
        }
    }
}
