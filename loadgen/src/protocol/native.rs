//! ChatUp's own protocol (docs/PROTOCOL.md).
//!
//! Broadcasts are recognised by how they begin and searched for stamps, not taken apart; everything
//! else is read as JSON.

use std::collections::VecDeque;
use std::rc::Rc;

use memchr::memmem;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Heard, Part, Session};
use crate::stamp::{MARK, STAMP_BYTES};
use crate::websocket::Masks;

/// Ids of the calls that make a connection ready.
const SUBSCRIBE: u64 = 1;
const AUTH: u64 = 2;
const JOIN: u64 = 3;
/// Id of the first `say`.
const FIRST_SAY: u64 = 16;
/// Most `say` calls without an answer: the server's default limit (`limits.calls_in_flight_max`).
const IN_FLIGHT_MAX: usize = 64;
/// Length of a message's id (a UUID), in bytes.
const ID_BYTES: usize = 36;

/// A conversation.
pub(super) struct Native {
    channel: Rc<str>,
    token: Option<Rc<str>>,
    subscribes: bool,
    publishes: bool,
    resumes: bool,
    /// Answers still to come before it is ready.
    awaited: u8,
    next: Option<u64>,
    recovered: Option<bool>,
    position: Option<Box<Position>>,
    said: u64,
    in_flight: VecDeque<(u64, u64)>,
}

struct Position {
    epoch: String,
    offset: u64,
    id: Vec<u8>,
}

/// What is read of an answer.
#[derive(Deserialize)]
struct Answer<'a> {
    id: Option<u64>,
    ok: Option<Value>,
    #[serde(borrow)]
    error: Option<Refusal<'a>>,
}

#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    code: std::borrow::Cow<'a, str>,
}

impl Native {
    pub(super) fn new(part: &Part) -> Native {
        Native {
            channel: Rc::clone(&part.channel),
            token: part.publishes.clone().flatten(),
            subscribes: part.subscribes,
            publishes: part.publishes.is_some(),
            resumes: part.resumes,
            awaited: 0,
            next: None,
            recovered: None,
            position: None,
            said: FIRST_SAY,
            in_flight: VecDeque::new(),
        }
    }

    /// `{"channel":"m_…","offset":41,"messages":[…`: the offset of the first message and what follows.
    fn broadcast<'a>(&self, text: &'a [u8]) -> Option<(u64, &'a [u8])> {
        let rest = text.strip_prefix(br#"{"channel":"m_"#)?;
        let rest = rest.strip_prefix(self.channel.as_bytes())?.strip_prefix(br#"","offset":"#)?;
        let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        let offset = rest[..digits].iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
        Some((offset, &rest[digits..]))
    }

    fn answered(&mut self, text: &[u8], heard: &mut dyn FnMut(Heard<'_>)) {
        let Ok(answer) = serde_json::from_slice::<Answer<'_>>(text) else { return };
        match answer.id {
            Some(id) if id >= FIRST_SAY => self.answered_say(id, &answer, heard),
            Some(SUBSCRIBE | AUTH | JOIN) => {
                if let Some(refusal) = answer.error {
                    heard(Heard::Failed(format!("the server refused: {}", refusal.code)));
                    return;
                }
                if answer.id == Some(SUBSCRIBE) {
                    self.subscribed(answer.ok.as_ref());
                }
                self.awaited = self.awaited.saturating_sub(1);
                if self.awaited == 0 {
                    heard(Heard::Ready { next: self.next, recovered: self.recovered });
                }
            }
            _ => {}
        }
    }

    fn answered_say(&mut self, id: u64, answer: &Answer<'_>, heard: &mut dyn FnMut(Heard<'_>)) {
        let Some(at) = self.in_flight.iter().position(|(said, _)| *said == id) else { return };
        let Some((_, due_ns)) = self.in_flight.remove(at) else { return };
        match &answer.error {
            None => heard(Heard::Acknowledged(due_ns)),
            Some(refusal) => heard(Heard::Refused(due_ns, &refusal.code)),
        }
    }

    fn subscribed(&mut self, ok: Option<&Value>) {
        let Some(channel) = ok.map(|ok| &ok["channels"][0]) else { return };
        self.next = channel["next"].as_u64();
        self.recovered = channel["recovered"].as_bool().filter(|_| self.position.is_some());
        if self.resumes && self.recovered != Some(true) {
            let position = &channel["position"];
            self.position = Some(Box::new(Position {
                epoch: position["epoch"].as_str().unwrap_or("").to_owned(),
                offset: position["offset"].as_u64().unwrap_or(0),
                id: position["id"].as_str().unwrap_or("").as_bytes().to_vec(),
            }));
        }
    }

    /// Where a client that comes back goes on.
    fn remember(&mut self, offset: u64, messages: &[u8]) {
        let Some(position) = &mut self.position else { return };
        let Some(at) = memmem::find(messages, br#""i":""#) else { return };
        if let Some(id) = messages.get(at + 5..at + 5 + ID_BYTES) {
            position.offset = offset;
            position.id.clear();
            position.id.extend_from_slice(id);
        }
    }

    fn subscription(&self) -> Value {
        let messages = format!("m_{}", self.channel);
        let messages = match &self.position {
            Some(position) => json!({ "channel": messages, "position": {
                "epoch": position.epoch,
                "offset": position.offset,
                "id": String::from_utf8_lossy(&position.id),
            }}),
            None => json!(messages),
        };
        json!({ "id": SUBSCRIBE, "call": "subscribe", "channels": [messages, format!("e_{}", self.channel)] })
    }
}

impl Session for Native {
    fn in_url(&self) -> Option<(&'static str, String)> {
        self.subscribes.then(|| ("call", self.subscription().to_string()))
    }

    fn begin(&mut self, masks: &mut Masks, out: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>)) {
        self.awaited = 0;
        self.in_flight.clear();
        let mut say = |call: &Value, awaited: &mut u8| {
            masks.text(call.to_string().as_bytes(), out);
            *awaited += 1;
        };
        if self.publishes {
            say(&json!({ "id": AUTH, "call": "auth", "token": self.token.as_deref() }), &mut self.awaited);
            say(&json!({ "id": JOIN, "call": "join", "room": &*self.channel }), &mut self.awaited);
        }
        // That was asked for in the URL.
        self.awaited += u8::from(self.subscribes);
        if self.awaited == 0 {
            heard(Heard::Ready { next: None, recovered: None });
        }
    }

    fn text(&mut self, text: &[u8], _: &mut Masks, _: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>)) {
        let Some((mut offset, mut rest)) = self.broadcast(text) else {
            if text.starts_with(br#"{"gap":"#) {
                heard(Heard::Gap);
            } else if text.starts_with(br#"{"id":"#) {
                self.answered(text, heard);
            }
            return;
        };
        while let Some(at) = memmem::find(rest, MARK) {
            heard(Heard::Text(&rest[at..], Some(offset)));
            rest = rest.get(at + STAMP_BYTES..).unwrap_or(b"");
            if self.resumes {
                self.remember(offset, rest);
            }
            offset += 1;
        }
    }

    fn publish(&mut self, text: &[u8], due_ns: u64, masks: &mut Masks, out: &mut Vec<u8>) {
        let mut call = format!(r#"{{"id":{},"call":"say","msg":""#, self.said).into_bytes();
        call.extend_from_slice(text);
        call.extend_from_slice(br#""}"#);
        masks.text(&call, out);
        self.in_flight.push_back((self.said, due_ns));
        self.said += 1;
    }

    fn needs_every_text(&self) -> bool {
        self.resumes
    }

    fn room_to_publish(&self) -> usize {
        IN_FLIGHT_MAX.saturating_sub(self.in_flight.len())
    }

    fn unanswered(&self) -> usize {
        self.in_flight.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Kind;

    fn heard(session: &mut Native, text: &str) -> Vec<String> {
        let mut seen = Vec::new();
        session.text(text.as_bytes(), &mut Masks::new(1), &mut Vec::new(), &mut |event| {
            seen.push(match event {
                Heard::Text(text, offset) => {
                    format!("{offset:?} {}", String::from_utf8_lossy(&text[..STAMP_BYTES.min(text.len())]))
                }
                other => format!("{other:?}"),
            });
        });
        seen
    }

    fn session(resumes: bool) -> Native {
        let part = Part {
            channel: "a".into(),
            subscribes: true,
            publishes: Some(Some("t".into())),
            resumes,
            stays: true,
            size_bytes: 64,
        };
        let mut session = Native::new(&part);
        session.begin(&mut Masks::new(1), &mut Vec::new(), &mut |_| panic!("nothing is ready yet"));
        session
    }

    #[test]
    fn a_connection_is_ready_when_all_is_answered() {
        let mut session = session(false);
        let subscribed =
            r#"{"id":1,"ok":{"channels":[{"channel":"m_a","position":{},"next":7,"recovered":false}]}}"#;
        assert!(heard(&mut session, r#"{"id":2,"ok":{}}"#).is_empty());
        assert!(heard(&mut session, subscribed).is_empty());
        assert_eq!(heard(&mut session, r#"{"id":3,"ok":{}}"#), ["Ready { next: Some(7), recovered: None }"]);
        assert_eq!(
            heard(&mut session, r#"{"id":3,"error":{"code":"banned","message":"","retry":true}}"#),
            ["Failed(\"the server refused: banned\")"]
        );
    }

    #[test]
    fn a_subscription_stands_in_the_url() {
        let mut session = session(true);
        let call = r#"{"call":"subscribe","channels":["m_a","e_a"],"id":1}"#;
        assert_eq!(session.in_url(), Some(("call", call.to_owned())));
        session.position = Some(Box::new(Position { epoch: "e".to_owned(), offset: 7, id: b"i".to_vec() }));
        let call = r#"{"call":"subscribe","channels":[{"channel":"m_a","position":{"epoch":"e","id":"i","offset":7}},"e_a"],"id":1}"#;
        assert_eq!(session.in_url(), Some(("call", call.to_owned())));
        let target = Kind::Native.target("/x", "a", &session);
        assert!(target.starts_with("/chatup/v1?call=%7B%22call%22%3A%22subscribe%22"), "{target}");
        assert!(target.bytes().all(|byte| byte.is_ascii_graphic()), "{target}");
        session.subscribes = false;
        assert_eq!(Kind::Native.target("/x", "a", &session), "/chatup/v1");
    }

    #[test]
    fn answers_find_their_calls() {
        let mut session = session(false);
        for due_ns in [100, 200, 300] {
            session.publish(b"x", due_ns, &mut Masks::new(1), &mut Vec::new());
        }
        assert_eq!(session.room_to_publish(), IN_FLIGHT_MAX - 3);
        assert_eq!(heard(&mut session, r#"{"id":17,"ok":{}}"#), ["Acknowledged(200)"]);
        assert_eq!(heard(&mut session, r#"{"id":17,"ok":{}}"#), [""; 0]);
        assert_eq!(
            heard(&mut session, r#"{"id":16,"error":{"code":"banned"}}"#),
            ["Refused(100, \"banned\")"]
        );
        assert_eq!(session.unanswered(), 1);
    }

    #[test]
    fn broadcasts() {
        let mut session = session(true);
        session.position = Some(Box::new(Position { epoch: "e".to_owned(), offset: 0, id: Vec::new() }));
        let stamp = |n: u32| format!("~lg{n:040}~");
        let uuid = |n: u32| format!("00000000-0000-0000-0000-{n:012}");
        let one = |n: u32| format!(r#"{{"user":{{}},"msg":"{}xx","i":"{}","d":1}}"#, stamp(n), uuid(n));
        let frame = format!(r#"{{"channel":"m_a","offset":41,"messages":[{},{}]}}"#, one(1), one(2));
        let expected = [format!("Some(41) {}", stamp(1)), format!("Some(42) {}", stamp(2))];
        assert_eq!(heard(&mut session, &frame), expected);
        let position = session.position.as_ref().expect("a position");
        assert_eq!((position.offset, position.id.as_slice()), (42, uuid(2).as_bytes()));
        for (text, expected) in [
            (r#"{"channel":"e_a","offset":1,"messages":[{"ev":"join"}]}"#, ""),
            (r#"{"channel":"m_ab","offset":1,"messages":[{"msg":"~lg"}]}"#, ""),
            (r#"{"channel":"m_a","offset":2,"messages":[{"msg":"hello"}]}"#, ""),
            (r#"{"gap":{"channel":"m_a","from":1,"to":2}}"#, "Gap"),
            ("nonsense", ""),
            ("", ""),
        ] {
            assert_eq!(heard(&mut session, text).join(","), expected, "{text}");
        }
    }
}
