//! Reads what Redis answers and publishes. What has another shape than the scripts give it is an error
//! of the whole connection: whatever follows could be somebody else's answer.

use std::sync::Arc;

use chatup_core::exchange::{RoomStats, WorkerId};
use chatup_core::message::Publication;
use chatup_core::names::ChannelName;
use chatup_core::position::{Epoch, MessageId, Offset, Position};
use chatup_core::refusal::BanTtl;
use redis::Value;
use serde_json::value::RawValue;

use super::channels::Entry;
use super::keys::Lease;

/// It is not what was asked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an answer has another shape than its question: {0}")]
pub(crate) struct Misread(pub(crate) &'static str);

/// What a publish came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Published {
    New(Position),
    Again(Position),
    Banned(Banned),
}

/// Until when (0: for ever), and what time it is there, in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Banned {
    pub(crate) until: Option<u64>,
    pub(crate) now: u64,
}

impl Banned {
    pub(crate) fn ttl(self) -> BanTtl {
        self.until.map_or(BanTtl::FOREVER, |until| BanTtl::left(until, self.now))
    }
}

/// What comes on a channel's topic.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OnTopic {
    Message(Publication),
    /// The count has begun anew.
    Renewed,
}

pub(crate) fn array(value: Value) -> Result<Vec<Value>, Misread> {
    match value {
        Value::Array(values) | Value::Set(values) => Ok(values),
        Value::Nil => Ok(Vec::new()),
        Value::Map(pairs) => Ok(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect()),
        _ => Err(Misread("an array")),
    }
}

pub(crate) fn bytes(value: Value) -> Result<Vec<u8>, Misread> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        Value::VerbatimString { text, .. } => Ok(text.into_bytes()),
        _ => Err(Misread("a text")),
    }
}

pub(crate) fn text(value: Value) -> Result<String, Misread> {
    String::from_utf8(bytes(value)?).map_err(|_| Misread("UTF-8"))
}

/// A whole number, as one or as a text.
pub(crate) fn number(value: Value) -> Result<u64, Misread> {
    match value {
        Value::Int(number) => u64::try_from(number).map_err(|_| Misread("a number")),
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts and times, under 2^53"
        )]
        Value::Double(number) if number >= 0.0 => Ok(number as u64),
        other => text(other)?.parse().map_err(|_| Misread("a number")),
    }
}

pub(crate) fn truth(value: Value) -> Result<bool, Misread> {
    number(value).map(|number| number != 0)
}

fn next(values: &mut impl Iterator<Item = Value>) -> Result<Value, Misread> {
    values.next().ok_or(Misread("more of an array"))
}

pub(crate) fn epoch(text: &str) -> Result<Epoch, Misread> {
    u64::from_str_radix(text, 16).map(Epoch).map_err(|_| Misread("an epoch"))
}

fn id(text: &str) -> Result<MessageId, Misread> {
    let quoted = serde_json::Value::String(text.to_owned());
    serde_json::from_value(quoted).map_err(|_| Misread("an id"))
}

/// `epoch offset id`
fn position(place: &str) -> Result<Position, Misread> {
    let mut words = place.splitn(3, ' ');
    let mut word = || words.next().ok_or(Misread("a position"));
    let (first, second, third) = (word()?, word()?, word()?);
    let offset = second.parse().map(Offset).map_err(|_| Misread("an offset"))?;
    Ok(Position { epoch: epoch(first)?, offset, id: id(third)? })
}

fn banned(until: Value, now: Value) -> Result<Banned, Misread> {
    let until = number(until)?;
    Ok(Banned { until: (until > 0).then_some(until), now: number(now)? })
}

pub(crate) fn published(value: Value) -> Result<Published, Misread> {
    let mut values = array(value)?.into_iter();
    match text(next(&mut values)?)?.as_str() {
        "new" => Ok(Published::New(position(&text(next(&mut values)?)?)?)),
        "again" => Ok(Published::Again(position(&text(next(&mut values)?)?)?)),
        "banned" => Ok(Published::Banned(banned(next(&mut values)?, next(&mut values)?)?)),
        _ => Err(Misread("an outcome")),
    }
}

/// Entries of a stream, in the order in which they come. What somebody else put there is passed over.
pub(crate) fn entries(value: Value) -> Result<Vec<Entry>, Misread> {
    Ok(array(value)?.into_iter().filter_map(|one| entry(one).ok()).collect())
}

fn entry(value: Value) -> Result<Entry, Misread> {
    let mut values = array(value)?.into_iter();
    let number = text(next(&mut values)?)?;
    let offset =
        number.strip_suffix("-0").and_then(|digits| digits.parse().ok()).ok_or(Misread("an offset"))?;
    let (mut found, mut payload) = (None, None);
    let mut fields = array(next(&mut values)?)?.into_iter();
    while let Some(field) = fields.next() {
        let value = next(&mut fields)?;
        match bytes(field)?.as_slice() {
            b"i" => found = Some(id(&text(value)?)?),
            b"p" => payload = Some(bytes(value)?),
            _ => {}
        }
    }
    let (id, payload) = found.zip(payload).ok_or(Misread("an entry's fields"))?;
    Ok(Entry { offset: Offset(offset), id, payload: payload.into() })
}

/// Where a channel is, and whether the position asked about is of this past.
pub(crate) fn synced(value: Value) -> Result<(Position, bool), Misread> {
    let mut values = array(value)?.into_iter();
    let (first, second, third) =
        (text(next(&mut values)?)?, number(next(&mut values)?)?, text(next(&mut values)?)?);
    let head = Position { epoch: epoch(&first)?, offset: Offset(second), id: id(&third)? };
    Ok((head, truth(next(&mut values)?)?))
}

/// Who is banned, and until when.
pub(crate) fn bans(value: Value) -> Result<Vec<(String, Option<u64>)>, Misread> {
    let mut values = array(value)?.into_iter();
    let mut bans = Vec::new();
    while let Some(name) = values.next() {
        let until = number(next(&mut values)?)?;
        bans.push((text(name)?, (until > 0).then_some(until)));
    }
    Ok(bans)
}

/// Viewers by lease, members, and some of these; `worker` says whose a lease is, if that is known.
pub(crate) fn stats(value: Value, worker: impl Fn(Lease) -> Option<WorkerId>) -> Result<RoomStats, Misread> {
    let mut values = array(value)?.into_iter();
    let mut stats = RoomStats::default();
    let mut counts = array(next(&mut values)?)?.into_iter();
    while let (Some(of), Some(count)) = (counts.next(), counts.next()) {
        let count = number(count)?;
        stats.viewers += count;
        stats.serving.extend(worker(lease(of)?).map(|worker| (worker, count)));
    }
    stats.serving.sort_by_key(|(worker, _)| *worker);
    stats.members = number(next(&mut values)?)?;
    let users = array(next(&mut values)?)?.into_iter();
    stats.users =
        users.filter_map(|user| RawValue::from_string(text(user).ok()?).ok().map(Arc::from)).collect();
    Ok(stats)
}

pub(crate) fn lease(value: Value) -> Result<Lease, Misread> {
    Lease::from_str_radix(&text(value)?, 16).map_err(|_| Misread("a lease"))
}

/// A large room's comings and goings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Changes {
    None,
    NotYet,
    Some { members: u64, joined: u64, left: u64 },
}

pub(crate) fn changes(value: Value) -> Result<Changes, Misread> {
    match value {
        Value::Int(0) => Ok(Changes::None),
        Value::Int(_) => Ok(Changes::NotYet),
        other => {
            let mut values = array(other)?.into_iter();
            let mut next = || number(next(&mut values)?);
            Ok(Changes::Some { members: next()?, joined: next()?, left: next()? })
        }
    }
}

/// Nothing, or until when somebody is banned.
pub(crate) fn joined(value: Value) -> Result<Joined, Misread> {
    let mut values = array(value)?.into_iter();
    let first = next(&mut values)?;
    match values.next() {
        Some(now) => Ok(Joined::Banned(banned(first, now)?)),
        None => Ok(if truth(first)? { Joined::Counted } else { Joined::Announced }),
    }
}

/// What a join came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    Announced,
    /// The room is so large that only its count is told.
    Counted,
    Banned(Banned),
}

/// What was published on a channel's topic.
pub(crate) fn on_topic(channel: ChannelName, bytes: &[u8]) -> Result<OnTopic, Misread> {
    let Some(rest) = bytes.strip_prefix(b"M ") else {
        return if bytes.starts_with(b"R ") { Ok(OnTopic::Renewed) } else { Err(Misread("a publication")) };
    };
    let spaces = rest.iter().enumerate().filter(|(_, byte)| **byte == b' ').map(|(place, _)| place);
    let end = spaces.take(3).nth(2).ok_or(Misread("a publication"))?;
    let place = str::from_utf8(&rest[..end]).map_err(|_| Misread("a publication"))?;
    let Position { epoch, offset, id } = position(place)?;
    let payload = rest[end + 1..].into();
    Ok(OnTopic::Message(Publication { channel, epoch, offset, id, payload }))
}

/// What was published on the topic of bans: room, user, until when, and what time it was.
pub(crate) fn on_banned_topic(text: &str) -> Option<(&str, &str, Banned)> {
    // Names hold no line breaks.
    let mut lines = text.split('\n');
    let (room, user) = (lines.next()?, lines.next()?);
    let (until, now): (u64, u64) = (lines.next()?.parse().ok()?, lines.next()?.parse().ok()?);
    Some((room, user, Banned { until: (until > 0).then_some(until), now }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    const ID: &str = "00000000-0000-4000-8000-000000000001";

    #[test]
    fn publications_are_read_and_nothing_else_is_taken_for_one() {
        let channel = ChannelName::new("m_a").unwrap();
        let whole = format!("M 00000000000000ff 7 {ID} {{\"a b\": \"c d\"}}");
        match on_topic(channel.clone(), whole.as_bytes()) {
            Ok(OnTopic::Message(one)) => {
                assert_eq!(
                    (one.epoch, one.offset, one.id),
                    (Epoch(255), Offset(7), MessageId::from_random(1))
                );
                assert_eq!(&*one.payload, br#"{"a b": "c d"}"#);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(on_topic(channel.clone(), b"R 00000000000000ff"), Ok(OnTopic::Renewed));
        for bad in ["", "M", "M 1 2", "M x 1  y", "M 1 x  y", "M 1 2 x y", "X 1 2  y"] {
            assert!(on_topic(channel.clone(), bad.as_bytes()).is_err(), "{bad:?}");
        }
        // No id: a place before everything.
        assert!(on_topic(channel, b"M 1 2  y").is_ok());
    }

    #[test]
    fn what_somebody_else_put_into_a_stream_is_passed_over() {
        let entry = |id: &str, fields: &[&str]| {
            Value::Array(vec![bulk(id), Value::Array(fields.iter().map(|field| bulk(field)).collect())])
        };
        let foreign = [
            entry("7-1", &["i", ID, "p", "{}"]),
            entry("8-0", &["x", "y"]),
            entry("9-0", &["i"]),
            Value::Nil,
        ];
        for one in foreign {
            let read = entries(Value::Array(vec![entry("3-0", &["i", ID, "p", "{}"]), one])).unwrap();
            assert_eq!(read.iter().map(|entry| entry.offset.0).collect::<Vec<_>>(), [3]);
        }
    }

    #[test]
    fn the_end_of_a_ban() {
        assert_eq!(
            joined(Value::Array(vec![bulk("0"), Value::Int(5)])),
            Ok(Joined::Banned(Banned { until: None, now: 5 }))
        );
        assert_eq!(joined(Value::Array(vec![Value::Int(0)])), Ok(Joined::Announced));
        assert_eq!(joined(Value::Array(vec![Value::Int(1)])), Ok(Joined::Counted));
        assert_eq!(
            on_banned_topic("a\nBob B\n9223372036854775807\n5"),
            Some(("a", "Bob B", Banned { until: Some(i64::MAX as u64), now: 5 }))
        );
        assert_eq!(on_banned_topic("a\nb"), None);
    }
}
