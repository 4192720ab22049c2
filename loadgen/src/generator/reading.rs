//! What connections hear.

use std::io;

use super::connecting::reason;
use super::connection::{Class, Stage};
use super::measuring::Measuring;
use super::timers::What;
use super::{Generator, Phase};
use crate::checking::{Lane, Track};
use crate::clock::now_ns;
use crate::limits::{FRAME_BYTES_MAX, SLOW_READ_NS};
use crate::protocol::Heard;
use crate::stamp::Stamp;
use crate::tape::Tape;
use crate::websocket::{self, Frame};

/// Whoever listens on one connection, for the length of one read.
struct Ears<'a> {
    run: u32,
    now_ns: u64,
    class: Class,
    /// It is kept apart: its times are not the run's.
    aside: bool,
    lane: &'a mut Lane,
    track: &'a mut Track,
    tape: &'a mut Tape,
    measuring: &'a mut Measuring,
    /// Messages heard for the first time.
    new: u64,
    /// Messages in the frame that is being heard, and when the last of them was due.
    in_frame: u32,
    due_ns: u64,
    ready: Option<Option<bool>>,
    failed: Option<String>,
    /// When answered messages were due, and whether they were refused.
    answered: Vec<(u64, bool)>,
}

impl Ears<'_> {
    /// Frames that somebody else has heard before, byte for byte: how many bytes.
    fn familiar(&mut self, bytes: &[u8]) -> usize {
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

    /// A text frame: `hears` tells what is in it. If that is one message which nobody has heard
    /// before, the frame is kept for those who will be sent the same.
    fn frame(&mut self, frame: &[u8], hears: impl FnOnce(&mut Self)) {
        let place = self.lane.len();
        self.in_frame = 0;
        hears(self);
        if self.in_frame == 1 && self.lane.len() > place {
            self.tape.write(place, frame, self.due_ns);
        }
    }

    fn hear(&mut self, heard: Heard<'_>) {
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

/// The first frame, if it is whole, and its length in bytes; or why nothing more can come of this.
fn whole_frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, String> {
    match websocket::read(bytes) {
        Ok(Some((Frame::Close(code, reason), _))) => {
            Err(format!("closed by the server: {code} {}", String::from_utf8_lossy(reason)))
        }
        Ok(None) if bytes.len() > FRAME_BYTES_MAX => Err("a frame beyond reason".to_owned()),
        other => Ok(other?),
    }
}

impl Generator {
    /// There is something to read, or the other end is gone.
    pub(super) fn readable(&mut self, slot: usize, only_the_end: bool) {
        if only_the_end {
            self.ended(slot, "connection reset");
            return;
        }
        self.read(slot, usize::MAX);
    }

    /// Reads once, at most so many bytes.
    fn read(&mut self, slot: usize, bytes_max: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let held = std::mem::take(&mut self.connections[slot].partial);
        if buffer.len() < held.len() * 2 {
            buffer.resize(held.len() * 2, 0);
        }
        buffer[..held.len()].copy_from_slice(&held);
        let end = buffer.len().min(held.len().saturating_add(bytes_max));
        match self.connections[slot].read(&mut buffer[held.len()..end]) {
            Ok(0) => self.end_of_stream(slot, &held),
            Ok(count) => self.heard(slot, &buffer[..held.len() + count], count),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                self.connections[slot].partial = held;
            }
            Err(error) => self.ended(slot, &reason(&error)),
        }
        self.buffer = buffer;
    }

    fn end_of_stream(&mut self, slot: usize, held: &[u8]) {
        match self.connections[slot].stage {
            Stage::Asking => self.dispatched(slot, held, true),
            _ => self.ended(slot, "closed by the server"),
        }
    }

    /// Bytes have come, after those that were held.
    fn heard(&mut self, slot: usize, bytes: &[u8], new: usize) {
        match self.connections[slot].stage {
            Stage::Asking => self.dispatched(slot, bytes, false),
            Stage::Shaking => {
                let Some(key) = &self.connections[slot].key else { return };
                match websocket::answer(bytes, key, self.begin.plan.deflate) {
                    Ok(None) => self.connections[slot].partial = bytes.to_vec(),
                    Ok(Some(length)) => {
                        self.shaken(slot);
                        self.frames(slot, &bytes[length..], true);
                    }
                    Err(why) => self.try_failed(slot, &why),
                }
            }
            _ => {
                let now_ns = now_ns();
                if self.connections[slot].class != Class::Publishes {
                    self.measuring.bytes(new, now_ns);
                    // It is held against the latency, so it is of those whose latency is told.
                    if !self.is_aside(slot) {
                        self.measuring.busy_reading(self.busy_since_ns, now_ns);
                    }
                }
                self.frames(slot, bytes, false);
            }
        }
    }

    /// Whole frames, and perhaps the beginning of another.
    fn frames(&mut self, slot: usize, bytes: &[u8], begins: bool) {
        let now_ns = now_ns();
        let connection = &mut self.connections[slot];
        let mut ears = Ears {
            run: self.begin.plan.run,
            now_ns,
            class: connection.class,
            aside: connection.lane >= self.aside_from,
            lane: &mut self.lanes[connection.lane as usize],
            track: &mut connection.track,
            tape: &mut self.tapes[connection.lane as usize],
            measuring: &mut self.measuring,
            new: 0,
            in_frame: 0,
            due_ns: 0,
            ready: None,
            failed: None,
            answered: Vec::new(),
        };
        let (session, out, masks) = (&mut connection.session, &mut connection.out, &mut self.masks);
        if begins {
            session.begin(masks, out, &mut |heard| ears.hear(heard));
        }
        let (mut at, mut end) = (0, None);
        loop {
            if !session.needs_every_text() {
                at += ears.familiar(&bytes[at..]);
            }
            match whole_frame(&bytes[at..]) {
                Ok(Some((frame, length))) => {
                    match frame {
                        Frame::Text(text) => ears.frame(&bytes[at..at + length], |ears| {
                            session.text(text, masks, out, &mut |heard| ears.hear(heard));
                        }),
                        Frame::Deflated(_) if !self.begin.plan.deflate => {
                            let why = "compressed, which was not agreed on".to_owned();
                            (at, end) = (bytes.len(), Some(why));
                            break;
                        }
                        Frame::Deflated(text) => match self.inflater.inflate(text, FRAME_BYTES_MAX) {
                            Ok(text) => ears.frame(&bytes[at..at + length], |ears| {
                                session.text(&text, masks, out, &mut |heard| ears.hear(heard));
                            }),
                            Err(_) => {
                                (at, end) =
                                    (bytes.len(), Some("a frame that is wrongly compressed".to_owned()));
                                break;
                            }
                        },
                        Frame::Ping(payload) => masks.pong(payload, out),
                        Frame::Pong | Frame::Close(..) => {}
                    }
                    at += length;
                }
                Ok(None) => break,
                Err(why) => {
                    (at, end) = (bytes.len(), Some(why));
                    break;
                }
            }
        }
        let Ears { new, ready, failed, answered, .. } = ears;
        if at < bytes.len() {
            connection.partial = bytes[at..].to_vec();
        }
        self.settle(slot, new, ready, &answered);
        if let Some(why) = failed {
            self.try_failed_or_ended(slot, &why);
        } else if let Some(why) = end {
            self.ended(slot, &why);
        } else {
            if !answered.is_empty() {
                self.pump(slot);
            }
            self.flush(slot);
        }
    }

    fn settle(&mut self, slot: usize, new: u64, ready: Option<Option<bool>>, answered: &[(u64, bool)]) {
        let was_in = self.connections[slot].stage == Stage::In;
        if matches!(self.phase, Phase::Draining(_)) && self.is_owed(slot) && was_in {
            self.owed = self.owed.saturating_sub(new);
        }
        let lane = self.connections[slot].lane;
        for (due_ns, refused) in answered {
            let message = self.publishing.answered(slot, *due_ns);
            if let Some(message) = message.filter(|_| *refused) {
                let measured = self.measuring.measures(*due_ns);
                self.publishing.count(lane, measured, true);
                let refused = (lane, message.publisher, message.sequence);
                self.publishing.published.refused.push(refused);
            }
        }
        if let Some(recovered) = ready
            && self.connections[slot].stage == Stage::Settling
        {
            self.came_in(slot, recovered);
        }
    }

    fn came_in(&mut self, slot: usize, recovered: Option<bool>) {
        let now_ns = now_ns();
        let connection = &mut self.connections[slot];
        connection.stage = Stage::In;
        self.connecting -= 1;
        if connection.passes_by {
            self.measuring.ready(connection.due_ns, now_ns);
            self.passed_by(slot);
            return;
        }
        self.ready += 1;
        self.ready_clients += usize::from(slot < self.clients);
        if matches!(self.phase, Phase::Draining(_)) {
            self.owed += self.owes(slot);
        }
        let connection = &mut self.connections[slot];
        if connection.cut_ns > 0 {
            self.measuring.resumed(connection.cut_ns, now_ns);
            connection.cut_ns = 0;
            self.measuring.figure("resumed_total", 1.0);
            if recovered != Some(true) {
                self.measuring.figure("not_recovered_total", 1.0);
            }
        } else {
            self.measuring.ready(connection.due_ns, now_ns);
        }
        if connection.class == Class::Slow && self.slow_now() {
            self.hold_back_one(slot);
        }
        self.pump(slot);
    }

    fn try_failed_or_ended(&mut self, slot: usize, why: &str) {
        if self.connections[slot].stage == Stage::In {
            self.ended(slot, why);
        } else {
            self.try_failed(slot, why);
        }
    }

    /// A connection has ended by itself.
    pub(super) fn ended(&mut self, slot: usize, why: &str) {
        let connection = &mut self.connections[slot];
        match connection.stage {
            // It has ended already, in the same breath.
            Stage::Out => return,
            Stage::In => {}
            _ => {
                self.try_failed(slot, why);
                return;
            }
        }
        connection.close(true);
        self.left(slot);
        if self.connections[slot].class == Class::Slow && self.slow_now() {
            self.measuring.slow_gone();
            return;
        }
        self.disconnected += 1;
        self.fault(&format!("disconnected: {why}"));
        self.no_longer_owed(slot);
        self.give_up_publishing(slot);
    }

    /// A connection that was in is no more.
    pub(super) fn left(&mut self, slot: usize) {
        self.ready -= 1;
        self.ready_clients -= usize::from(slot < self.clients);
    }

    /// A slow client reads its little.
    pub(super) fn read_slowly(&mut self, slot: usize) {
        let connection = &self.connections[slot];
        if connection.stage != Stage::In || !connection.held_back {
            return;
        }
        let a_second = self.begin.plan.slow_bytes_per_s;
        let bytes = a_second * SLOW_READ_NS / crate::clock::SECOND_NS;
        self.read(slot, usize::try_from(bytes.max(1)).unwrap_or(usize::MAX));
        if self.connections[slot].held_back {
            self.timers.set(now_ns() + SLOW_READ_NS, What::ReadSlowly(slot));
        }
    }
}
