//! Polls: a request for each answer, on a connection that is kept. Each asks for what came behind the last
//! answer (its `Last-Modified` and `Etag`), so that nothing is lost between two of them.
//!
//! The first question of a connection is one that does not wait (`/poll/`): its answer says that there is
//! somebody.

use super::{Framing, Heard, Mode, Part, Session, stamped};
use crate::http::Answer;
use crate::websocket::Masks;

/// Before all messages: whoever is there before the first one asks for all of them.
const START: (&[u8], &[u8]) = (b"Thu, 01 Jan 1970 00:00:00 GMT", b"0");
/// What an answer by JSONP begins with: the function that was asked for.
const CALL: &[u8] = b"f(";

/// What was asked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// Nothing that is not answered.
    Nothing,
    /// Whether there is anything yet.
    Whether,
    /// For what comes.
    Messages,
}

/// A subscriber that asks.
pub(super) struct Polls {
    mode: Mode,
    room: String,
    /// It is owed all from the first message on.
    stays: bool,
    host: String,
    /// Where it is, by the last answer; empty before there was one that says so.
    modified: Vec<u8>,
    tag: Vec<u8>,
    asked: Asked,
    /// Only the connection has ended, with an answer: the next one is made without a first question.
    goes_on: bool,
    was_ready: bool,
    /// An answer's body, put together.
    joined: Vec<u8>,
}

impl Polls {
    pub(super) fn new(mode: Mode, part: &Part) -> Polls {
        let mut polls = Polls {
            mode,
            room: part.channel.to_string(),
            stays: part.stays,
            host: String::new(),
            modified: Vec::new(),
            tag: Vec::new(),
            asked: Asked::Nothing,
            goes_on: false,
            was_ready: false,
            joined: Vec::new(),
        };
        polls.forget();
        polls
    }

    fn question(&mut self, asked: Asked, out: &mut Vec<u8>) {
        self.asked = asked;
        let mode = if asked == Asked::Whether { Mode::Polling } else { self.mode };
        let mut add = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
        add(&[b"GET ", mode.prefix().as_bytes(), self.room.as_bytes()]);
        if mode == Mode::Jsonp {
            // A script sends no headers: what they say stands in its address.
            add(&[b"?callback=", &CALL[..1], b"&time="]);
            self.modified.iter().for_each(|byte| escape(*byte, &mut add));
            add(&[b"&tag="]);
            self.tag.iter().for_each(|byte| escape(*byte, &mut add));
        }
        add(&[b" HTTP/1.1\r\nHost: ", self.host.as_bytes(), b"\r\n"]);
        if mode != Mode::Jsonp && !self.modified.is_empty() {
            add(&[b"If-Modified-Since: ", &self.modified, b"\r\nIf-None-Match: ", &self.tag, b"\r\n"]);
        }
        add(&[b"\r\n"]);
    }

    fn next(&mut self, out: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>)) {
        if self.mode == Mode::Polling {
            self.asked = Asked::Nothing;
            heard(Heard::Pauses);
        } else {
            self.question(Asked::Messages, out);
        }
    }

    fn messages(&mut self, answer: &Answer<'_>, heard: &mut dyn FnMut(Heard<'_>)) {
        let mut joined = std::mem::take(&mut self.joined);
        let body = answer.body(&mut joined);
        if self.mode == Mode::Jsonp && self.asked == Asked::Messages && !body.starts_with(CALL) {
            heard(Heard::Failed("an answer that does not call the function".to_owned()));
        } else {
            stamped(body, heard);
        }
        self.joined = joined;
    }
}

/// A byte as it may stand in an argument.
fn escape(byte: u8, add: &mut impl FnMut(&[&[u8]])) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    if byte.is_ascii_alphanumeric() {
        add(&[&[byte]]);
    } else {
        add(&[&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]]);
    }
}

impl Session for Polls {
    fn framing(&self) -> Framing {
        Framing::Answers
    }

    fn request(&mut self, host: &str, out: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>)) {
        host.clone_into(&mut self.host);
        if std::mem::take(&mut self.goes_on) {
            heard(Heard::Ready { next: None, recovered: Some(true) });
            self.next(out, heard);
        } else {
            self.question(Asked::Whether, out);
        }
    }

    fn begin(&mut self, _: &mut Masks, _: &mut Vec<u8>, _: &mut dyn FnMut(Heard<'_>)) {
        // There is no handshake that could be over.
    }

    fn text(&mut self, _: &[u8], _: &mut Masks, _: &mut Vec<u8>, _: &mut dyn FnMut(Heard<'_>)) {
        // Texts come in answers.
    }

    fn answer(&mut self, answer: &Answer<'_>, out: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>)) {
        if self.asked == Asked::Nothing {
            heard(Heard::Failed("an answer that nobody asked for".to_owned()));
            return;
        }
        if !matches!(answer.status, 200 | 304) {
            heard(Heard::Failed(answer.refusal()));
            return;
        }
        if self.asked == Asked::Whether {
            // The server does not say whether all was there: what is missing will be found missing.
            let recovered = self.was_ready.then_some(true);
            self.was_ready = true;
            heard(Heard::Ready { next: None, recovered });
        }
        if answer.status == 200 {
            self.messages(answer, heard);
        }
        if !answer.modified.is_empty() {
            self.modified.clear();
            self.modified.extend_from_slice(answer.modified);
            self.tag.clear();
            self.tag.extend_from_slice(answer.tag);
        }
        if answer.hangs_up {
            self.asked = Asked::Nothing;
            self.goes_on = true;
            heard(Heard::HangsUp);
        } else {
            self.next(out, heard);
        }
    }

    fn ask(&mut self, out: &mut Vec<u8>) {
        self.question(Asked::Messages, out);
    }

    fn hung_up(&mut self) -> bool {
        // Between two polls a server may: nothing was asked of it.
        self.goes_on = self.was_ready && self.asked == Asked::Nothing;
        self.goes_on
    }

    fn needs_every_text(&self) -> bool {
        true
    }

    fn forget(&mut self) {
        let (modified, tag) = if self.stays { START } else { (&b""[..], &b""[..]) };
        (self.modified, self.tag) = (modified.to_vec(), tag.to_vec());
        (self.goes_on, self.was_ready) = (false, false);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{list, part, short, text};
    use super::*;
    use crate::http;

    /// What a subscriber has asked, and what it has heard, a line each.
    struct Talk {
        session: Polls,
        said: Vec<String>,
    }

    impl Talk {
        fn new(mode: Mode, stays: bool) -> Talk {
            let session = Polls::new(mode, &Part { stays, ..part(false, 64) });
            Talk { session, said: Vec::new() }
        }

        fn does(
            &mut self,
            what: impl FnOnce(&mut Polls, &mut Vec<u8>, &mut dyn FnMut(Heard<'_>)),
        ) -> Vec<String> {
            let mut out = Vec::new();
            let said = &mut self.said;
            what(&mut self.session, &mut out, &mut |heard| said.push(short(&heard)));
            let out = String::from_utf8(out).expect("plain");
            let lines = out.split("\r\n").filter(|line| !line.is_empty());
            said.extend(lines.filter(|line| *line != "Host: h:1").map(str::to_owned));
            std::mem::take(said)
        }

        fn connects(&mut self) -> Vec<String> {
            self.does(|session, out, heard| session.request("h:1", out, heard))
        }

        fn asks(&mut self) -> Vec<String> {
            self.does(|session, out, _| session.ask(out))
        }

        fn hears(&mut self, status: u16, headers: &str, body: &str) -> Vec<String> {
            let length = body.len();
            let text = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
            let (answer, _) = http::answer(text.as_bytes()).expect("sound").expect("whole");
            self.does(|session, out, heard| session.answer(&answer, out, heard))
        }
    }

    const EPOCH: &str = "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT";
    const PLACE: &str = "Last-Modified: Mon, 23 Nov 2026 12:33:40 GMT\r\nEtag: W/7\r\n";
    const NEXT: [&str; 2] = ["If-Modified-Since: Mon, 23 Nov 2026 12:33:40 GMT", "If-None-Match: W/7"];

    #[test]
    fn a_long_poll_follows_the_last_from_where_that_was() {
        let mut talk = Talk::new(Mode::LongPolling, true);
        assert_eq!(talk.connects(), ["GET /poll/m_a HTTP/1.1", EPOCH, "If-None-Match: 0"]);
        let first = ["ready None", "GET /lp/m_a HTTP/1.1", EPOCH, "If-None-Match: 0"];
        assert_eq!(talk.hears(304, "", ""), first);
        let both = list(&[text(0, 64), text(1, 64)]);
        let next = ["GET /lp/m_a HTTP/1.1", NEXT[0], NEXT[1]];
        assert_eq!(talk.hears(200, PLACE, &both), [&["0", "1"][..], &next].concat());
        // One in vain says where to go on, too.
        let later = "Last-Modified: Mon, 23 Nov 2026 12:34:10 GMT\r\nEtag: W/000000000000000000000001\r\n";
        let seen = talk.hears(304, later, "");
        assert_eq!(
            seen[1..],
            ["If-Modified-Since: Mon, 23 Nov 2026 12:34:10 GMT", "If-None-Match: W/000000000000000000000001"]
        );
        assert!(!talk.session.hung_up(), "it waits for an answer");
        let seen = talk.hears(403, "X-Nginx-PushStream-Explain: No.\r\n", "");
        assert_eq!(seen, ["Failed(\"HTTP status 403: No.\")"]);
    }

    #[test]
    fn who_comes_in_the_middle_asks_for_nothing_old() {
        let mut talk = Talk::new(Mode::LongPolling, false);
        assert_eq!(talk.connects(), ["GET /poll/m_a HTTP/1.1"]);
        assert_eq!(talk.hears(304, "", ""), ["ready None", "GET /lp/m_a HTTP/1.1"]);
        assert_eq!(talk.hears(200, PLACE, "")[1..], NEXT);
        // A new one in its place.
        talk.session.forget();
        assert_eq!(talk.connects(), ["GET /poll/m_a HTTP/1.1"]);
        assert_eq!(talk.hears(304, "", ""), ["ready None", "GET /lp/m_a HTTP/1.1"]);
    }

    #[test]
    fn who_comes_back_goes_on_where_it_was() {
        let mut talk = Talk::new(Mode::LongPolling, true);
        talk.connects();
        talk.hears(304, "", "");
        talk.hears(200, PLACE, &list(&[text(0, 64)]));
        assert_eq!(talk.connects(), ["GET /poll/m_a HTTP/1.1", NEXT[0], NEXT[1]]);
        let seen = talk.hears(200, &PLACE.replace('7', "8"), &list(&[text(1, 64)]));
        assert_eq!(seen, ["ready Some(true)", "1", "GET /lp/m_a HTTP/1.1", NEXT[0], "If-None-Match: W/8"]);
    }

    #[test]
    fn a_connection_that_ends_with_its_answer_is_made_anew() {
        let mut talk = Talk::new(Mode::LongPolling, true);
        talk.connects();
        let close = format!("Connection: close\r\n{PLACE}");
        assert_eq!(talk.hears(304, "Connection: close\r\n", ""), ["ready None", "HangsUp"]);
        let again = ["ready Some(true)", "GET /lp/m_a HTTP/1.1", EPOCH, "If-None-Match: 0"];
        assert_eq!(talk.connects(), again);
        assert_eq!(talk.hears(200, &close, &list(&[text(0, 64)])), ["0", "HangsUp"]);
        assert_eq!(talk.connects(), ["ready Some(true)", "GET /lp/m_a HTTP/1.1", NEXT[0], NEXT[1]]);
    }

    #[test]
    fn polls_pause() {
        let mut talk = Talk::new(Mode::Polling, true);
        talk.connects();
        assert_eq!(talk.hears(304, "", ""), ["ready None", "Pauses"]);
        assert_eq!(talk.asks(), ["GET /poll/m_a HTTP/1.1", EPOCH, "If-None-Match: 0"]);
        assert!(!talk.session.hung_up(), "it waits for an answer");
        assert_eq!(talk.hears(200, PLACE, &list(&[text(0, 64)])), ["0", "Pauses"]);
        assert!(talk.session.hung_up(), "it asked nothing");
        assert_eq!(talk.connects(), ["ready Some(true)", "Pauses"]);
        assert_eq!(talk.asks(), ["GET /poll/m_a HTTP/1.1", NEXT[0], NEXT[1]]);
        talk.hears(304, "", "");
        assert_eq!(talk.hears(304, "", ""), ["Failed(\"an answer that nobody asked for\")"]);
    }

    #[test]
    fn a_function_is_called() {
        let mut talk = Talk::new(Mode::Jsonp, true);
        assert_eq!(talk.connects(), ["GET /poll/m_a HTTP/1.1", EPOCH, "If-None-Match: 0"]);
        let start = "time=Thu%2C%2001%20Jan%201970%2000%3A00%3A00%20GMT&tag=0";
        let first = format!("GET /jsonp/m_a?callback=f&{start} HTTP/1.1");
        assert_eq!(talk.hears(304, "", ""), ["ready None", &first]);
        let next =
            "GET /jsonp/m_a?callback=f&time=Mon%2C%2023%20Nov%202026%2012%3A33%3A40%20GMT&tag=W%2F7 HTTP/1.1";
        assert_eq!(talk.hears(200, PLACE, &format!("f([{}]);", text(0, 64))), ["0", next]);
        let wrong = talk.hears(200, PLACE, &text(1, 64));
        assert_eq!(wrong[0], "Failed(\"an answer that does not call the function\")");
    }
}
