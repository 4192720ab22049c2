//! The hot paths of the product. A case is a function that prepares what it needs and gives back
//! what is measured: a closure that does the same work each time it is called.
//!
//! Cases here read no clock, draw no random number and start no thread, so that their instructions
//! can be counted (`counted`). One thing is not in their hand: the shard's tables of names are hash
//! maps with a random seed. Each case looks up one name in a map of at most two, which costs the
//! same wherever the name lies.

pub mod calls;
pub mod frames;
pub mod handover;
pub mod room_log;
pub mod shard;
pub mod tokens;

use chatup_core::exchange::Event;
use chatup_core::message::{Body, Publication, UnixMillis, payload};
use chatup_core::names::ChannelName;
use chatup_core::position::{Epoch, MessageId, Offset};
use serde_json::value::RawValue;

/// The wall clock of all cases: 2027-01-15.
pub const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// A case under its name.
#[derive(Clone, Copy)]
pub struct Case {
    /// By which it is asked for, and compared between revisions.
    pub name: &'static str,
    /// Prepares it; what comes back is measured.
    pub prepare: fn() -> Box<dyn FnMut()>,
}

/// All that `counted` knows. A case keeps its name for as long as it does the same work: what is
/// compared between two revisions must be the same question.
pub const CASES: &[Case] = &[
    Case { name: "frame_read_120", prepare: || Box::new(frames::read(120)) },
    Case { name: "frame_read_4096", prepare: || Box::new(frames::read(4_096)) },
    Case { name: "frame_write_120", prepare: || Box::new(frames::write(120)) },
    Case { name: "broadcast_write_120", prepare: || Box::new(frames::broadcast(120)) },
    Case { name: "call_say_120", prepare: || Box::new(calls::core(calls::say(120))) },
    Case { name: "call_say_4000", prepare: || Box::new(calls::core(calls::say(4_000))) },
    Case { name: "call_say_escaped_120", prepare: || Box::new(calls::core(calls::say_escaped(120))) },
    Case { name: "call_subscribe_1", prepare: || Box::new(calls::core(calls::subscribe(1))) },
    Case { name: "call_subscribe_8", prepare: || Box::new(calls::core(calls::subscribe(8))) },
    Case { name: "token_hs256", prepare: || Box::new(tokens::verify(&tokens::HS256)) },
    Case { name: "token_rs256", prepare: || Box::new(tokens::verify(&tokens::RS256)) },
    Case { name: "token_eddsa", prepare: || Box::new(tokens::verify(&tokens::EDDSA)) },
    Case { name: "token_es256", prepare: || Box::new(tokens::verify(&tokens::ES256)) },
    Case { name: "room_log_append_120", prepare: || Box::new(room_log::append(120)) },
    Case { name: "room_log_read_1", prepare: || Box::new(room_log::read(1)) },
    Case { name: "room_log_read_64", prepare: || Box::new(room_log::read(64)) },
    Case { name: "room_log_run_64", prepare: || Box::new(room_log::run(64)) },
    Case { name: "fan_out_1", prepare: || Box::new(shard::fan_out(1)) },
    Case { name: "fan_out_100", prepare: || Box::new(shard::fan_out(100)) },
    Case { name: "fan_out_1000", prepare: || Box::new(shard::fan_out(1_000)) },
    Case { name: "say_120", prepare: || Box::new(shard::say(120)) },
    Case { name: "connect", prepare: || Box::new(shard::connect()) },
    Case { name: "queue_awake", prepare: || Box::new(handover::awake(1)) },
];

/// The case of that name.
#[must_use]
pub fn case(name: &str) -> Option<&'static Case> {
    CASES.iter().find(|case| case.name == name)
}

/// Plain text of so many bytes: words, as people write them.
#[must_use]
pub fn words(bytes: usize) -> String {
    "the quick brown fox jumps over the lazy dog and ".chars().cycle().take(bytes).collect()
}

/// A message as a room carries it, with a text of so many bytes.
#[must_use]
pub fn publication(channel: &ChannelName, offset: u64, text_bytes: usize) -> Publication {
    let user = RawValue::from_string(r#"{"name":"Ada"}"#.into()).ok();
    let id = MessageId::from_random(u128::from(offset));
    let text = words(text_bytes);
    Publication {
        channel: channel.clone(),
        epoch: Epoch(1),
        offset: Offset(offset),
        id,
        payload: payload(user.as_deref(), &Body::Text(&text), id, NOW),
    }
}

/// The channel that all cases speak in.
///
/// # Panics
/// Never: the name is a constant that is in order.
#[must_use]
pub fn channel() -> ChannelName {
    ChannelName::new("m_lobby").expect("a name that is in order")
}

/// What a broker hands a shard for each message.
#[must_use]
pub fn published(publication: &Publication) -> Event {
    Event::Published(publication.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each case checks its own work as it goes; running it is the test.
    #[test]
    fn every_case_runs_and_has_a_name_of_its_own() {
        for case in CASES {
            let mut run = (case.prepare)();
            for _ in 0..3 {
                run();
            }
            let same = CASES.iter().filter(|other| other.name == case.name).count();
            assert_eq!(same, 1, "{}", case.name);
        }
        assert!(case("fan_out_1").is_some() && case("of no name").is_none());
    }

    #[test]
    fn words_are_as_long_as_asked() {
        for bytes in [0, 1, 120, 4_096] {
            assert_eq!(words(bytes).len(), bytes);
        }
    }
}
