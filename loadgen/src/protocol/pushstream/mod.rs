//! PushStream's subscribers (docs/COMPATIBILITY.md), a mode each. What they hear is said by publishers of the
//! native protocol in the room of the same name, at the same worker: a room's messages are in the channel
//! `m_ROOM`.
//!
//! Messages are not taken apart, whatever the location's template is: they are searched for stamps. One that
//! holds several texts (a list) is several deliveries.

mod events;
mod polls;
mod stream;

use memchr::memmem;
use serde::{Deserialize, Serialize};

use super::{Framing, Heard, Part, Session};
use crate::stamp::{MARK, STAMP_BYTES};
use crate::websocket::Masks;

/// How a subscriber is sent its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A WebSocket.
    WebSocket,
    /// As a browser's `EventSource` reads them.
    EventSource,
    /// One behind the other in an answer without end.
    Streaming,
    /// A request for each answer; the next one waits for what comes.
    LongPolling,
    /// A request now and then.
    Polling,
    /// Long polling as scripts that call a function.
    Jsonp,
}

impl Mode {
    /// Its name, and what it is, on the command line.
    #[must_use]
    pub fn named(self) -> (&'static str, &'static str) {
        match self {
            Mode::WebSocket => {
                ("pushstream-websocket", "PushStream's subscribers; publishers are native. Here by WebSocket")
            }
            Mode::EventSource => ("pushstream-eventsource", "The same by EventSource"),
            Mode::Streaming => ("pushstream-streaming", "The same by an answer without end"),
            Mode::LongPolling => (
                "pushstream-long-polling",
                "The same by long polls, one behind the other on a kept connection",
            ),
            Mode::Polling => ("pushstream-polling", "The same by polls, one each --poll-interval"),
            Mode::Jsonp => ("pushstream-jsonp", "The same by long polls that call a function"),
        }
    }

    /// What the path of a channel begins with that has the messages of a room.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Mode::WebSocket => "/ws/m_",
            Mode::EventSource => "/ev/m_",
            Mode::Streaming => "/sub/m_",
            Mode::LongPolling => "/lp/m_",
            Mode::Polling => "/poll/m_",
            Mode::Jsonp => "/jsonp/m_",
        }
    }

    /// Where a room's messages are.
    #[must_use]
    pub fn path(self, room: &str) -> String {
        format!("{}{room}", self.prefix())
    }

    /// Whether a client that was cut can come back exactly where it was: the others are told no more than the
    /// second of what they have seen.
    #[must_use]
    pub fn resumes(self) -> bool {
        !matches!(self, Mode::WebSocket | Mode::Streaming)
    }

    /// A session in this mode.
    #[must_use]
    pub fn session(self, part: &Part) -> Box<dyn Session> {
        match self {
            Mode::WebSocket => Box::new(Sockets),
            Mode::EventSource => Box::new(events::Events::new(part)),
            Mode::Streaming => Box::new(stream::Stream::new(part)),
            Mode::LongPolling | Mode::Polling | Mode::Jsonp => Box::new(polls::Polls::new(self, part)),
        }
    }
}

/// A WebSocket: nothing to remember.
struct Sockets;

impl Session for Sockets {
    fn begin(&mut self, _: &mut Masks, _: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>)) {
        heard(Heard::Ready { next: None, recovered: None });
    }

    fn text(&mut self, text: &[u8], _: &mut Masks, _: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>)) {
        stamped(text, heard);
    }
}

/// Tells all texts in something whole.
fn stamped(mut bytes: &[u8], heard: &mut dyn FnMut(Heard<'_>)) {
    while let Some(at) = memmem::find(bytes, MARK) {
        bytes = behind(&bytes[at..], heard);
    }
}

/// Tells the text that these bytes begin with, if the mark that they begin with is a stamp's. What follows.
fn behind<'a>(bytes: &'a [u8], heard: &mut dyn FnMut(Heard<'_>)) -> &'a [u8] {
    if bytes.get(STAMP_BYTES - 1) != Some(&b'~') {
        // A text of somebody else's, perhaps, in which a stamp may still begin.
        return &bytes[MARK.len()..];
    }
    heard(Heard::Text(bytes, None));
    &bytes[STAMP_BYTES..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::{Identity, Stamp};

    /// The text with this number, of so many bytes.
    pub(super) fn text(sequence: u32, size: usize) -> String {
        let mut text = Vec::new();
        let identity = Identity { publisher: 3, sequence };
        Stamp { run: 7, identity, due_ns: 1 }.write(size, &mut text);
        String::from_utf8(text).expect("plain")
    }

    /// What such a worker makes of texts that it sends together.
    pub(super) fn list(texts: &[String]) -> String {
        let said = |text: &String| format!(r#"{{"user":{{"name":"~l"}},"msg":"{text}","i":"0-1","d":1}}"#);
        let all: Vec<String> = texts.iter().map(said).collect();
        format!("Mon, 23 Nov 2026 12:33:40 GMT.m_a.[{}]", all.join(","))
    }

    /// A subscriber whose texts have so many bytes.
    pub(super) fn part(resumes: bool, size_bytes: usize) -> Part {
        Part { channel: "a".into(), subscribes: true, publishes: None, resumes, stays: true, size_bytes }
    }

    /// What was heard, in short.
    pub(super) fn short(heard: &Heard<'_>) -> String {
        match heard {
            Heard::Text(text, None) => match Stamp::read(text) {
                Some(stamp) => stamp.identity.sequence.to_string(),
                None => "no stamp".to_owned(),
            },
            Heard::Ready { recovered, .. } => format!("ready {recovered:?}"),
            other => format!("{other:?}"),
        }
    }

    /// What a session hears in pieces of a stream.
    pub(super) fn heard_in(session: &mut dyn Session, pieces: &[&[u8]]) -> Vec<String> {
        let mut seen = Vec::new();
        for piece in pieces {
            session.text(piece, &mut Masks::new(1), &mut Vec::new(), &mut |heard| seen.push(short(&heard)));
        }
        seen
    }

    #[test]
    fn frames_of_one_text_and_of_several() {
        for texts in 1..4 {
            let texts: Vec<String> = (0..texts).map(|number| text(number, 100)).collect();
            let expected: Vec<String> = (0..texts.len()).map(|number| number.to_string()).collect();
            assert_eq!(heard_in(&mut Sockets, &[list(&texts).as_bytes()]), expected);
        }
        assert_eq!(heard_in(&mut Sockets, &[b"~lg", b"hello", b"", b"~lg~lg", b"~l"]), [""; 0]);
        let hidden = format!("~lg~lg{}~lg~l{}~lg", text(0, 64), text(1, 64));
        assert_eq!(heard_in(&mut Sockets, &[hidden.as_bytes()]), ["0", "1"]);
    }
}
