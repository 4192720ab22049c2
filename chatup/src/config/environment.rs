//! The environment: `CHATUP_TABLE_KEY` for every setting, and the names that the original has.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use toml::Value;

use super::error::{ConfigError, Problem};
use super::layer::{Entry, Layers};
use super::place::Place;
use super::{Role, keys};

const PREFIX: &str = "CHATUP_";
/// Names the settings file.
const CONFIG: &str = "CHATUP_CONFIG";
const HOSTNAME: &str = "CHATUP_HOSTNAME";
/// So spelt in the original.
const ANNOUNCED_PORT: &str = "CHATUP_ANNOUCEDPORT";
const ANNOUNCE_TLS: &str = "CHATUP_ANNOUNCESSL";
const PORT: &str = "CHATUP_PORT";
const JWT_KEY: &str = "CHATUP_JWTKEY";
const REDIS_HOST: &str = "CHATUP_REDISHOST";
const REDIS_PORT: &str = "CHATUP_REDISPORT";
const ANNOUNCE_URL_KEY: &str = "worker.announce_url";

/// The original's names that each set one or more keys as they stand.
const ALIASES: [(&str, &[&str]); 4] = [
    ("CHATUP_ORIGINS", &["worker.origins", "dispatcher.origins"]),
    ("CHATUP_THREADS", &["worker.shards"]),
    ("CHATUP_MESSAGEHISTORYSIZE", &["history.size"]),
    ("CHATUP_MESSAGEHISTORYEXPIRE", &["history.expire_s"]),
];
/// The original's names that need more than one look.
const SPECIAL: [&str; 8] =
    [CONFIG, PORT, JWT_KEY, HOSTNAME, ANNOUNCED_PORT, ANNOUNCE_TLS, REDIS_HOST, REDIS_PORT];
/// The original's names of what this version does not have.
const NOT_HERE: [(&str, &str); 3] = [
    ("CHATUP_SSLKEY", "TLS of its own: put Nginx in front"),
    ("CHATUP_SSLCERT", "TLS of its own: put Nginx in front"),
    ("CHATUP_SENTRYDSN", "reports to Sentry"),
];
/// What the test harness uses.
const IGNORED: [&str; 2] = ["CHATUP_BIN", "CHATUP_ARGS"];
const IGNORED_PREFIX: &str = "CHATUP_TEST_";
/// A wrong variable's name is taken for another if at most this many letters differ.
const SUGGESTION_EDITS_MAX: usize = 4;

/// What the environment says.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    pub(crate) config: Option<PathBuf>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) announced: Option<Announced>,
}

/// The announced address in the original's three variables; the port may be that of another layer.
#[derive(Debug)]
pub(crate) struct Announced {
    host: String,
    port: Option<u16>,
    tls: bool,
}

/// The settings among these variables; those of other programs are passed over.
///
/// # Errors
/// A variable of this program that it does not know, or that cannot hold its value.
pub(crate) fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    role: Role,
) -> Result<Environment, ConfigError> {
    // Sorted, so that the same environment always gives the same error.
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        if IGNORED.contains(&name) || name.starts_with(IGNORED_PREFIX) {
            continue;
        }
        let Ok(value) = value.into_string() else { return Err(form(name, "its value is not UTF-8")) };
        texts.insert(name.to_owned(), value);
    }
    let mut environment = Environment {
        announced: announced(&texts)?,
        config: texts.get(CONFIG).filter(|path| !path.is_empty()).map(PathBuf::from),
        ..Environment::default()
    };
    for (name, text) in &texts {
        for (key, value) in settings(name, text, role)? {
            environment.entries.push(Entry { key, value, place: Place::Variable(name.clone()) });
        }
    }
    environment.entries.extend(redis(&texts)?);
    Ok(environment)
}

/// The Redis of the original's two variables, either of which may be missing.
fn redis(texts: &BTreeMap<String, String>) -> Result<Option<Entry>, ConfigError> {
    let (host, port) = (texts.get(REDIS_HOST), texts.get(REDIS_PORT));
    let Some(name) = host.map(|_| REDIS_HOST).or(port.map(|_| REDIS_PORT)) else { return Ok(None) };
    let host = host.map_or("localhost", String::as_str);
    let bracketed =
        if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
    let port = port.map_or("6379", String::as_str);
    match keys::parse("redis.url", &format!("redis://{bracketed}:{port}")) {
        Ok(value) => Ok(Some(Entry { key: "redis.url", value, place: Place::Variable(name.to_owned()) })),
        Err(broken) => Err(ConfigError::new(Place::Variable(name.to_owned()), broken)),
    }
}

/// The name of a setting's own variable.
#[must_use]
pub fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase())
}

impl Announced {
    /// The setting that the variables amount to, once all other layers are known; none where a
    /// flag has set it.
    pub(crate) fn entry(&self, layers: &Layers) -> Result<Option<Entry>, ConfigError> {
        if matches!(layers.places.of(ANNOUNCE_URL_KEY), Place::Flag(_)) {
            return Ok(None);
        }
        let port = match (self.port, layers.number("worker.port")) {
            (Some(port), _) => i64::from(port),
            (None, Some(port)) if port != 0 => port,
            _ => return Err(form(HOSTNAME, "needs CHATUP_ANNOUCEDPORT where worker.port is 0")),
        };
        let scheme = if self.tls { "https" } else { "http" };
        let host = &self.host;
        let host =
            if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.clone() };
        let value = Value::String(format!("{scheme}://{host}:{port}"));
        Ok(Some(Entry { key: ANNOUNCE_URL_KEY, value, place: Place::Variable(HOSTNAME.to_owned()) }))
    }
}

/// What one variable sets.
fn settings(name: &str, text: &str, role: Role) -> Result<Vec<(&'static str, Value)>, ConfigError> {
    let parse = |key: &'static str| match keys::parse(key, text) {
        Ok(value) => Ok((key, value)),
        Err(broken) => Err(ConfigError::new(Place::Variable(name.to_owned()), broken)),
    };
    if let Some(key) = keys::all().find(|key| variable(key) == name) {
        return Ok(vec![parse(key)?]);
    }
    if let Some((_, keys)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return keys.iter().map(|key| parse(key)).collect();
    }
    if let Some((_, what)) = NOT_HERE.iter().find(|(missing, _)| *missing == name) {
        return Err(ConfigError::new(Place::Variable(name.to_owned()), Problem::NotHere(what)));
    }
    match (name, role) {
        (PORT, Role::Worker) => Ok(vec![parse("worker.port")?]),
        (PORT, Role::Dispatcher) => Ok(vec![parse("dispatcher.port")?]),
        (PORT, Role::AllInOne) => Err(form(
            name,
            "does not say which port is meant where worker and dispatcher run as one; \
             set CHATUP_WORKER_PORT and CHATUP_DISPATCHER_PORT",
        )),
        (JWT_KEY, _) => {
            let inline = text.contains(['\n', '{']) || text.contains("-----BEGIN");
            Ok(vec![parse(if inline { keys::TOKEN_KEY } else { "auth.key_file" })?])
        }
        (name, _) if SPECIAL.contains(&name) => Ok(Vec::new()),
        _ => Err(ConfigError::new(
            Place::Variable(name.to_owned()),
            Problem::UnknownVariable { suggestion: suggest(name) },
        )),
    }
}

fn announced(texts: &BTreeMap<String, String>) -> Result<Option<Announced>, ConfigError> {
    let port = match texts.get(ANNOUNCED_PORT).map(|text| (text, text.trim().parse::<u16>())) {
        None => None,
        Some((_, Ok(port))) if port != 0 => Some(port),
        Some((text, _)) => return Err(form(ANNOUNCED_PORT, format!("{text:?}: must be a port, 1 to 65535"))),
    };
    let tls = match texts.get(ANNOUNCE_TLS).map(|text| (text, text.trim().to_ascii_lowercase())) {
        None => false,
        Some((text, lower)) => match lower.as_str() {
            "true" | "1" => true,
            "false" | "0" | "" => false,
            _ => return Err(form(ANNOUNCE_TLS, format!("{text:?}: must be true or false"))),
        },
    };
    let Some(host) = texts.get(HOSTNAME) else {
        return match [ANNOUNCED_PORT, ANNOUNCE_TLS].into_iter().find(|name| texts.contains_key(*name)) {
            Some(name) => Err(form(name, "means nothing without CHATUP_HOSTNAME")),
            None => Ok(None),
        };
    };
    let own = variable(ANNOUNCE_URL_KEY);
    if texts.contains_key(&own) {
        let problem = Problem::SetTwice { key: ANNOUNCE_URL_KEY.to_owned(), other: Place::Variable(own) };
        return Err(ConfigError::new(Place::Variable(HOSTNAME.to_owned()), problem));
    }
    Ok(Some(Announced { host: host.trim().to_owned(), port, tls }))
}

fn suggest(name: &str) -> Option<String> {
    let variables: Vec<String> = keys::all().map(variable).collect();
    let known =
        variables.iter().map(String::as_str).chain(SPECIAL).chain(ALIASES.iter().map(|(alias, _)| *alias));
    keys::nearest(name, known, SUGGESTION_EDITS_MAX).map(str::to_owned)
}

fn form(name: &str, message: impl Into<std::borrow::Cow<'static, str>>) -> ConfigError {
    ConfigError::new(Place::Variable(name.to_owned()), Problem::Form(message.into()))
}
