//! Socket.IO as the original's pages speak it: engine.io 3 (Socket.IO 1 and 2) and engine.io 4 (Socket.IO 3
//! and 4), over a WebSocket or by polls. Three calls come as events, each answered if it asks for that.
//!
//! Layout:
//! - [`request`]: what is asked for under the path
//! - [`payload`]: packets in the bodies of polls
//! - here: the packets themselves

pub mod payload;
pub mod request;

use std::io::Write;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json_depth::is_too_deep;
use crate::limits::{CALL_ID_MAX, ENGINE_IO_3_PONG_MS};
use crate::names::RoomName;
use crate::protocol::{Call, Done};
use crate::refusal::{Refusal, Refused};
use crate::websocket;

/// The path.
pub const PATH: &str = "/socket.io/";
/// The call of an event that wants no answer.
pub const NO_ANSWER: u64 = CALL_ID_MAX + 1;

/// Which engine.io.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The client pings.
    Three,
    /// The server pings, and the client says first that it connects.
    Four,
}

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A ping, and what it carries.
    Ping(&'a str),
    /// Nothing to be answered.
    Nothing,
    /// It connects.
    Connect,
    /// It connects to a namespace that is not here.
    Elsewhere(&'a str),
    /// It goes.
    Leave,
    /// A call, or why it is none; the first number is the call's.
    Call(u64, Result<Call, Refused>),
    /// An event that nobody knows: nothing happens.
    Unknown,
}

impl Version {
    /// Appends the first frames of a session, to what it may change to.
    pub fn opening(
        self,
        sid: &str,
        upgrades: &[&str],
        (ping_after_ms, pong_within_ms): (u64, u64),
        out: &mut Vec<u8>,
    ) {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Opening<'a> {
            sid: &'a str,
            upgrades: &'a [&'a str],
            ping_interval: u64,
            ping_timeout: u64,
        }
        let within = if self == Version::Three { ENGINE_IO_3_PONG_MS } else { pong_within_ms };
        let opening = Opening { sid, upgrades, ping_interval: ping_after_ms, ping_timeout: within };
        frame(out, |text| {
            text.push(b'0');
            json(&opening, text);
        });
        if self == Version::Three {
            websocket::text_frame(b"40", out);
        }
    }

    /// Appends the answer to [`Packet::Connect`].
    pub fn connected(self, id: u128, out: &mut Vec<u8>) {
        if self == Version::Four {
            frame(out, |text| write!(text, "40{{\"sid\":\"{id:032x}\"}}").unwrap_or_default());
        }
    }

    /// Appends the answer to [`Packet::Elsewhere`].
    pub fn elsewhere(self, namespace: &str, out: &mut Vec<u8>) {
        let reason = match self {
            Version::Three => "\"Invalid namespace\"",
            Version::Four => "{\"message\":\"Invalid namespace\"}",
        };
        frame(out, |text| write!(text, "44{namespace},{reason}").unwrap_or_default());
    }
}

/// Appends the answer to a ping.
pub fn pong(payload: &str, out: &mut Vec<u8>) {
    frame(out, |text| write!(text, "3{payload}").unwrap_or_default());
}

/// The ping of engine.io 4: the same frame for everybody.
pub const PING_FRAME: [u8; 3] = [0x81, 0x01, b'2'];

fn frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let mut text = Vec::new();
    write(&mut text);
    websocket::text_frame(&text, out);
}

fn json(value: &impl Serialize, out: &mut Vec<u8>) {
    // Strings and numbers, written to memory: there is nothing in it that could fail.
    let _ = serde_json::to_writer(out, value);
}

/// Reads a packet.
///
/// # Errors
/// It is none: the connection is not worth keeping.
pub fn read(text: &[u8]) -> Result<Packet<'_>, Refusal> {
    let text = std::str::from_utf8(text).map_err(|_| Refusal::InvalidUtf8)?;
    let (kind, rest) = text.split_at_checked(1).ok_or(Refusal::ProtocolError)?;
    match kind {
        "1" => Ok(Packet::Leave),
        "2" => Ok(Packet::Ping(rest)),
        // A pong, an upgrade that is none, nothing.
        "3" | "5" | "6" => Ok(Packet::Nothing),
        "4" => read_message(rest),
        _ => Err(Refusal::ProtocolError),
    }
}

fn read_message(text: &str) -> Result<Packet<'_>, Refusal> {
    let (kind, rest) = text.split_at_checked(1).ok_or(Refusal::ProtocolError)?;
    let (namespace, rest) = match rest.starts_with('/') {
        true => rest.split_once(',').unwrap_or((rest, "")),
        false => ("/", rest),
    };
    // What stands behind a question mark are arguments.
    let namespace = namespace.split_once('?').map_or(namespace, |(name, _)| name);
    match kind {
        "0" if namespace != "/" => Ok(Packet::Elsewhere(namespace)),
        "0" => Ok(Packet::Connect),
        "1" => Ok(if namespace == "/" { Packet::Leave } else { Packet::Nothing }),
        "2" if namespace == "/" => read_event(rest),
        // An answer to what was never asked; something of elsewhere.
        "2" | "3" | "4" => Ok(Packet::Nothing),
        _ => Err(Refusal::ProtocolError),
    }
}

fn read_event(text: &str) -> Result<Packet<'_>, Refusal> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, list) = text.split_at(digits);
    let call = match number {
        "" => NO_ANSWER,
        number => number.parse().ok().filter(|call| *call <= CALL_ID_MAX).ok_or(Refusal::ProtocolError)?,
    };
    if is_too_deep(list.as_bytes()) {
        return Err(Refusal::ProtocolError);
    }
    let list: Vec<&RawValue> = serde_json::from_str(list).map_err(|_| Refusal::ProtocolError)?;
    let name: String =
        list.first().and_then(|name| serde_json::from_str(name.get()).ok()).ok_or(Refusal::ProtocolError)?;
    let argument = list.get(1).map_or("null", |argument| argument.get());
    Ok(match name.as_str() {
        "auth" => Packet::Call(call, read_auth(argument)),
        "join" => Packet::Call(call, read_join(argument)),
        "say" => Packet::Call(call, read_say(argument)),
        _ => Packet::Unknown,
    })
}

fn read_auth(argument: &str) -> Result<Call, Refused> {
    let token: Result<String, _> = serde_json::from_str(argument);
    token.map(Call::Auth).map_err(|_| Refused::field(Refusal::BadField, "token"))
}

fn read_join(argument: &str) -> Result<Call, Refused> {
    #[derive(Deserialize)]
    struct Join {
        room: String,
    }
    let join: Join = serde_json::from_str(argument).map_err(|_| Refused::field(Refusal::BadField, "room"))?;
    let room = RoomName::new(&join.room).map_err(|_| Refused::field(Refusal::InvalidName, "room"))?;
    Ok(Call::Join(room))
}

fn read_say(argument: &str) -> Result<Call, Refused> {
    #[derive(Deserialize)]
    struct Say {
        msg: String,
    }
    let say: Say = serde_json::from_str(argument).map_err(|_| Refused::field(Refusal::BadField, "msg"))?;
    Ok(Call::Say(say.msg, None))
}

/// Appends the answer to a call, unless it wants none.
pub fn answer(call: u64, result: &Result<Done<'_>, Refused>, out: &mut Vec<u8>) {
    #[derive(Serialize)]
    struct Comment {
        status: &'static str,
        comment: &'static str,
        #[serde(rename = "banTTL")]
        ban_ttl: i64,
    }
    #[derive(Serialize)]
    struct Error {
        status: &'static str,
        err: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        ttl: Option<i64>,
    }
    if call == NO_ANSWER {
        return;
    }
    frame(out, |text| {
        let _ = write!(text, "43{call}");
        match result {
            Ok(Done::Joined { banned: Some(ban), .. }) => {
                let ban_ttl = ban.ttl_s.seconds();
                json(&[Comment { status: "ok", comment: "banned", ban_ttl }], text);
            }
            Ok(_) => json(&["ok"], text),
            Err(refused) => {
                let ttl = refused.ttl.map(|ttl| ttl.seconds());
                json(&[Error { status: "error", err: words(refused.refusal), ttl }], text);
            }
        }
    });
}

/// A refusal in the original's words, where it has some.
fn words(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::BadField | Refusal::InvalidName | Refusal::MessageEmpty => "Wrong format",
        Refusal::TokenContent => "Wrong JWT content",
        Refusal::NotAuthenticated => "You need to be authenticated to join a room",
        Refusal::AlreadyJoined => "Already in another room",
        Refusal::NeverJoined => "Never joined a room",
        Refusal::TokenTooLarge
        | Refusal::TokenMalformed
        | Refusal::TokenAlgorithm
        | Refusal::TokenKeyUnknown
        | Refusal::TokenSignature
        | Refusal::TokenCritical
        | Refusal::TokenExpired
        | Refusal::TokenNoExpiry
        | Refusal::TokenNotYetValid
        | Refusal::TokenAudience
        | Refusal::TokenReplayed => "Wrong JWT",
        other => other.code(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::Ban;
    use crate::refusal::BanTtl;

    #[test]
    fn packets() {
        let table = [
            ("2", "Ping(\"\")"),
            ("2probe", "Ping(\"probe\")"),
            ("3", "Nothing"),
            ("6", "Nothing"),
            ("1", "Leave"),
            ("41", "Leave"),
            ("40", "Connect"),
            ("40{\"token\":1}", "Connect"),
            ("40/chat,", "Elsewhere(\"/chat\")"),
            ("40/chat?a=1", "Elsewhere(\"/chat\")"),
            (r#"420["auth","abc"]"#, "Call(0, Ok(Auth(\"abc\")))"),
            (r#"421["join",{"room":"a"}]"#, "Call(1, Ok(Join(\"a\")))"),
            (r#"4212["say",{"msg":"x"}]"#, "Call(12, Ok(Say(\"x\", None)))"),
            (r#"42["say",{"msg":"x"}]"#, "Call(9007199254740992, Ok(Say(\"x\", None)))"),
            (r#"42/,3["say",{"msg":"x"}]"#, "Call(3, Ok(Say(\"x\", None)))"),
            (r#"42/chat,3["say",{"msg":"x"}]"#, "Nothing"),
            (r#"421["shout",{"msg":"x"}]"#, "Unknown"),
            (r#"421["constructor"]"#, "Unknown"),
        ];
        for (text, expected) in table {
            assert_eq!(
                read(text.as_bytes()).map(|packet| format!("{packet:?}")).as_deref(),
                Ok(expected),
                "{text}"
            );
        }
        let wrong = [
            r#"420["auth"]"#,
            r#"420["auth",5]"#,
            r#"420["auth",null]"#,
            r#"420["join","a"]"#,
            r#"420["join",{}]"#,
            r#"420["join",{"room":5}]"#,
            r#"420["join",{"room":"a.b"}]"#,
            r#"420["join",{"room":""}]"#,
            r#"420["say",{"msg":null}]"#,
            r#"420["say",[]]"#,
        ];
        for text in wrong {
            let Ok(Packet::Call(0, Err(refused))) = read(text.as_bytes()) else { panic!("{text}") };
            assert_eq!(words(refused.refusal), "Wrong format", "{text}");
        }
        let deep = format!("420[\"say\",{}{}]", "[".repeat(99), "]".repeat(99));
        let none = ["", "4", "7", "x", "45", "46", "420[", "420{}", "420[]", "420[5]", "42x[\"say\"]", &deep];
        for text in none {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        assert!(read(b"420[\"say\",{\"msg\":\"\xff\"}]").is_err());
    }

    fn texts(write: impl FnOnce(&mut Vec<u8>)) -> Vec<String> {
        let (mut out, mut texts, mut at) = (Vec::new(), Vec::new(), 0);
        write(&mut out);
        while at < out.len() {
            let payload = websocket::payload_of(&out[at..]);
            // All of these are short.
            let length = usize::from(out[at + 1]);
            let header = out.len() - at - payload.len();
            texts.push(String::from_utf8(payload[..length.min(125)].to_vec()).unwrap());
            at += header + length;
        }
        texts
    }

    #[test]
    fn openings_and_answers() {
        let id = "0000000000000000000000000000000a";
        let three =
            format!("0{{\"sid\":\"{id}\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":60000}}");
        assert_eq!(
            texts(|out| Version::Three.opening(id, &[], (25_000, 20_000), out)),
            [three.as_str(), "40"]
        );
        let four = three.replace("60000", "20000");
        assert_eq!(texts(|out| Version::Four.opening(id, &[], (25_000, 20_000), out)), [four.as_str()]);
        assert_eq!(texts(|out| Version::Four.connected(10, out)), [format!("40{{\"sid\":\"{id}\"}}")]);
        assert_eq!(texts(|out| Version::Three.connected(10, out)), [] as [&str; 0]);
        assert_eq!(texts(|out| Version::Three.elsewhere("/x", out)), ["44/x,\"Invalid namespace\""]);
        assert_eq!(texts(|out| pong("probe", out)), ["3probe"]);
        let room = RoomName::new("a").unwrap();
        let banned = Some(Ban { ttl_s: BanTtl::FOREVER });
        let table: [(Result<Done<'_>, Refused>, &str); 6] = [
            (Ok(Done::Empty {}), r#"437["ok"]"#),
            (Ok(Done::Joined { room: &room, banned: None }), r#"437["ok"]"#),
            (
                Ok(Done::Joined { room: &room, banned }),
                r#"437[{"status":"ok","comment":"banned","banTTL":-1}]"#,
            ),
            (
                Err(Refused::banned(BanTtl::left(5_000, 0))),
                r#"437[{"status":"error","err":"banned","ttl":5}]"#,
            ),
            (Err(Refusal::NeverJoined.into()), r#"437[{"status":"error","err":"Never joined a room"}]"#),
            (Err(Refusal::Unavailable.into()), r#"437[{"status":"error","err":"unavailable"}]"#),
        ];
        for (result, text) in table {
            assert_eq!(texts(|out| answer(7, &result, out)), [text]);
            assert_eq!(texts(|out| answer(NO_ANSWER, &result, out)), [] as [&str; 0]);
        }
    }

    proptest! {
        #[test]
        fn rubbish_is_read(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&bytes);
        }

        #[test]
        fn half_rubbish_is_read(text in "4[0-9]{0,3}[\\[\\]{}\",:a-z0-9]{0,40}") {
            let _ = read(text.as_bytes());
        }
    }
}
