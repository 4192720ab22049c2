//! Where a channel is, or where a client was: epoch, offset and the id of the message there.
//!
//! Offset and epoch alone would lie after a store has lost its tail and given the same offsets out
//! again; the id is what tells.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// One unbroken count of a channel's messages. A channel whose count begins anew, for whatever
/// reason, has another epoch. On the wire: 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Epoch(pub u64);

/// The number of a message in its channel and epoch: 1, 2, 3… 0 is before the first.
#[derive(Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub u64);

impl Offset {
    /// Before the first message.
    pub const START: Offset = Offset(0);

    /// The one after this.
    #[must_use]
    pub fn next(self) -> Offset {
        Offset(self.0 + 1)
    }
}

/// The id of a message: a UUID, given by the worker that took it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MessageId(pub u128);

impl MessageId {
    /// Stands for "no message", at [`Offset::START`]; on the wire the empty string.
    pub const NONE: MessageId = MessageId(0);

    /// A version 4 UUID (RFC 9562, 5.4) of these random bits.
    #[must_use]
    pub fn from_random(bits: u128) -> MessageId {
        MessageId(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().as_u128())
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == MessageId::NONE { Ok(()) } else { Uuid::from_u128(self.0).hyphenated().fmt(f) }
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(MessageId::NONE);
        }
        let id = Uuid::try_parse(&text).map_err(|_| serde::de::Error::custom("an id is a UUID or empty"))?;
        Ok(MessageId(id.as_u128()))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u64::from_str_radix(&text, 16) {
            Ok(epoch) if digits => Ok(Epoch(epoch)),
            _ => Err(serde::de::Error::custom("an epoch is 16 hexadecimal digits")),
        }
    }
}

/// A place in a channel's messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Position {
    /// Which count.
    pub epoch: Epoch,
    /// Which number.
    pub offset: Offset,
    /// The message with that number.
    pub id: MessageId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_goes_over_the_wire_and_back() {
        let table = [
            (
                Position { epoch: Epoch(0x9b1f), offset: Offset(41), id: MessageId::from_random(7) },
                r#"{"epoch":"0000000000009b1f","offset":41,"id":"00000000-0000-4000-8000-000000000007"}"#,
            ),
            (
                Position { epoch: Epoch(u64::MAX), offset: Offset::START, id: MessageId::NONE },
                r#"{"epoch":"ffffffffffffffff","offset":0,"id":""}"#,
            ),
        ];
        for (position, text) in table {
            assert_eq!(serde_json::to_string(&position).unwrap(), text);
            assert_eq!(serde_json::from_str::<Position>(text).unwrap(), position);
        }
    }

    #[test]
    fn wrong_positions_are_refused() {
        for text in [
            r#"{"epoch":"9b1f","offset":41,"id":""}"#,
            r#"{"epoch":"+000000000009b1f","offset":41,"id":""}"#,
            r#"{"epoch":"0000000000009b1f","offset":-1,"id":""}"#,
            r#"{"epoch":"0000000000009b1f","offset":1,"id":"x"}"#,
            r#"{"epoch":"0000000000009b1f","offset":1}"#,
        ] {
            assert!(serde_json::from_str::<Position>(text).is_err(), "{text}");
        }
    }
}
