//! An `EventSource`: an answer without end whose messages end with an empty line. Each is heard when it has
//! ended, as a page hears it, and its id is where a client that was cut goes on.

use memchr::{memchr, memmem};

use super::{Framing, Heard, Part, Session, stamped};
use crate::http;
use crate::limits::FRAME_BYTES_MAX;
use crate::websocket::Masks;

/// What ends a message.
const END: &[u8] = b"\n\n";
/// What stands before a message's id.
const ID: &[u8] = b"id: ";

/// A subscription.
pub(super) struct Events {
    target: String,
    resumes: bool,
    /// The beginning of a message whose end has not come.
    begun: Vec<u8>,
    /// The id of the last message, and whether that was heard on an earlier connection.
    id: Vec<u8>,
    comes_back: bool,
}

impl Events {
    pub(super) fn new(part: &Part) -> Events {
        Events {
            target: super::Mode::EventSource.path(&part.channel),
            resumes: part.resumes,
            begun: Vec::new(),
            id: Vec::new(),
            comes_back: false,
        }
    }

    fn event(&mut self, event: &[u8], heard: &mut dyn FnMut(Heard<'_>)) {
        if self.resumes {
            let mut lines = event.split(|byte| *byte == b'\n');
            if let Some(id) = lines.find_map(|line| line.strip_prefix(ID)) {
                self.id.clear();
                self.id.extend_from_slice(id);
            }
        }
        stamped(event, heard);
    }
}

/// Behind comments, which belong to no message, as far as they are whole.
fn behind_comments(mut bytes: &[u8]) -> &[u8] {
    while bytes.first() == Some(&b':')
        && let Some(end) = memchr(b'\n', bytes)
    {
        bytes = &bytes[end + 1..];
    }
    bytes
}

impl Session for Events {
    fn framing(&self) -> Framing {
        Framing::Chunks
    }

    fn request(&mut self, host: &str, out: &mut Vec<u8>, _: &mut dyn FnMut(Heard<'_>)) {
        self.begun.clear();
        self.comes_back = !self.id.is_empty();
        let mut headers = "Accept: text/event-stream\r\n".to_owned();
        if self.comes_back {
            headers.push_str(&format!("Last-Event-ID: {}\r\n", String::from_utf8_lossy(&self.id)));
        }
        http::ask(host, &self.target, &headers, out);
    }

    fn begin(&mut self, _: &mut Masks, _: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>)) {
        // The server says nothing about it: what is missing will be found missing.
        heard(Heard::Ready { next: None, recovered: self.comes_back.then_some(true) });
    }

    fn text(&mut self, mut text: &[u8], _: &mut Masks, _: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>)) {
        if !self.begun.is_empty() {
            // Where the end began in what came before, it ends with the first byte.
            let end = match (self.begun.last(), text.first()) {
                (Some(b'\n'), Some(b'\n')) => Some(1),
                _ => memmem::find(text, END).map(|at| at + END.len()),
            };
            // A comment that was cut ends with its line.
            let comment = self.begun[0] == b':' && !self.begun.contains(&b'\n');
            let end = if comment { memchr(b'\n', text).map(|at| at + 1) } else { end };
            let (rest, after) = text.split_at(end.unwrap_or(text.len()));
            self.begun.extend_from_slice(rest);
            text = after;
            if end.is_none() {
                if self.begun.len() > FRAME_BYTES_MAX {
                    heard(Heard::Failed("a message beyond reason".to_owned()));
                }
                return;
            }
            let mut event = std::mem::take(&mut self.begun);
            if !comment {
                self.event(&event, heard);
            }
            event.clear();
            self.begun = event;
        }
        loop {
            text = behind_comments(text);
            let Some(end) = memmem::find(text, END) else { break };
            self.event(&text[..end], heard);
            text = &text[end + END.len()..];
        }
        self.begun.extend_from_slice(text);
    }

    fn needs_every_text(&self) -> bool {
        self.resumes
    }

    fn between_texts(&self) -> bool {
        self.begun.is_empty()
    }

    fn forget(&mut self) {
        self.id.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{heard_in, list, part, text};
    use super::*;

    fn asked(session: &mut Events) -> String {
        let mut out = Vec::new();
        session.request("h:1", &mut out, &mut |_| panic!("nothing is heard yet"));
        String::from_utf8(out).expect("plain")
    }

    #[test]
    fn messages_are_heard_wherever_the_stream_is_cut() {
        let texts: Vec<String> = (0..3).map(|number| text(number, 64)).collect();
        let stream = format!(
            ": \nid: @5-7\ndata: {}\n\n: -1\n: -1\nid: @5-8\nevent: x\ndata: {}\n\ndata: other\n\n: -1\n",
            list(&texts[..1]),
            list(&texts[1..]),
        );
        let bytes = stream.as_bytes();
        let check = |pieces: &[&[u8]], what: &str| {
            let mut session = Events::new(&part(true, 64));
            assert_eq!(heard_in(&mut session, pieces), ["0", "1", "2"], "{what}");
            assert!(session.between_texts(), "{what}");
            assert!(asked(&mut session).contains("\r\nLast-Event-ID: @5-8\r\n"), "{what}");
        };
        for cut in 0..=bytes.len() {
            for stretch in [0, 1, 2, 3, 60] {
                let end = (cut + stretch).min(bytes.len());
                let pieces = [&bytes[..cut], &bytes[cut..end], &bytes[end..]];
                check(&pieces, &format!("cut at {cut} and {end}"));
            }
        }
        for length in [1, 2, 3, 7, 50] {
            check(&bytes.chunks(length).collect::<Vec<_>>(), &format!("pieces of {length}"));
        }
    }

    #[test]
    fn a_message_counts_when_it_has_ended() {
        let mut session = Events::new(&part(true, 64));
        let event = format!("id: 7\ndata: {}\n", list(&[text(0, 64)]));
        assert_eq!(heard_in(&mut session, &[event.as_bytes()]), [""; 0]);
        assert!(!session.between_texts());
        // It was not heard, and its place was not reached.
        assert!(!asked(&mut session).contains("Last-Event-ID"));
        assert!(session.between_texts(), "a new connection begins anew");
        assert_eq!(heard_in(&mut session, &[event.as_bytes(), b"\n"]), ["0"]);
        assert_eq!(
            asked(&mut session),
            "GET /ev/m_a HTTP/1.1\r\nHost: h:1\r\nAccept: text/event-stream\r\nLast-Event-ID: 7\r\n\r\n"
        );
        session.forget();
        assert!(!asked(&mut session).contains("Last-Event-ID"));
    }

    #[test]
    fn a_message_without_end_is_no_message() {
        let mut session = Events::new(&part(false, 64));
        let half = vec![b'x'; FRAME_BYTES_MAX / 2];
        let seen = heard_in(&mut session, &[&half, &half, b"x"]);
        assert_eq!(seen, ["Failed(\"a message beyond reason\")"]);
    }
}
