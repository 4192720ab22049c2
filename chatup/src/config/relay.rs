//! The `[relay]` table: where an Nginx with the PushStream module is posted what is said here.

use chatup_core::names::ChannelName;
use chatup_relay::can_be_posted_to;
use chatup_relay::settings::{Endpoint, EndpointError, Settings};
use serde::{Deserialize, Serialize};

use super::check::{Rule, quoted};

/// Most channels that may be named.
pub const CHANNELS_MAX: usize = 1_000;
/// Shortest and longest post of several messages, in bytes.
pub const POST_BYTES: std::ops::RangeInclusive<usize> = 1_024..=16 * 1_024 * 1_024;
/// Least and most that messages may take that wait, in bytes.
pub const WAITING_BYTES: std::ops::RangeInclusive<usize> = 1_024 * 1_024..=16 * 1_024 * 1_024 * 1_024;
/// Longest that a channel is relayed without a subscriber, in seconds: a week.
pub const KEEP_S_MAX: u64 = 7 * 24 * 60 * 60;

/// The `[relay]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Relay {
    /// Where the worker posts what is said to an Nginx with the PushStream module, such as
    /// "http://127.0.0.1/pub", for those who keep it for their subscribers. Empty: nowhere.
    pub publisher_url: String,
    /// Where that Nginx tells which channels have subscribers, such as "http://127.0.0.1/channels-stats":
    /// these are relayed, and their subscribers count as viewers.
    pub statistics_url: String,
    /// Channels that are relayed whether anybody listens or not, such as ["m_lobby", "e_lobby"].
    pub channels: Vec<String>,
    /// Bytes of one post, at most, where it has more than one message: no more than client_max_body_size
    /// and client_body_buffer_size of that Nginx. They are gathered for `worker.flush_interval_ms`.
    pub post_bytes_max: usize,
    /// Bytes of messages that wait while Nginx takes none, at most; then the oldest are dropped, and that
    /// is logged.
    pub waiting_bytes_max: usize,
    /// How long a channel is relayed after its last subscriber has gone, in seconds: as long as Nginx
    /// keeps messages (push_stream_message_ttl) for those who come back.
    pub keep_s: u64,
}

impl Default for Relay {
    fn default() -> Self {
        Relay {
            publisher_url: String::new(),
            statistics_url: String::new(),
            channels: Vec::new(),
            post_bytes_max: 16 * 1_024,
            waiting_bytes_max: 64 * 1_024 * 1_024,
            keep_s: 30 * 60,
        }
    }
}

const URL: &str = "empty, or http://HOST:PORT/PATH without user, password and arguments";

impl Relay {
    /// What must hold; `events` is the channel that tells of the others, if there is one.
    pub(super) fn rules(&self, events: &str) -> Vec<Rule> {
        let readable = |url: &str| url.is_empty() || Endpoint::parse(url).is_ok();
        // What has a user and a password in it is not shown.
        let shown = |url: &str| quoted(if url.contains('@') { super::Secret::REDACTED } else { url });
        let wrong = self
            .channels
            .iter()
            .find(|name| !ChannelName::new(name).is_ok_and(|name| can_be_posted_to(&name)));
        let given =
            self.publisher_url.is_empty() || !self.statistics_url.is_empty() || !self.channels.is_empty();
        vec![
            ("relay.publisher_url", shown(&self.publisher_url), readable(&self.publisher_url), URL),
            (
                "relay.publisher_url",
                quoted(""),
                !self.publisher_url.is_empty() || self.statistics_url.is_empty() && self.channels.is_empty(),
                "set where relay.statistics_url or relay.channels is: else nothing is posted",
            ),
            ("relay.statistics_url", shown(&self.statistics_url), readable(&self.statistics_url), URL),
            (
                "relay.statistics_url",
                quoted(""),
                given,
                "set, or relay.channels: else it is not known what to post to relay.publisher_url",
            ),
            (
                "relay.channels",
                wrong.map_or_else(|| self.channels.len().to_string(), |name| quoted(name)),
                wrong.is_none() && self.channels.len() <= CHANNELS_MAX,
                "up to 1000 names of channels, without ? and not ending in .b and a number, such as \"m_lobby\" for the messages of a room",
            ),
            (
                "relay.channels",
                quoted(events),
                events.is_empty() || !self.channels.iter().any(|name| name == events),
                "without pushstream.events_channel_id: Nginx would show it to everybody",
            ),
            (
                "relay.post_bytes_max",
                self.post_bytes_max.to_string(),
                POST_BYTES.contains(&self.post_bytes_max),
                "1024 to 16777216",
            ),
            (
                "relay.waiting_bytes_max",
                self.waiting_bytes_max.to_string(),
                WAITING_BYTES.contains(&self.waiting_bytes_max),
                "1048576 to 17179869184",
            ),
            ("relay.keep_s", self.keep_s.to_string(), self.keep_s <= KEEP_S_MAX, "0 to 604800"),
        ]
    }

    /// What the relay is told, if there is to be one.
    ///
    /// # Errors
    /// An address that is none.
    pub fn settings(&self, flush_interval_ms: u32, events: &str) -> Result<Option<Settings>, EndpointError> {
        if self.publisher_url.is_empty() {
            return Ok(None);
        }
        let statistics = Some(&self.statistics_url).filter(|url| !url.is_empty());
        Ok(Some(Settings {
            publisher: Endpoint::parse(&self.publisher_url)?,
            statistics: statistics.map(|url| Endpoint::parse(url)).transpose()?,
            channels: self.channels.iter().filter_map(|name| ChannelName::new(name).ok()).collect(),
            kept_back: ChannelName::new(events).ok(),
            flush_interval_ms: flush_interval_ms.into(),
            post_bytes_max: self.post_bytes_max,
            waiting_bytes_max: self.waiting_bytes_max,
            keep_ms: self.keep_s.saturating_mul(1_000),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Role};
    use super::*;

    #[test]
    fn what_must_hold() {
        let (url, other) = ("http://127.0.0.1/pub", "http://127.0.0.1/channels-stats");
        let with = |publisher: &str, statistics: &str, channels: &[&str]| Relay {
            publisher_url: publisher.into(),
            statistics_url: statistics.into(),
            channels: channels.iter().map(|&name| name.into()).collect(),
            ..Relay::default()
        };
        let given = with(url, other, &[]);
        let table = [
            (Relay::default(), ""),
            (given.clone(), ""),
            (with(url, "", &["m_lobby"]), ""),
            (
                with("https://a/pub", other, &[]),
                "relay.publisher_url = \"https://a/pub\": must be empty, or http://",
            ),
            (with("http://me:word@a/pub", other, &[]), "relay.publisher_url = \"(redacted)\": must be empty"),
            (
                with(url, "a/channels-stats", &[]),
                "relay.statistics_url = \"a/channels-stats\": must be empty",
            ),
            (with(url, "", &[]), "relay.statistics_url = \"\": must be set, or relay.channels"),
            (with(url, other, &["a.b1"]), "relay.channels = \"a.b1\": must be up to 1000 names"),
            (with("", other, &[]), "relay.publisher_url = \"\": must be set"),
            (with("", "", &["m_a"]), "relay.publisher_url = \"\": must be set"),
            (with(url, other, &["a/b"]), "relay.channels = \"a/b\": must be up to 1000 names"),
            (
                Relay { post_bytes_max: 1_023, ..given.clone() },
                "relay.post_bytes_max = 1023: must be 1024 to",
            ),
            (
                Relay { waiting_bytes_max: 0, ..given.clone() },
                "relay.waiting_bytes_max = 0: must be 1048576 to",
            ),
            (Relay { keep_s: KEEP_S_MAX + 1, ..given }, "relay.keep_s = 604801: must be 0 to 604800"),
        ];
        for (relay, expected) in table {
            let wanted = relay.settings(0, "").map(|settings| settings.is_some());
            let config = Config { relay, ..Config::default() };
            match config.check(Role::AllInOne) {
                Ok(()) => {
                    assert_eq!(expected, "", "{:?}", config.relay);
                    assert_eq!(wanted, Ok(!config.relay.publisher_url.is_empty()));
                }
                Err(error) => {
                    let error = error.to_string();
                    assert!(!expected.is_empty() && error.contains(expected), "{error}");
                }
            }
        }
    }

    #[test]
    fn what_pushstream_settings_need_and_forbid() {
        type Change = fn(&mut Config);
        let table: [(Change, &str); 4] = [
            (|config| config.pushstream.events_channel_id = "evs".into(), ""),
            (
                |config| {
                    config.pushstream.events_channel_id = "evs".into();
                    config.relay = Relay {
                        publisher_url: "http://a/pub".into(),
                        channels: vec!["evs".into()],
                        ..Relay::default()
                    };
                },
                "relay.channels = \"evs\": must be without pushstream.events_channel_id",
            ),
            (
                |config| config.pushstream.max_number_of_wildcard_channels = 3,
                "pushstream.max_number_of_wildcard_channels = 3: must be 0 where there is no",
            ),
            (
                |config| config.pushstream.wildcard_channel_max_qtd = 3,
                "pushstream.wildcard_channel_max_qtd = 3: must be 0 where there is no",
            ),
        ];
        for (change, expected) in table {
            let mut config = Config::default();
            change(&mut config);
            let wrong = config.check(Role::AllInOne).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(
                wrong.contains(expected) && wrong.is_empty() == expected.is_empty(),
                "{expected}: {wrong}"
            );
        }
    }
}
