//! The rules that a single value's type does not hold yet: ranges, forms, and what settings need
//! of one another.

use std::collections::BTreeSet;

use chatup_broker::redis::settings::{Credentials, Server};
use chatup_core::limits::CHANNEL_NAME_BYTES_MAX;
use chatup_core::names::ChannelName;
use toml::Value;
use tracing_subscriber::EnvFilter;

use super::error::{Broken, ConfigError};
use super::place::Place;
use super::pushstream::{PushStream, TEMPLATE_BYTES_MAX};
use super::tables::{Auth, Config, Dispatcher, History, Redis, Secret, Worker};
use super::{Role, url};

/// Most shards of one worker; no machine has as many cores.
pub const SHARDS_MAX: u16 = 1_024;
/// Largest number of a core: Linux has at most 8,192.
pub const CORE_NUMBER_MAX: u16 = 8_191;
/// Longest flush window of a room, in milliseconds.
pub const FLUSH_INTERVAL_MS_MAX: u32 = 10_000;
/// Most messages of history that are served for a room.
pub const HISTORY_SIZE_MAX: u32 = 10_000;
/// Longest that history is kept, in seconds: ten years.
pub const HISTORY_EXPIRE_S_MAX: u64 = 10 * 365 * 24 * 60 * 60;
/// Furthest that clocks may be apart, in seconds: as much longer lives every token.
pub const LEEWAY_S_MAX: u64 = 300;

/// Longest prefix of Redis keys, in bytes.
pub const REDIS_PREFIX_BYTES_MAX: usize = 64;

/// One rule: the key, its value as shown, whether it holds, and what it says.
pub(super) type Rule = (&'static str, String, bool, &'static str);

impl Config {
    /// Checks every rule that this role depends on.
    ///
    /// # Errors
    /// The first that is broken, without the place where the value came from.
    pub fn check(&self, role: Role) -> Result<(), ConfigError> {
        let rules = self
            .worker
            .rules(role)
            .into_iter()
            .chain(self.dispatcher.rules(&self.worker, role))
            .chain(self.auth.rules(role))
            .chain(self.redis.rules(role))
            .chain(self.history.rules())
            .chain(self.pushstream.rules())
            .chain(self.relay.rules(&self.pushstream.events_channel_id))
            .chain([(
                "log.filter",
                quoted(&self.log.filter),
                is_filter(&self.log.filter),
                "a filter of levels, such as \"info\" or \"info,chatup_worker=debug\"",
            )]);
        for (key, value, holds, rule) in rules {
            if !holds {
                return Err(ConfigError::new(
                    Place::Default,
                    Broken { key: key.to_owned(), value, rule: rule.into() },
                ));
            }
        }
        self.limits.check().map_err(|limit| {
            let broken = Broken {
                key: format!("limits.{}", limit.name),
                value: limit.value.to_string(),
                rule: limit.rule.into(),
            };
            ConfigError::new(Place::Default, broken)
        })
    }
}

impl Worker {
    fn rules(&self, role: Role) -> Vec<Rule> {
        let reachable = !role.has_worker() || !self.listen.is_unspecified() || !self.announce_url.is_empty();
        let cores: BTreeSet<u16> = self.cores.iter().copied().collect();
        let cores_text = format!("{:?}", self.cores);
        vec![
            (
                "worker.announce_url",
                quoted(&self.announce_url),
                self.announce_url.is_empty() || url::is_announce_url(&self.announce_url),
                "empty, or http://host:port or https://host:port with nothing behind it",
            ),
            (
                "worker.listen",
                quoted(&self.listen.to_string()),
                reachable,
                "an address that clients can reach, unless worker.announce_url says where they find this worker",
            ),
            ("worker.shards", self.shards.to_string(), self.shards <= SHARDS_MAX, "0 to 1024"),
            (
                "worker.flush_interval_ms",
                self.flush_interval_ms.to_string(),
                self.flush_interval_ms <= FLUSH_INTERVAL_MS_MAX,
                "0 to 10000",
            ),
            (
                "worker.cores",
                cores_text.clone(),
                cores.len() == self.cores.len() && self.cores.iter().all(|core| *core <= CORE_NUMBER_MAX),
                "different core numbers, 0 to 8191",
            ),
            (
                "worker.cores",
                cores_text,
                self.cores.is_empty() || self.shards == 0 || self.cores.len() == usize::from(self.shards),
                "as many cores as worker.shards, or none",
            ),
            origins_rule("worker.origins", &self.origins),
        ]
    }
}

impl PushStream {
    fn rules(&self) -> Vec<Rule> {
        let (template, events) = (&self.message_template, self.events_channel_id.as_str());
        let rooms = events.starts_with("m_") || events.starts_with("e_");
        let fits = template.contains("~text~") && template.len() <= TEMPLATE_BYTES_MAX;
        let length = self.max_channel_id_length;
        let wrong = self.wrong_location();
        let (location, rule) = wrong.clone().unwrap_or_default();
        vec![
            (
                "pushstream.message_template",
                quoted(template),
                fits,
                "up to 1024 bytes, with ~text~ among them",
            ),
            (
                "pushstream.max_channel_id_length",
                length.to_string(),
                (1..=CHANNEL_NAME_BYTES_MAX).contains(&length),
                "1 to 256",
            ),
            (
                "pushstream.wildcard_channel_max_qtd",
                self.wildcard_channel_max_qtd.to_string(),
                self.wildcard_channel_max_qtd == 0 || !self.wildcard_channel_prefix.is_empty(),
                "0 where there is no wildcard_channel_prefix",
            ),
            (
                "pushstream.max_number_of_wildcard_channels",
                self.max_number_of_wildcard_channels.to_string(),
                self.max_number_of_wildcard_channels == 0 || !self.wildcard_channel_prefix.is_empty(),
                "0 where there is no wildcard_channel_prefix",
            ),
            (
                "pushstream.events_channel_id",
                quoted(events),
                events.is_empty() || (ChannelName::new(events).is_ok() && !rooms),
                "a channel's name that is no room's: it does not begin with m_ or e_",
            ),
            ("pushstream.locations", location, wrong.is_none(), rule),
        ]
    }
}

impl Dispatcher {
    fn rules(&self, worker: &Worker, role: Role) -> Vec<Rule> {
        let same_address =
            self.listen == worker.listen || self.listen.is_unspecified() || worker.listen.is_unspecified();
        let same = self.port != 0 && self.port == worker.port && same_address;
        vec![
            (
                "dispatcher.port",
                self.port.to_string(),
                role != Role::AllInOne || !same,
                "another than worker.port",
            ),
            origins_rule("dispatcher.origins", &self.origins),
        ]
    }
}

impl Auth {
    fn rules(&self, role: Role) -> Vec<Rule> {
        let file = quoted(&self.key_file.to_string_lossy());
        let algorithms =
            Value::try_from(&self.algorithms).map_or_else(|_| String::new(), |list| list.to_string());
        let different =
            self.algorithms.iter().enumerate().all(|(at, one)| !self.algorithms[..at].contains(one));
        vec![
            (
                "auth.key_file",
                file,
                self.key.is_empty() || self.key_file.as_os_str().is_empty(),
                "empty where auth.key is set: the key is here or there",
            ),
            (
                "auth.key",
                quoted(if self.key.is_empty() { "" } else { Secret::REDACTED }),
                self.has_key() || !role.needs_key(),
                "set, or auth.key_file: only worker and dispatcher as one make keys for trying out",
            ),
            (
                "auth.algorithms",
                algorithms,
                !self.algorithms.is_empty() && different,
                "a list of one or more different algorithms",
            ),
            (
                "auth.admin_audience",
                quoted(&self.admin_audience),
                !self.admin_audience.is_empty() && self.admin_audience != self.audience,
                "set, and not the same as auth.audience: it tells an admin's token from a user's",
            ),
            ("auth.leeway_s", self.leeway_s.to_string(), self.leeway_s <= LEEWAY_S_MAX, "0 to 300"),
        ]
    }
}

impl Redis {
    fn rules(&self, role: Role) -> Vec<Rule> {
        let url = || quoted(&self.url);
        let readable = self.url.is_empty() || Server::parse(&self.url, &Credentials::default()).is_ok();
        let prefix = self.key_prefix.len() <= REDIS_PREFIX_BYTES_MAX
            && self.key_prefix.chars().all(|c| c.is_ascii_graphic() && !"{}*?[]^\\".contains(c));
        vec![
            (
                "redis.url",
                if self.url.contains('@') { quoted(Secret::REDACTED) } else { url() },
                !self.url.contains('@'),
                "an address without user and password: these go into redis.username and redis.password",
            ),
            (
                "redis.url",
                url(),
                readable,
                "redis://HOST:PORT/DATABASE, rediss://…, redis+unix:///PATH, \
                 redis+sentinel://HOST:PORT,HOST:PORT/GROUP or redis+cluster://HOST:PORT,HOST:PORT",
            ),
            (
                "redis.url",
                url(),
                !self.url.is_empty() || !role.needs_redis(),
                "set: a worker or dispatcher alone shares rooms with the others through Redis (chatup without a \
                 command runs both in one process without it)",
            ),
            (
                "redis.key_prefix",
                quoted(&self.key_prefix),
                prefix,
                "up to 64 visible ASCII characters, none of {}*?[]^\\",
            ),
        ]
    }
}

impl History {
    fn rules(&self) -> Vec<Rule> {
        vec![
            ("history.size", self.size.to_string(), self.size <= HISTORY_SIZE_MAX, "0 to 10000"),
            (
                "history.expire_s",
                self.expire_s.to_string(),
                (1..=HISTORY_EXPIRE_S_MAX).contains(&self.expire_s),
                "1 to 315360000 (ten years)",
            ),
        ]
    }
}

fn origins_rule(key: &'static str, origins: &[String]) -> Rule {
    let wrong = origins.iter().find(|origin| !url::is_origin_pattern(origin));
    (
        key,
        wrong.map_or_else(String::new, |origin| quoted(origin)),
        wrong.is_none(),
        "made of scheme://host, scheme://host:port, scheme://host:* or *",
    )
}

/// A mistyped level would pass for the name of a part of which everything is to be written, and
/// nothing of anything else: so a part needs a level.
fn is_filter(filter: &str) -> bool {
    let is_level = |word: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&word);
    let named = |part: &str| part.contains('=') || is_level(part.trim().to_ascii_lowercase().as_str());
    !filter.trim().is_empty() && filter.split(',').all(named) && EnvFilter::try_new(filter).is_ok()
}

pub(super) fn quoted(text: &str) -> String {
    format!("{text:?}")
}
