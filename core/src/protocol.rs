//! The native protocol, version 1: calls in, answers and notices out. `docs/PROTOCOL.md` is its
//! description; this file is the only one that knows its JSON.

mod broadcast;

use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::json_depth::is_too_deep;
use crate::limits::{CALL_ID_MAX, SUBSCRIBE_HISTORY_MAX};
use crate::names::{ChannelName, IdempotencyKey, RoomName};
use crate::position::{Offset, Position};
use crate::refusal::{BanTtl, Refusal, Refused};
use crate::websocket;

/// The path of the native WebSocket.
pub const PATH: &str = "/chatup/v1";
/// The subprotocol that is confirmed where a client offers it.
pub const SUBPROTOCOL: &str = "chatup.v1";

/// One channel of a `subscribe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// Which.
    pub channel: ChannelName,
    /// Where the client was.
    pub position: Option<Position>,
    /// How many of the last messages it asks for otherwise.
    pub history: u32,
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Subscribe to channels.
    Subscribe(Vec<Subscribe>),
    /// Leave channels.
    Unsubscribe(Vec<ChannelName>),
    /// Say who one is, by a token.
    Auth(String),
    /// Become a member of a room.
    Join(RoomName),
    /// Say a text, perhaps under an idempotency key.
    Say(String, Option<IdempotencyKey>),
    /// Leave the room.
    Leave,
    /// Be answered.
    Ping,
}

/// A call that cannot be taken, with its id if it had one.
pub type BadCall = (Option<u64>, Refused);

#[derive(Deserialize)]
struct RawCall<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    call: Option<&'a str>,
    #[serde(borrow)]
    channels: Option<RawChannels<'a>>,
    token: Option<&'a str>,
    room: Option<&'a str>,
    msg: Option<&'a str>,
    key: Option<&'a str>,
}

struct RawChannel<'a> {
    name: &'a str,
    position: Option<Position>,
    history: Option<u64>,
}

struct RawChannels<'a>(Vec<RawChannel<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for RawChannels<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = RawChannels<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of channels")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut channels = Vec::new();
                while let Some(channel) = seq.next_element()? {
                    channels.push(channel);
                }
                Ok(RawChannels(channels))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// A channel stands for itself by its name, or in an object with what is asked of it.
impl<'de: 'a, 'a> Deserialize<'de> for RawChannel<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Object<'a> {
            channel: &'a str,
            position: Option<Position>,
            history: Option<u64>,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RawChannel<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a channel's name or an object with one")
            }
            fn visit_borrowed_str<E: de::Error>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(RawChannel { name, position: None, history: None })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let Object { channel: name, position, history } =
                    Deserialize::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(RawChannel { name, position, history })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Reads calls; keeps its buffers between them.
#[derive(Default)]
pub struct CallReader {
    /// simd-json writes over what it reads; the original stays for telling what was wrong.
    scratch: Vec<u8>,
    buffers: simd_json::Buffers,
}

impl CallReader {
    /// Reads one message.
    ///
    /// # Errors
    /// What is wrong with it, for an answer.
    pub fn read(&mut self, text: &[u8]) -> Result<(u64, Call), BadCall> {
        // A typed structure never recurses into what it does not know, but simd-json's walk over
        // an unknown field does: depth is bounded before, by one pass over the bytes.
        // And serde would take an array for a structure's fields in their order.
        let object = text.trim_ascii_start().first() == Some(&b'{');
        if !object || is_too_deep(text) {
            return Err((None, Refusal::BadJson.into()));
        }
        // Most calls are short and hold no escapes. For those serde_json takes two thirds of
        // simd-json's time, and half of it for all others (`make bench`: json_parsers).
        if text.len() <= SHORT_CALL_BYTES && memchr::memchr(b'\\', text).is_none() {
            return match serde_json::from_slice::<RawCall<'_>>(text) {
                Ok(raw) => raw.checked(),
                Err(_) => Err(why_not(text)),
            };
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(text);
        match simd_json::serde::from_slice_with_buffers::<RawCall<'_>>(&mut self.scratch, &mut self.buffers) {
            Ok(raw) => raw.checked(),
            Err(_) => Err(why_not(text)),
        }
    }
}

/// Up to here, in bytes, and without escapes, a call is read by serde_json.
const SHORT_CALL_BYTES: usize = 512;

/// The slow path: finds the id in something that is not a call.
fn why_not(text: &[u8]) -> BadCall {
    #[derive(Deserialize)]
    struct Id<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
    }
    match serde_json::from_slice::<Id<'_>>(text) {
        Err(_) => (None, Refusal::BadJson.into()),
        Ok(Id { id }) => match id.and_then(|id| id.get().parse().ok()).filter(|id| *id <= CALL_ID_MAX) {
            Some(id) => (Some(id), Refusal::BadField.into()),
            None => (None, Refusal::MissingId.into()),
        },
    }
}

impl RawCall<'_> {
    fn checked(self) -> Result<(u64, Call), BadCall> {
        let id = self.id.filter(|id| *id <= CALL_ID_MAX).ok_or((None, Refusal::MissingId.into()))?;
        self.check().map(|call| (id, call)).map_err(|refused| (Some(id), refused))
    }

    fn check(self) -> Result<Call, Refused> {
        let missing = |field| Refused::field(Refusal::BadField, field);
        let name = self.call.ok_or(missing("call"))?;
        match name {
            "subscribe" => {
                let channels = self.channels.ok_or(missing("channels"))?.0;
                channels.into_iter().map(RawChannel::check).collect::<Result<_, _>>().map(Call::Subscribe)
            }
            "unsubscribe" => {
                let channels = self.channels.ok_or(missing("channels"))?.0;
                let names = channels.into_iter().map(|channel| channel_name(channel.name));
                names.collect::<Result<_, _>>().map(Call::Unsubscribe)
            }
            "auth" => Ok(Call::Auth(self.token.ok_or(missing("token"))?.into())),
            "join" => {
                let room = self.room.ok_or(missing("room"))?;
                RoomName::new(room).map(Call::Join).map_err(|_| Refused::field(Refusal::InvalidName, "room"))
            }
            "say" => {
                let key = self.key.map(IdempotencyKey::new).transpose();
                let key = key.map_err(|_| missing("key"))?;
                Ok(Call::Say(self.msg.ok_or(missing("msg"))?.into(), key))
            }
            "leave" => Ok(Call::Leave),
            "ping" => Ok(Call::Ping),
            _ => Err(Refusal::UnknownCall.into()),
        }
    }
}

fn channel_name(name: &str) -> Result<ChannelName, Refused> {
    ChannelName::new(name).map_err(|_| Refused::field(Refusal::InvalidName, "channel"))
}

impl RawChannel<'_> {
    fn check(self) -> Result<Subscribe, Refused> {
        let history = self.history.unwrap_or(0).min(u64::from(SUBSCRIBE_HISTORY_MAX));
        Ok(Subscribe {
            channel: channel_name(self.name)?,
            position: self.position,
            history: u32::try_from(history).unwrap_or(SUBSCRIBE_HISTORY_MAX),
        })
    }
}

/// How one channel of a `subscribe` was taken.
#[derive(Serialize, Debug)]
pub struct Subscribed {
    /// Which.
    pub channel: ChannelName,
    /// Where it is now.
    pub position: Position,
    /// The first message that will come.
    pub next: Offset,
    /// Whether everything behind the given position comes.
    pub recovered: bool,
}

/// What a call is answered with when it is taken.
#[derive(Serialize, Debug)]
#[serde(untagged)]
pub enum Done<'a> {
    /// Nothing to add.
    Empty {},
    /// To `subscribe`.
    Subscribed {
        /// In the order asked.
        channels: &'a [Subscribed],
    },
    /// To `auth`.
    Authenticated {
        /// The token's `_public`.
        user: &'a RawValue,
        /// When the token runs out, in Unix seconds.
        expires: Option<u64>,
    },
    /// To `join`.
    Joined {
        /// The room.
        room: &'a RoomName,
        /// How long the user may not speak in it.
        #[serde(skip_serializing_if = "Option::is_none")]
        banned: Option<Ban>,
    },
    /// To `say`.
    Said {
        /// The place of the message.
        position: Position,
        /// Whether it was published before, under the same key.
        duplicate: bool,
    },
}

/// How long a ban goes on.
#[derive(Serialize, Debug, Clone, Copy)]
pub struct Ban {
    /// Seconds, −1 for ever.
    pub ttl_s: BanTtl,
}

/// What the server says by itself, messages excepted.
#[derive(Serialize, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Notice<'a> {
    /// Messages that are no longer kept.
    Gap {
        /// Where.
        channel: &'a ChannelName,
        /// The first.
        from: Offset,
        /// The last.
        to: Offset,
    },
    /// A channel that lost its past.
    Reset {
        /// Which.
        channel: &'a ChannelName,
        /// Where it is now.
        position: Position,
        /// The first message that will come.
        next: Offset,
    },
    /// A ban of this connection's user.
    Banned {
        /// Where.
        room: &'a RoomName,
        /// How long.
        ttl_s: BanTtl,
    },
}

fn append_json(value: &impl Serialize, out: &mut Vec<u8>) {
    // Names, numbers and finished JSON: there is nothing in an answer that could fail.
    let text = serde_json::to_vec(value).unwrap_or_default();
    websocket::text_frame(&text, out);
}

/// Appends the frame of an answer.
pub fn answer(id: Option<u64>, result: &Result<Done<'_>, Refused>, out: &mut Vec<u8>) {
    #[derive(Serialize)]
    struct Good<'a> {
        id: Option<u64>,
        ok: &'a Done<'a>,
    }
    #[derive(Serialize)]
    struct Bad<'a> {
        id: Option<u64>,
        error: &'a Refused,
    }
    match result {
        Ok(ok) => append_json(&Good { id, ok }, out),
        Err(error) => append_json(&Bad { id, error }, out),
    }
}

/// Appends the frame of a notice.
pub fn notice(notice: &Notice<'_>, out: &mut Vec<u8>) {
    append_json(notice, out);
}

pub use broadcast::{BroadcastFrame, channel_of, message_of};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Publication;
    use crate::position::{Epoch, MessageId};

    fn check(text: &str) -> String {
        match CallReader::default().read(text.as_bytes()) {
            Ok((id, call)) => format!("{id} {call:?}"),
            Err((id, refused)) => {
                format!(
                    "{} {}{}",
                    id.map_or("-".into(), |id| id.to_string()),
                    refused.refusal.code(),
                    refused.field.map_or(String::new(), |f| format!(" {f}"))
                )
            }
        }
    }

    #[test]
    fn calls() {
        let deep = format!(r#"{{"id":1,"call":"ping","x":{}{}}}"#, "[".repeat(8_000), "]".repeat(8_000));
        let table = [
            (r#"{"id":1,"call":"ping"}"#, "1 Ping"),
            (r#"{"id":0,"call":"leave","extra":[1,{"a":null}]}"#, "0 Leave"),
            (r#"{"id":2,"call":"say","msg":"a\"b\u00e9"}"#, r#"2 Say("a\"bé", None)"#),
            (r#"{"id":2,"call":"say","msg":"x","key":"k"}"#, r#"2 Say("x", Some("k"))"#),
            (r#"{"id":2,"call":"say","msg":"[[[[{{{{"}"#, r#"2 Say("[[[[{{{{", None)"#),
            (r#"{"id":3,"call":"join","room":"lobby"}"#, r#"3 Join("lobby")"#),
            (r#"{"id":4,"call":"auth","token":"a.b.c"}"#, r#"4 Auth("a.b.c")"#),
            (
                r#"{"id":5,"call":"unsubscribe","channels":["m_a",{"channel":"x"}]}"#,
                r#"5 Unsubscribe(["m_a", "x"])"#,
            ),
            (
                r#"{"id":6,"call":"subscribe","channels":["x",{"channel":"m_a","history":9999999}]}"#,
                r#"6 Subscribe([Subscribe { channel: "x", position: None, history: 0 }, Subscribe { channel: "m_a", position: None, history: 1000 }])"#,
            ),
            (r#"{"id":9007199254740991,"call":"ping"}"#, "9007199254740991 Ping"),
            (r#"{"id":9007199254740992,"call":"ping"}"#, "- missing_id"),
            (r#"{"id":-1,"call":"ping"}"#, "- missing_id"),
            (r#"{"id":"1","call":"ping"}"#, "- missing_id"),
            (r#"{"call":"ping"}"#, "- missing_id"),
            ("{}", "- missing_id"),
            ("", "- bad_json"),
            ("null", "- bad_json"),
            ("[1]", "- bad_json"),
            ("{", "- bad_json"),
            (r#"{"id":1,"call":"ping"}x"#, "- bad_json"),
            (&deep, "- bad_json"),
            (r#"{"id":1,"id":2,"call":"ping"}"#, "- bad_json"),
            (r#"{"id":1}"#, "1 bad_field call"),
            (r#"{"id":1,"call":"dance"}"#, "1 unknown_call"),
            (r#"{"id":1,"call":7}"#, "1 bad_field"),
            (r#"{"id":1,"call":"say"}"#, "1 bad_field msg"),
            (r#"{"id":1,"call":"say","msg":5}"#, "1 bad_field"),
            (r#"{"id":1,"call":"say","msg":"x","key":""}"#, "1 bad_field key"),
            (r#"{"id":1,"call":"join"}"#, "1 bad_field room"),
            (r#"{"id":1,"call":"join","room":"a.b"}"#, "1 invalid_name room"),
            (r#"{"id":1,"call":"subscribe"}"#, "1 bad_field channels"),
            (r#"{"id":1,"call":"subscribe","channels":["*"]}"#, "1 invalid_name channel"),
            (
                r#"{"id":1,"call":"subscribe","channels":[{"channel":"a","position":{"epoch":"zz"}}]}"#,
                "1 bad_field",
            ),
            (r#"{"id":1,"call":"subscribe","channels":{}}"#, "1 bad_field"),
        ];
        for (text, expected) in table {
            assert_eq!(check(text), expected, "{}", &text[..text.len().min(80)]);
        }
    }

    #[test]
    fn frames_have_the_announced_length() {
        for size in [0, 10, 60, 125, 126, 70_000] {
            let publication = Publication {
                channel: ChannelName::new("m_a").unwrap(),
                epoch: Epoch(1),
                offset: Offset(12),
                id: MessageId(1),
                payload: vec![b'1'; size].into(),
            };
            let frame = BroadcastFrame::new(&publication);
            let mut out = Vec::new();
            frame.write(&mut out);
            assert_eq!(out.len(), frame.len());
            assert_eq!(message_of(&out), &*publication.payload);
            assert_eq!(channel_of(&out), br#""m_a""#);
        }
    }

    #[test]
    fn answers_and_notices_as_the_client_reads_them() {
        let room = RoomName::new("a").unwrap();
        let position = Position { epoch: Epoch(1), offset: Offset(2), id: MessageId::NONE };
        let banned = Done::Joined { room: &room, banned: Some(Ban { ttl_s: BanTtl::FOREVER }) };
        let table: [(Result<Done<'_>, Refused>, &str); 4] = [
            (Ok(Done::Empty {}), r#"{"id":1,"ok":{}}"#),
            (Ok(Done::Joined { room: &room, banned: None }), r#"{"id":1,"ok":{"room":"a"}}"#),
            (Ok(banned), r#"{"id":1,"ok":{"room":"a","banned":{"ttl_s":-1}}}"#),
            (
                Ok(Done::Said { position, duplicate: false }),
                r#"{"id":1,"ok":{"position":{"epoch":"0000000000000001","offset":2,"id":""},"duplicate":false}}"#,
            ),
        ];
        for (result, text) in table {
            let mut out = Vec::new();
            answer(Some(1), &result, &mut out);
            let start = out.len() - text.len();
            assert_eq!(std::str::from_utf8(&out[start..]).unwrap(), text);
        }
        let mut out = Vec::new();
        notice(&Notice::Gap { channel: &room.messages(), from: Offset(1), to: Offset(2) }, &mut out);
        assert_eq!(&out[2..], br#"{"gap":{"channel":"m_a","from":1,"to":2}}"#);
    }
}
