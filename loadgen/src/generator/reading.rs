//! What connections hear.

use std::io;

use super::connecting::reason;
use super::connection::{Class, Stage};
use super::ears::Ears;
use super::timers::What;
use super::{Generator, Phase};
use crate::clock::now_ns;
use crate::http::{self, Answer};
use crate::limits::{FRAME_BYTES_MAX, SLOW_READ_NS};
use crate::protocol::Framing;
use crate::websocket::{self, Frame};

/// Something whole that came.
enum Piece<'a> {
    Frame(Frame<'a>),
    Answer(Answer<'a>),
}

/// The first piece, if it is whole, and its length in bytes; or why nothing more can come of this.
fn whole_piece(framing: Framing, bytes: &[u8]) -> Result<Option<(Piece<'_>, usize)>, String> {
    let piece = match framing {
        Framing::WebSocket => whole_frame(bytes)?.map(|(frame, length)| (Piece::Frame(frame), length)),
        Framing::Chunks => match http::chunk(bytes)? {
            Some(([], _)) => return Err("closed by the server: the end of the stream".to_owned()),
            Some((text, length)) => Some((Piece::Frame(Frame::Text(text)), length)),
            None => None,
        },
        Framing::Answers if bytes.is_empty() => None,
        Framing::Answers => http::answer(bytes)?.map(|(answer, length)| (Piece::Answer(answer), length)),
    };
    match piece {
        None if bytes.len() > FRAME_BYTES_MAX => Err("a frame beyond reason".to_owned()),
        piece => Ok(piece),
    }
}

/// The first frame, if it is whole, and its length in bytes; or why nothing more can come of this.
fn whole_frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, String> {
    match websocket::read(bytes) {
        Ok(Some((Frame::Close(code, reason), _))) => {
            Err(format!("closed by the server: {code} {}", String::from_utf8_lossy(reason)))
        }
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
            Err(error) => self.gone(slot, &reason(&error)),
        }
        self.buffer = buffer;
    }

    fn end_of_stream(&mut self, slot: usize, held: &[u8]) {
        match self.connections[slot].stage {
            Stage::Asking => self.dispatched(slot, held, true),
            _ => self.gone(slot, "closed by the server"),
        }
    }

    /// The other end is gone.
    fn gone(&mut self, slot: usize, why: &str) {
        let connection = &mut self.connections[slot];
        match connection.stage == Stage::In && connection.session.hung_up() {
            true => self.comes_again(slot),
            false => self.ended(slot, why),
        }
    }

    /// Bytes have come, after those that were held.
    fn heard(&mut self, slot: usize, bytes: &[u8], new: usize) {
        match self.connections[slot].stage {
            Stage::Asking => self.dispatched(slot, bytes, false),
            Stage::Shaking => {
                let connection = &mut self.connections[slot];
                let answered = match (&connection.key, connection.framing) {
                    (_, Framing::Chunks) => http::stream_head(bytes),
                    (Some(key), _) => websocket::answer(bytes, key, self.begin.plan.deflate),
                    (None, _) => return,
                };
                match answered {
                    Ok(None) => connection.partial = bytes.to_vec(),
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
        let connection = &mut self.connections[slot];
        let lane = connection.lane as usize;
        let mut ears = Ears::new(
            self.begin.plan.run,
            now_ns(),
            (connection.class, connection.lane >= self.aside_from),
            (&mut self.lanes[lane], &mut connection.track, &mut self.tapes[lane]),
            &mut self.measuring,
        );
        let (session, out, masks) = (&mut connection.session, &mut connection.out, &mut self.masks);
        if begins {
            session.begin(masks, out, &mut |heard| ears.hear(heard));
        }
        let (mut at, mut end) = (0, None);
        loop {
            if !session.needs_every_text() && session.between_texts() {
                at += ears.familiar(&bytes[at..]);
            }
            let (piece, length) = match whole_piece(connection.framing, &bytes[at..]) {
                Ok(Some(whole)) => whole,
                Ok(None) => break,
                Err(why) => {
                    end = Some(why);
                    break;
                }
            };
            let mut hears = |ears: &mut Ears<'_>, text: &[u8]| {
                let began = session.between_texts();
                session.text(text, masks, out, &mut |heard| ears.hear(heard));
                began && session.between_texts()
            };
            let raw = &bytes[at..at + length];
            match piece {
                Piece::Frame(Frame::Text(text)) => ears.frame(raw, |ears| hears(ears, text)),
                Piece::Frame(Frame::Deflated(_)) if !self.begin.plan.deflate => {
                    end = Some("compressed, which was not agreed on".to_owned());
                    break;
                }
                Piece::Frame(Frame::Deflated(text)) => match self.inflater.inflate(text, FRAME_BYTES_MAX) {
                    Ok(text) => ears.frame(raw, |ears| hears(ears, &text)),
                    Err(_) => {
                        end = Some("a frame that is wrongly compressed".to_owned());
                        break;
                    }
                },
                Piece::Frame(Frame::Ping(payload)) => masks.pong(payload, out),
                Piece::Frame(Frame::Pong | Frame::Close(..)) => {}
                Piece::Answer(answer) => session.answer(&answer, out, &mut |heard| ears.hear(heard)),
            }
            at += length;
        }
        let Ears { new, ready, failed, answered, hangs_up, pauses, .. } = ears;
        if at < bytes.len() && end.is_none() {
            connection.partial = bytes[at..].to_vec();
        }
        self.settle(slot, new, ready, &answered);
        if let Some(why) = failed {
            self.try_failed_or_ended(slot, &why);
        } else if let Some(why) = end {
            self.ended(slot, &why);
        } else if hangs_up {
            self.comes_again(slot);
        } else {
            if pauses {
                self.pause(slot);
            }
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

    pub(super) fn came_in(&mut self, slot: usize, recovered: Option<bool>) {
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
