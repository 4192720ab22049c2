//! The names of all settings, `table.key`, drawn from the defaults: which there are, what kind of
//! value each takes, and which was probably meant by one that there is not.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use toml::{Table, Value};

use super::error::Broken;
use super::tables::{Config, Secret};

/// The key that tokens are verified with, which may be a secret.
pub(crate) const TOKEN_KEY: &str = "auth.key";
/// Keys whose values are never shown.
const SECRETS: [&str; 3] = [TOKEN_KEY, "redis.password", "redis.sentinel_password"];
/// Keys that name files.
pub(crate) const FILES: [&str; 2] = ["auth.key_file", "redis.ca_file"];
/// Lists of numbers; all other lists are of texts. (An empty default does not tell.)
const NUMBER_LISTS: [&str; 1] = ["worker.cores"];
/// A wrong name is taken for another if at most this many letters differ.
const SUGGESTION_EDITS_MAX: usize = 3;
/// A value longer than this, in characters, is cut off where an error shows it.
const SHOWN_VALUE_CHARS_MAX: usize = 80;

/// What kind of value a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Switch,
    Texts,
    Numbers,
}

static KEYS: LazyLock<BTreeMap<String, Kind>> = LazyLock::new(|| {
    let mut keys = BTreeMap::new();
    for (table, fields) in defaults() {
        let Value::Table(fields) = fields else { continue };
        for (field, value) in fields {
            let key = format!("{table}.{field}");
            let kind = match value {
                Value::Boolean(_) => Kind::Switch,
                Value::Integer(_) => Kind::Number,
                Value::Array(_) if NUMBER_LISTS.contains(&key.as_str()) => Kind::Numbers,
                Value::Array(_) => Kind::Texts,
                _ => Kind::Text,
            };
            keys.insert(key, kind);
        }
    }
    keys
});

/// The defaults as TOML tables.
pub(crate) fn defaults() -> Table {
    // Every field has a TOML form, as the test over the template shows.
    Table::try_from(Config::default()).unwrap_or_default()
}

/// All keys, sorted.
pub(crate) fn all() -> impl Iterator<Item = &'static str> {
    KEYS.keys().map(String::as_str)
}

/// The key of that name, if there is one.
pub(crate) fn find(name: &str) -> Option<&'static str> {
    KEYS.get_key_value(name).map(|(key, _)| key.as_str())
}

/// Whether there is a table of that name.
pub(crate) fn is_table(name: &str) -> bool {
    all().any(|key| key.split_once('.').is_some_and(|(table, _)| table == name))
}

/// The key that was probably meant.
pub(crate) fn suggest(name: &str) -> Option<String> {
    match name.split_once('.') {
        None => in_any_table(name).or_else(|| {
            let tables = all().filter_map(|key| Some(key.split_once('.')?.0));
            nearest(name, tables, SUGGESTION_EDITS_MAX).map(|table| format!("[{table}]"))
        }),
        Some((_, field)) => {
            nearest(name, all(), SUGGESTION_EDITS_MAX).map(str::to_owned).or_else(|| in_any_table(field))
        }
    }
}

fn in_any_table(field: &str) -> Option<String> {
    all().find(|key| key.split_once('.').is_some_and(|(_, name)| name == field)).map(str::to_owned)
}

/// The nearest of the candidates, if it is near.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
    edits_max: usize,
) -> Option<&'a str> {
    candidates
        .map(|candidate| (edits(candidate, name), candidate))
        .filter(|(edits, candidate)| *edits <= edits_max && *edits < candidate.len() / 2)
        .min()
        .map(|(_, candidate)| candidate)
}

/// A value of this key from the text of a variable or a flag; lists are comma separated.
pub(crate) fn parse(key: &'static str, text: &str) -> Result<Value, Broken> {
    let number = |text: &str| text.trim().parse::<i64>().ok().map(Value::Integer);
    let items = || text.split(',').map(str::trim).filter(|_| !text.trim().is_empty());
    let value = match KEYS.get(key) {
        Some(Kind::Number) => number(text),
        Some(Kind::Switch) => text.trim().parse::<bool>().ok().map(Value::Boolean),
        Some(Kind::Texts) => Some(Value::Array(items().map(|item| Value::String(item.to_owned())).collect())),
        Some(Kind::Numbers) => items().map(number).collect::<Option<_>>().map(Value::Array),
        Some(Kind::Text) | None => Some(Value::String(text.to_owned())),
    };
    // What cannot be read is refused as the text that it is.
    let value = value.unwrap_or_else(|| Value::String(text.to_owned()));
    accept(key, &value)?;
    Ok(value)
}

/// Whether this key can take that value: its kind and its range, not yet the rules between keys.
pub(crate) fn accept(key: &'static str, value: &Value) -> Result<(), Broken> {
    let Some((table, field)) = key.split_once('.') else { return Err(broken(key, value, "")) };
    let fields = Table::from_iter([(field.to_owned(), value.clone())]);
    let tables = Table::from_iter([(table.to_owned(), Value::Table(fields))]);
    match tables.try_into::<Config>() {
        Ok(_) => Ok(()),
        Err(error) => Err(broken(key, value, error.message())),
    }
}

/// As an error shows it: in one line, not too long, and nothing of a secret.
pub(crate) fn shown(key: &str, value: &Value) -> String {
    match value {
        _ if SECRETS.contains(&key) => Secret::REDACTED.to_owned(),
        Value::Table(_) => "{…}".to_owned(),
        value => {
            let text = value.to_string().replace('\n', " ");
            match text.char_indices().nth(SHOWN_VALUE_CHARS_MAX) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        }
    }
}

fn broken(key: &'static str, value: &Value, message: &str) -> Broken {
    Broken { key: key.to_owned(), value: shown(key, value), rule: rule(key, message).into() }
}

/// What a value of this key must be; `message` is what the deserialiser said, for the width of a
/// number.
fn rule(key: &str, message: &str) -> &'static str {
    match key {
        "worker.port" | "dispatcher.port" => "a port, 1 to 65535, or 0 for any free one",
        "worker.listen" | "dispatcher.listen" => "an IP address, such as 127.0.0.1 or ::1",
        "worker.io" => "\"auto\", \"io_uring\" or \"epoll\"",
        "worker.slow_subscriber" => "\"tell\" or \"close\"",
        "pushstream.locations" => "tables [[pushstream.locations]] in a file, each with path and mode",
        "worker.stats_from" | "pushstream.publish_from" => "\"loopback\", \"anyone\" or \"nobody\"",
        "worker.cores" => "a list of core numbers, such as [2, 3]",
        "auth.algorithms" => "a list of \"HS256\", \"RS256\", \"ES256\" and \"EdDSA\"",
        _ => match KEYS.get(key) {
            Some(Kind::Number) if message.contains("u16") => "a whole number, 0 to 65535",
            Some(Kind::Number) if message.contains("u32") => "a whole number, 0 to 4294967295",
            Some(Kind::Number) => "a whole number, 0 or more",
            Some(Kind::Switch) => "true or false",
            Some(Kind::Texts) => "a list of texts",
            Some(Kind::Numbers) => "a list of whole numbers",
            Some(Kind::Text) | None => "a text",
        },
    }
}

/// Levenshtein's distance.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, l) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, r) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(l != *r);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}
