//! The single orders in an administrator's token: a message to post, a user to ban.
//!
//! Members that are not known here are passed over, as ChatUp did; known ones of a wrong type are
//! an error.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{Object, canonical, present};
use crate::limits::BAN_S_MAX;
use crate::names::{EventName, RoomName, UserName};

/// A message or an event to post: at least one of `msg` and `ev` is there.
#[derive(Clone, Debug)]
pub struct Post {
    /// Where to.
    pub channel: RoomName,
    /// The text.
    pub msg: Option<String>,
    /// The event's name.
    pub ev: Option<EventName>,
    /// What the event carries: any JSON, `null` too, in one reading and on one line. Only beside
    /// `ev`.
    pub data: Option<Box<RawValue>>,
    /// Who it is from: a JSON object.
    pub user: Option<Box<RawValue>>,
}

/// A ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BanOrder {
    /// Where.
    pub channel: RoomName,
    /// Whom.
    pub name: UserName,
    /// For how long, in seconds, 1 to [`BAN_S_MAX`]; for ever if `None`.
    pub expire_s: Option<u64>,
}

#[derive(Deserialize)]
struct PostEntry<'a> {
    channel: String,
    #[serde(default, deserialize_with = "present")]
    msg: Option<String>,
    #[serde(default, deserialize_with = "present")]
    ev: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    user: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct BanEntry {
    channel: String,
    name: String,
    expire: Option<f64>,
}

/// Reads a post.
pub(super) fn post(raw: &RawValue) -> Option<Post> {
    let Object(entry) = serde_json::from_str::<Object<PostEntry<'_>>>(raw.get()).ok()?;
    let ev = match &entry.ev {
        Some(name) => Some(EventName::new(name).ok()?),
        None if entry.msg.is_none() || entry.data.is_some() => return None,
        None => None,
    };
    let data = match entry.data {
        Some(data) => Some(canonical(data)?.1),
        None => None,
    };
    let user = match entry.user.map(canonical) {
        Some(Some((value, text))) if value.is_object() => Some(text),
        Some(_) => return None,
        None => None,
    };
    Some(Post { channel: RoomName::new(&entry.channel).ok()?, msg: entry.msg, ev, data, user })
}

/// Reads a ban.
pub(super) fn ban(raw: &RawValue) -> Option<BanOrder> {
    let Object(entry) = serde_json::from_str::<Object<BanEntry>>(raw.get()).ok()?;
    let expire_s = match entry.expire {
        Some(seconds) => Some(ban_seconds(seconds)?),
        None => None,
    };
    Some(BanOrder {
        channel: RoomName::new(&entry.channel).ok()?,
        name: UserName::new(&entry.name).ok()?,
        expire_s,
    })
}

/// Whole seconds from 1; `30.0` is one too, as Python writes it.
fn ban_seconds(seconds: f64) -> Option<u64> {
    #[allow(clippy::cast_possible_truncation, reason = "a whole number; what is too large is capped anyway")]
    let whole = seconds as u64;
    (seconds >= 1.0 && seconds.fract() == 0.0).then(|| whole.min(BAN_S_MAX))
}

#[cfg(test)]
mod tests {
    use super::super::Algorithm;
    use super::super::testing::{NOW, chatup_policy, pair, signed, verifier};
    use super::*;
    use crate::refusal::Refusal;

    #[test]
    fn posts_as_they_are_read() {
        let lax = chatup_policy();
        let read = |entry: &str| {
            let token = signed(&format!("[{entry}]"));
            let admin = verifier(pair(Algorithm::HS256), lax.clone()).posts(&token, NOW)?;
            let post = &admin.entries[0];
            let raw =
                |raw: &Option<Box<RawValue>>| raw.as_ref().map_or("-".into(), |raw| raw.get().to_owned());
            let ev = post.ev.as_ref().map_or("-", EventName::as_str);
            let msg = post.msg.as_deref().unwrap_or("-");
            Ok(format!("{} {msg} {ev} {} {}", post.channel, raw(&post.data), raw(&post.user)))
        };
        let content: Result<&str, Refusal> = Err(Refusal::TokenContent);
        let table = [
            (r#"{"channel":"a","msg":"hi"}"#, Ok("a hi - - -")),
            (r#"{"channel":"a","msg":""}"#, Ok("a  - - -")),
            (
                r#"{"channel":"a","msg":"hi","user":{ "name": "Server" },"x":1}"#,
                Ok(r#"a hi - - {"name":"Server"}"#),
            ),
            (r#"{"channel":"a","msg":"hi","user":{"n":1,"n":2}}"#, Ok(r#"a hi - - {"n":2}"#)),
            (r#"{"channel":"a","ev":"e"}"#, Ok("a - e - -")),
            (r#"{"channel":"a","ev":"e","msg":"hi"}"#, Ok("a hi e - -")),
            (r#"{"channel":"a","ev":"e","data":null}"#, Ok("a - e null -")),
            (r#"{"channel":"a","ev":"e","data":0}"#, Ok("a - e 0 -")),
            (r#"{"channel":"a","ev":"e","data":false}"#, Ok("a - e false -")),
            (r#"{"channel":"a","ev":"e","data":""}"#, Ok("a - e \"\" -")),
            ("{\"channel\":\"a\",\"ev\":\"e\",\"data\":{ \"b\":\n[1] }}", Ok(r#"a - e {"b":[1]} -"#)),
            (r#"{"channel":"a"}"#, content),
            (r#"{"msg":"hi"}"#, content),
            (r#"{"channel":"a","msg":"hi","data":1}"#, content),
            (r#"{"channel":"a","msg":"hi","data":null}"#, content),
            (r#"{"channel":"a","msg":7}"#, content),
            (r#"{"channel":"a","msg":null}"#, content),
            (r#"{"channel":"a","msg":"hi","ev":null}"#, content),
            (r#"{"channel":"a","ev":""}"#, content),
            (r#"{"channel":"a","ev":7}"#, content),
            (r#"{"channel":"a","ev":"e","data":"\ud800"}"#, content),
            (r#"{"channel":"a.b","msg":"hi"}"#, content),
            (r#"{"channel":"","msg":"hi"}"#, content),
            (r#"{"channel":7,"msg":"hi"}"#, content),
            (r#"{"channel":"a","msg":"hi","msg":"ho"}"#, content),
            (r#"{"channel":"a","msg":"hi","user":null}"#, content),
            (r#"{"channel":"a","msg":"hi","user":"bob"}"#, content),
            (r#"{"channel":"a","msg":"hi","user":[]}"#, content),
            (r#"["a","hi"]"#, content),
            ("null", content),
            ("7", content),
            (r#""a""#, content),
            // One bad entry spoils the token: half an order is none.
            (r#"{"channel":"a","msg":"hi"},null"#, content),
        ];
        for (entry, expected) in table {
            assert_eq!(read(entry).as_deref().map_err(|refusal| *refusal), expected, "{entry}");
        }
    }

    #[test]
    fn bans_as_they_are_read() {
        let read = |members: &str| {
            let token = signed(&format!(r#"[{{"channel":"lobby"{members}}}]"#));
            let admin = verifier(pair(Algorithm::HS256), chatup_policy()).bans(&token, NOW)?;
            Ok(admin.entries[0].expire_s)
        };
        let content = Err(Refusal::TokenContent);
        let table = [
            (r#","name":"bob""#, Ok(None)),
            (r#","name":"bob","expire":null"#, Ok(None)),
            (r#","name":"bob","expire":1"#, Ok(Some(1))),
            (r#","name":"bob","expire":30.0,"why":"x""#, Ok(Some(30))),
            (r#","name":"bob","expire":3153600001"#, Ok(Some(BAN_S_MAX))),
            (r#","name":"bob","expire":99999999999999999999"#, Ok(Some(BAN_S_MAX))),
            (r#","name":"bob","expire":0"#, content),
            (r#","name":"bob","expire":-1"#, content),
            (r#","name":"bob","expire":1.5"#, content),
            (r#","name":"bob","expire":0.5"#, content),
            (r#","name":"bob","expire":1e999"#, content),
            (r#","name":"bob","expire":"30""#, content),
            (r#","name":"bob","expire":true"#, content),
            (r#","name":"bob","expire":1,"expire":2"#, content),
            (r#","name":"bob","name":"eve""#, content),
            (r#","name":"""#, content),
            (r#","name":7"#, content),
            ("", content),
        ];
        for (members, expected) in table {
            assert_eq!(read(members), expected, "{members}");
        }
    }
}
