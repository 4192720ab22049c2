//! Messages and events as ChatUp shapes them: `user`, `msg`, `i`, `d`, and `ev` with `data`.
//!
//! What is published is finished JSON text, made once by whoever publishes; the broker and the
//! logs carry it without looking inside.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::names::{ChannelName, EventName, UserName};
use crate::position::{Epoch, MessageId, Offset};

/// Time since the Unix epoch, in milliseconds. An argument everywhere: nothing here reads a clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// As ChatUp writes times: seconds, with the milliseconds behind the point.
    #[must_use]
    pub fn seconds(self) -> f64 {
        #[allow(
            clippy::cast_precision_loss,
            reason = "milliseconds since 1970 fit 53 bits for 285,000 years"
        )]
        let millis = self.0 as f64;
        millis / 1_000.0
    }

    /// Whole seconds.
    #[must_use]
    pub fn whole_seconds(self) -> u64 {
        self.0 / 1_000
    }
}

/// What a message says.
#[derive(Clone, Debug)]
pub enum Body<'a> {
    /// A text.
    Text(&'a str),
    /// A text with an event's name beside it, or an event alone; `data` may be anything.
    Event {
        /// The event's name.
        ev: &'a EventName,
        /// What it carries.
        data: Option<&'a RawValue>,
        /// A text beside it, as `/post` may have.
        text: Option<&'a str>,
    },
}

#[derive(Serialize)]
struct Wire<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    msg: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ev: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    i: MessageId,
    d: f64,
}

/// The JSON text of a message.
#[must_use]
pub fn payload(user: Option<&RawValue>, body: &Body<'_>, id: MessageId, now: UnixMillis) -> Arc<[u8]> {
    let (msg, ev, data) = match body {
        Body::Text(text) => (Some(*text), None, None),
        Body::Event { ev, data, text } => (*text, Some(ev.as_str()), *data),
    };
    let wire = Wire { user, msg, ev, data, i: id, d: now.seconds() };
    // Strings, numbers and finished JSON: there is nothing in it that could fail.
    serde_json::to_vec(&wire).unwrap_or_default().into()
}

/// The event by which clients remove a banned user's messages.
///
/// # Panics
/// Never: the name is a constant that is in order.
#[must_use]
pub fn remove_user_messages(name: &UserName, id: MessageId, now: UnixMillis) -> Arc<[u8]> {
    named_event("rmUserMsg", None, serde_json::value::to_raw_value(name.as_str()).ok().as_deref(), id, now)
}

/// The event of a member that comes or goes.
#[must_use]
pub fn membership(joined: bool, user: &RawValue, id: MessageId, now: UnixMillis) -> Arc<[u8]> {
    named_event(if joined { "join" } else { "leave" }, Some(user), None, id, now)
}

/// The event by which a large room's comings and goings are told: how many are there now, and how many
/// came and went since the last such event.
#[must_use]
pub fn members_changed(members: u64, joined: u64, left: u64, id: MessageId, now: UnixMillis) -> Arc<[u8]> {
    #[derive(Serialize)]
    struct Changes {
        members: u64,
        joined: u64,
        left: u64,
    }
    let data = serde_json::value::to_raw_value(&Changes { members, joined, left }).ok();
    named_event("members", None, data.as_deref(), id, now)
}

/// A text that was published as it is, not said in a room: over HTTP, for PushStream's clients. The JSON
/// text of its message begins with `text`, as no other does.
#[must_use]
pub fn posted(posted: &Posted<'_>, id: MessageId, now: UnixMillis) -> Arc<[u8]> {
    let wire = PostedWire { posted, i: id, d: now.seconds() };
    serde_json::to_vec(&wire).unwrap_or_default().into()
}

/// What such a message says, if it is one.
#[must_use]
pub fn read_posted(payload: &[u8]) -> Option<Posted<'_>> {
    is_posted(payload).then(|| serde_json::from_slice(payload).ok()).flatten()
}

/// Whether a message is such a text.
#[must_use]
pub fn is_posted(payload: &[u8]) -> bool {
    payload.starts_with(POSTED_BEGINNING)
}

/// Whether a message takes the place of all that was said before it.
#[must_use]
pub fn is_deletion(payload: &[u8]) -> bool {
    read_posted(payload).is_some_and(|posted| posted.deletes)
}

/// Whether a message is only for those who are there when it is published.
#[must_use]
pub fn is_unstored(payload: &[u8]) -> bool {
    read_posted(payload).is_some_and(|posted| posted.unstored)
}

/// Stands in every message that takes the place of those before it, and in few others.
pub const DELETION_MARK: &[u8] = br#""deletes":true"#;

/// Stands in every message that is not stored, and in few others.
pub const UNSTORED_MARK: &[u8] = br#""unstored":true"#;

const POSTED_BEGINNING: &[u8] = br#"{"text":"#;

/// A text that was published as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted<'a> {
    /// The text.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
    /// What its publisher calls it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Cow<'a, str>>,
    /// Of which kind it is.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<Cow<'a, str>>,
    /// It takes the place of all that was said before it: the channel has been deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deletes: bool,
    /// It is for those who are there when it comes: nobody is shown it later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unstored: bool,
}

#[derive(Serialize)]
struct PostedWire<'a> {
    #[serde(flatten)]
    posted: &'a Posted<'a>,
    i: MessageId,
    d: f64,
}

fn named_event(
    ev: &str,
    user: Option<&RawValue>,
    data: Option<&RawValue>,
    id: MessageId,
    now: UnixMillis,
) -> Arc<[u8]> {
    let wire = Wire { user, msg: None, ev: Some(ev), data, i: id, d: now.seconds() };
    serde_json::to_vec(&wire).unwrap_or_default().into()
}

/// When a message was said, out of its JSON text as it is made here.
#[must_use]
pub fn time_of(payload: &[u8]) -> Option<UnixMillis> {
    // The time stands last.
    let number = payload.strip_suffix(b"}")?.rsplit(|byte| *byte == b':').next()?;
    let seconds: f64 = std::str::from_utf8(number).ok()?.parse().ok()?;
    let millis = (seconds * 1_000.0).round();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in the range")]
    (0.0..9.0e15).contains(&millis).then_some(UnixMillis(millis as u64))
}

/// A message that has its place in a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Where.
    pub channel: ChannelName,
    /// In which count.
    pub epoch: Epoch,
    /// With which number.
    pub offset: Offset,
    /// Which message.
    pub id: MessageId,
    /// Its JSON text.
    pub payload: Arc<[u8]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_shape_that_chatup_gave_them() {
        let user = RawValue::from_string(r#"{"name":"Test 1"}"#.into()).unwrap();
        let ev = EventName::new("poll").unwrap();
        let zero = RawValue::from_string("0".into()).unwrap();
        let (id, now) = (MessageId::from_random(1), UnixMillis(1_446_000_000_250));
        let tail = r#""i":"00000000-0000-4000-8000-000000000001","d":1446000000.25}"#;
        let table: [(Arc<[u8]>, &str); 5] = [
            (
                payload(Some(&user), &Body::Text("a \"b\""), id, now),
                r#"{"user":{"name":"Test 1"},"msg":"a \"b\"","#,
            ),
            (
                payload(None, &Body::Event { ev: &ev, data: Some(&zero), text: None }, id, now),
                r#"{"ev":"poll","data":0,"#,
            ),
            (
                payload(None, &Body::Event { ev: &ev, data: None, text: Some("x") }, id, now),
                r#"{"msg":"x","ev":"poll","#,
            ),
            (
                remove_user_messages(&UserName::new("bob").unwrap(), id, now),
                r#"{"ev":"rmUserMsg","data":"bob","#,
            ),
            (membership(true, &user, id, now), r#"{"user":{"name":"Test 1"},"ev":"join","#),
        ];
        for (bytes, head) in table {
            assert_eq!(std::str::from_utf8(&bytes).unwrap(), format!("{head}{tail}"));
            assert_eq!(time_of(&bytes), Some(now));
            assert_eq!(read_posted(&bytes), None);
        }
        let text = Posted { text: "a \"b\"".into(), event_id: Some("e".into()), ..Posted::default() };
        let bytes = posted(&text, id, now);
        let expected = format!(r#"{{"text":"a \"b\"","event_id":"e",{tail}"#);
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), expected);
        assert_eq!((time_of(&bytes), read_posted(&bytes)), (Some(now), Some(text)));
        let gone = Posted { text: "".into(), deletes: true, ..Posted::default() };
        assert_eq!(read_posted(&posted(&gone, id, now)), Some(gone));
    }
}
