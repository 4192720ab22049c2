//! The names under which everything lies in Redis.
//!
//! All keys of a room carry its name as their hash tag, so that they lie in one slot of a cluster and a
//! script may touch them together. Names of rooms and channels hold no braces, so none can be mistaken
//! for another; what may hold anything stands at the end, behind its length.

use chatup_core::names::{ChannelName, IdempotencyKey, RoomName, TokenId, UserName};

/// A worker's life in the registry: begun anew, under another number, when it has been given up.
pub(crate) type Lease = u64;

/// Makes keys. The prefix keeps several systems in one Redis apart.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
    /// Stands before topics: all databases of a server share these.
    topics: String,
}

/// A channel's keys, and the topic on which its messages are published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChannelKeys {
    pub(crate) head: String,
    pub(crate) stream: String,
    pub(crate) topic: String,
}

/// The keys of a room's members and viewers.
#[derive(Clone, Debug)]
pub(crate) struct PeopleKeys {
    pub(crate) members: String,
    pub(crate) public: String,
    pub(crate) viewers: String,
    pub(crate) changes: String,
    pub(crate) gate: String,
}

/// The registry's keys.
#[derive(Clone, Debug)]
pub(crate) struct RegistryKeys {
    pub(crate) beats: String,
    pub(crate) records: String,
    pub(crate) dying: String,
    /// When somebody last looked at them.
    pub(crate) looked: String,
}

const MESSAGES: &str = "m_";
const EVENTS: &str = "e_";

/// A channel's room, and the letter that tells it from the room's other channels.
fn place(channel: &ChannelName) -> (&str, char) {
    let name = channel.as_str();
    let of_room = |prefix| name.strip_prefix(prefix).filter(|room| RoomName::new(room).is_ok());
    match (of_room(MESSAGES), of_room(EVENTS)) {
        (Some(room), _) => (room, 'm'),
        (_, Some(room)) => (room, 'e'),
        (None, None) => (name, 'b'),
    }
}

/// What the keys of this channel have as their hash tag.
pub(crate) fn tag(channel: &ChannelName) -> &str {
    place(channel).0
}

impl Keys {
    pub(crate) fn new(prefix: &str, database: i64) -> Keys {
        let topics = if database == 0 { prefix.to_owned() } else { format!("{prefix}{database}:") };
        Keys { prefix: prefix.to_owned(), topics }
    }

    fn of(&self, tag: &str, rest: impl std::fmt::Display) -> String {
        format!("{}{{{tag}}}:{rest}", self.prefix)
    }

    pub(crate) fn channel(&self, channel: &ChannelName) -> ChannelKeys {
        let (room, letter) = place(channel);
        let of = |rest| self.of(room, format_args!("{letter}:{rest}"));
        let topic = format!("{}{{{room}}}:{letter}", self.topics);
        ChannelKeys { head: of("head"), stream: of("log"), topic }
    }

    /// The channel whose messages are published on this topic.
    pub(crate) fn channel_of(&self, topic: &str) -> Option<ChannelName> {
        let (room, letter) = topic.strip_prefix(&self.topics)?.strip_prefix('{')?.rsplit_once("}:")?;
        let is_room = RoomName::new(room).is_ok();
        let name = match letter {
            "m" if is_room => format!("{MESSAGES}{room}"),
            "e" if is_room => format!("{EVENTS}{room}"),
            "b" => room.to_owned(),
            _ => return None,
        };
        ChannelName::new(&name).ok()
    }

    /// Where it is remembered which message a sender published under a key.
    pub(crate) fn published(
        &self,
        channel: &ChannelName,
        sender: Option<&UserName>,
        key: &IdempotencyKey,
    ) -> String {
        let (room, letter) = place(channel);
        match sender {
            Some(name) => {
                let name = name.as_str();
                self.of(room, format_args!("{letter}:once:{}:{name}:{key}", name.len()))
            }
            None => self.of(room, format_args!("{letter}:once:-:{key}")),
        }
    }

    pub(crate) fn bans(&self, room: &RoomName) -> String {
        self.of(room.as_str(), "bans")
    }

    pub(crate) fn people(&self, room: &RoomName) -> PeopleKeys {
        let of = |rest| self.of(room.as_str(), rest);
        PeopleKeys {
            members: of("members"),
            public: of("public"),
            viewers: of("viewers"),
            changes: of("changes"),
            gate: of("gate"),
        }
    }

    /// The members whom a worker brought to a room.
    pub(crate) fn brought(&self, room: &RoomName, lease: Lease) -> String {
        self.of(room.as_str(), format_args!("of:{lease:016x}"))
    }

    /// The rooms in which a worker has people.
    pub(crate) fn rooms(&self, lease: Lease) -> String {
        format!("{}rooms:{lease:016x}", self.prefix)
    }

    pub(crate) fn registry(&self) -> RegistryKeys {
        let of = |rest| self.of("workers", rest);
        RegistryKeys {
            beats: of("registry:beats"),
            records: of("registry:records"),
            dying: of("registry:dying"),
            looked: of("registry:looked"),
        }
    }

    /// Whoever holds this is removing the people of a worker that is gone.
    pub(crate) fn undertaker(&self, lease: Lease) -> String {
        format!("{}undertaker:{lease:016x}", self.prefix)
    }

    pub(crate) fn claimed(&self, id: &TokenId) -> String {
        // An id may hold braces, which would be taken for a hash tag.
        let digits: String = id.as_str().bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("{}claimed:{digits}", self.prefix)
    }

    /// The topic on which every worker hears of bans.
    pub(crate) fn banned_topic(&self) -> String {
        format!("{}banned", self.topics)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn channels_have_their_own_keys_in_their_rooms_slot() {
        let keys = Keys::new("chatup:", 0);
        let mut seen = HashSet::new();
        for (name, room) in [
            ("m_a", "a"),
            ("e_a", "a"),
            ("a", "a"),
            ("m_", "m_"),
            ("m_m", "m"),
            ("m_m_a", "m_a"),
            ("m_e_a", "e_a"),
            ("m_a:b", "a:b"),
            ("Zürich", "Zürich"),
            ("m_ALL", "m_ALL"),
            ("m_a b", "m_a b"),
            ("a.b:m", "a.b:m"),
            ("q\"<:", "q\"<:"),
        ] {
            let channel = ChannelName::new(name).unwrap();
            let of = keys.channel(&channel);
            assert_eq!(tag(&channel), room, "{name}");
            for key in [&of.head, &of.stream, &of.topic] {
                assert!(key.starts_with(&format!("chatup:{{{room}}}:")), "{key}");
                assert!(seen.insert(key.clone()), "{key} twice");
            }
            assert_eq!(keys.channel_of(&of.topic), Some(channel.clone()));
            let elsewhere = Keys::new("chatup:", 7).channel(&channel);
            assert_eq!((&elsewhere.head, keys.channel_of(&elsewhere.topic)), (&of.head, None));
        }
        for topic in ["chatup:banned", "other:{a}:m", "chatup:{a}:x", "chatup:{a b}:m", ""] {
            assert_eq!(keys.channel_of(topic), None, "{topic}");
        }
    }

    #[test]
    fn no_two_senders_share_a_key() {
        let keys = Keys::new("", 0);
        let channel = ChannelName::new("m_a").unwrap();
        let table =
            [(Some("ada"), "k"), (None, "k"), (Some("ada:k"), "k"), (Some("ada"), "k:k"), (Some("-"), "k")];
        let all: HashSet<String> = table
            .iter()
            .map(|(name, key)| {
                let name = name.map(|name| UserName::new(name).unwrap());
                keys.published(&channel, name.as_ref(), &IdempotencyKey::new(key).unwrap())
            })
            .collect();
        assert_eq!(all.len(), table.len());
    }
}
