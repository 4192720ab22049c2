//! Names that cannot be wrong: rooms, channels, users, idempotency keys.
//!
//! Whoever holds one of these types need not check it again. A room `R` has the channels `m_R`
//! (messages) and `e_R` (events); additional channels go by their bare names. No room's name may
//! hold what a transport uses as a separator: no white space, control character, `.`, `/`, `*`.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::limits::{
    CHANNEL_NAME_BYTES_MAX, EVENT_NAME_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, ROOM_NAME_BYTES_MAX,
    TOKEN_ID_BYTES_MAX, USER_NAME_BYTES_MAX,
};

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// Over the named limit, in bytes.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// A character that such a name may not hold.
    #[error("holds a character that is not allowed: {0:?}")]
    Character(char),
    /// White space at its beginning or end, or nothing that can be seen.
    #[error("begins or ends with white space, or has nothing to be seen")]
    Blank,
    /// A word that means something else.
    #[error("is a reserved word")]
    Reserved,
}

/// Punctuation that room and channel names may hold besides letters and digits.
const PUNCTUATION: &str = "_-~!@$:+,;=";
/// Means "all channels" to PushStream.
const RESERVED: &str = "ALL";
const MESSAGES_PREFIX: &str = "m_";
const EVENTS_PREFIX: &str = "e_";

fn check_length(name: &str, bytes_max: usize) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > bytes_max { Err(NameError::TooLong(bytes_max)) } else { Ok(()) }
}

fn check_path_name(name: &str, bytes_max: usize) -> Result<(), NameError> {
    check_length(name, bytes_max)?;
    if let Some(character) = name.chars().find(|c| !c.is_alphanumeric() && !PUNCTUATION.contains(*c)) {
        return Err(NameError::Character(character));
    }
    if name == RESERVED { Err(NameError::Reserved) } else { Ok(()) }
}

/// `/` and `*` mean something to PushStream, braces to Redis.
fn check_channel(name: &str) -> Result<(), NameError> {
    check_length(name, CHANNEL_NAME_BYTES_MAX)?;
    if let Some(character) = name.chars().find(|c| c.is_control() || "/*{}".contains(*c)) {
        return Err(NameError::Character(character));
    }
    if name == RESERVED { Err(NameError::Reserved) } else { Ok(()) }
}

fn check_text(name: &str, bytes_max: usize) -> Result<(), NameError> {
    check_length(name, bytes_max)?;
    match name.chars().find(|c| c.is_control()) {
        Some(character) => Err(NameError::Character(character)),
        None => Ok(()),
    }
}

/// Characters that show nothing and change how others are shown: a name made of them, or with them,
/// passes for another. The joiners (U+200C, U+200D) are letters' business in some scripts and stay.
fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{2028}' | '\u{2029}')
}

fn check_user(name: &str) -> Result<(), NameError> {
    check_text(name, USER_NAME_BYTES_MAX)?;
    if let Some(character) = name.chars().find(|c| is_deceptive(*c)) {
        return Err(NameError::Character(character));
    }
    let seen = name.chars().any(|c| !c.is_whitespace() && c != '\u{200c}' && c != '\u{200d}');
    if seen && name.trim() == name { Ok(()) } else { Err(NameError::Blank) }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a name that is in order.
            ///
            /// # Errors
            /// What is wrong with it.
            pub fn new(name: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> Result<(), NameError> = $check;
                check(name).map(|()| $name(name.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

name_type!(
    /// A room: 1 to 128 bytes of letters, digits and `_-~!@$:+,;=`.
    RoomName,
    |name| check_path_name(name, ROOM_NAME_BYTES_MAX)
);
name_type!(
    /// A channel: 1 to 256 bytes without control characters, `/`, `*`, `{` and `}`. Those of rooms are like
    /// rooms' names; others are named by whoever publishes to them over HTTP.
    ChannelName,
    |name| check_channel(name)
);
name_type!(
    /// A user, as `_public.name` says: 1 to 64 bytes that can be seen, without control characters,
    /// without white space around. Bans match it.
    UserName,
    check_user
);
name_type!(
    /// A key under which one publication is made at most once: 1 to 64 bytes.
    IdempotencyKey,
    |name| check_text(name, IDEMPOTENCY_KEY_BYTES_MAX)
);
name_type!(
    /// The name of an event (`ev`): 1 to 64 bytes without control characters.
    EventName,
    |name| check_text(name, EVENT_NAME_BYTES_MAX)
);
name_type!(
    /// The id (`jti`) of a token that is taken only once: 1 to 128 bytes.
    TokenId,
    |name| check_text(name, TOKEN_ID_BYTES_MAX)
);

impl RoomName {
    /// The channel of the room's messages, `m_R`.
    #[must_use]
    pub fn messages(&self) -> ChannelName {
        ChannelName(format!("{MESSAGES_PREFIX}{self}").into())
    }

    /// The channel of the room's events, `e_R`.
    #[must_use]
    pub fn events(&self) -> ChannelName {
        ChannelName(format!("{EVENTS_PREFIX}{self}").into())
    }

    /// The additional channel that goes by the room's bare name.
    #[must_use]
    pub fn bare(&self) -> ChannelName {
        ChannelName(Arc::clone(&self.0))
    }
}

impl ChannelName {
    /// The room whose messages this channel carries, if it is such a channel.
    #[must_use]
    pub fn room_of_messages(&self) -> Option<RoomName> {
        RoomName::new(self.0.strip_prefix(MESSAGES_PREFIX)?).ok()
    }

    /// The shard, of `shards`, that owns this channel: FNV-1a over the name, then Lemire's
    /// multiply-shift. The same on every host and in every version, so that an operator can tell
    /// where a channel lives.
    #[must_use]
    pub fn owner(&self, shards: u16) -> u16 {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        let hash = self.0.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
        // FNV's high bits stir slowly for short names: fold the halves together first.
        let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        u16::try_from((mixed * u64::from(shards)) >> 32).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_names() {
        let long = "x".repeat(ROOM_NAME_BYTES_MAX + 1);
        let table: &[(&str, Result<(), NameError>)] = &[
            ("lobby", Ok(())),
            ("__proto__", Ok(())),
            ("Zürich-東京", Ok(())),
            ("a:b", Ok(())),
            (&long[1..], Ok(())),
            ("", Err(NameError::Empty)),
            (&long, Err(NameError::TooLong(ROOM_NAME_BYTES_MAX))),
            ("a.b", Err(NameError::Character('.'))),
            ("a/b", Err(NameError::Character('/'))),
            ("a*", Err(NameError::Character('*'))),
            ("a b", Err(NameError::Character(' '))),
            ("a\n", Err(NameError::Character('\n'))),
            ("a\u{0}", Err(NameError::Character('\u{0}'))),
            ("<b>", Err(NameError::Character('<'))),
            ("ALL", Err(NameError::Reserved)),
        ];
        for (name, expected) in table {
            assert_eq!(RoomName::new(name).map(|_| ()), *expected, "{name:?}");
        }
    }

    #[test]
    fn channel_names() {
        let long = "x".repeat(CHANNEL_NAME_BYTES_MAX + 1);
        let table: &[(&str, Result<(), NameError>)] = &[
            ("m_lobby", Ok(())),
            ("a.b18.c", Ok(())),
            ("a b+c\"<%41", Ok(())),
            (&long[1..], Ok(())),
            (&long, Err(NameError::TooLong(CHANNEL_NAME_BYTES_MAX))),
            ("", Err(NameError::Empty)),
            ("a/b", Err(NameError::Character('/'))),
            ("a*", Err(NameError::Character('*'))),
            ("a{b", Err(NameError::Character('{'))),
            ("a}b", Err(NameError::Character('}'))),
            ("a\n", Err(NameError::Character('\n'))),
            ("ALL", Err(NameError::Reserved)),
            ("ALLx", Ok(())),
        ];
        for (name, expected) in table {
            assert_eq!(ChannelName::new(name).map(|_| ()), *expected, "{name:?}");
        }
    }

    #[test]
    fn a_room_and_its_channels() {
        let room = RoomName::new("lobby").unwrap();
        assert_eq!(room.messages().as_str(), "m_lobby");
        assert_eq!(room.events().as_str(), "e_lobby");
        assert_eq!(room.messages().room_of_messages(), Some(room.clone()));
        assert_eq!(room.events().room_of_messages(), None);
        assert_eq!(room.bare().as_str(), "lobby");
    }

    #[test]
    fn user_names_may_hold_spaces_but_no_control_characters() {
        let table = [
            ("Test 1", Ok(())),
            ("Zoë", Ok(())),
            ("می\u{200c}خواهم", Ok(())),
            ("👩\u{200d}🚀", Ok(())),
            ("", Err(NameError::Empty)),
            ("a\u{7}", Err(NameError::Character('\u{7}'))),
            ("Ada\u{200b}", Err(NameError::Character('\u{200b}'))),
            ("Ada\u{202e}", Err(NameError::Character('\u{202e}'))),
            (" Ada", Err(NameError::Blank)),
            ("Ada\u{a0}", Err(NameError::Blank)),
            ("\u{200d}", Err(NameError::Blank)),
        ];
        for (name, expected) in table {
            assert_eq!(UserName::new(name).map(|_| ()), expected, "{name:?}");
        }
    }

    #[test]
    fn channels_spread_evenly_over_the_shards_that_own_them() {
        for shards in [1_u16, 2, 3, 16, 64] {
            let mut owned = vec![0_u32; usize::from(shards)];
            for number in 0..20_000 {
                let channel = ChannelName::new(&format!("m_room{number}")).unwrap();
                owned[usize::from(channel.owner(shards))] += 1;
            }
            let mean = 20_000 / u32::from(shards);
            for count in owned {
                assert!(count.abs_diff(mean) * 5 < mean, "{shards} shards: {count} of about {mean}");
            }
        }
    }
}
