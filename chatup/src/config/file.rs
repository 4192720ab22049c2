//! A settings file: TOML, each value with its line and column.

use std::path::Path;

use toml::de::DeTable;
use toml::{Table, Value};

use super::error::{ConfigError, Problem};
use super::layer::Entry;
use super::place::Place;
use super::{keys, material};

/// Largest settings file, in bytes: with every key set and commented it is a few thousand.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The settings of a file, in its order. A key file's path in it is relative to the file.
///
/// # Errors
/// It cannot be read, is not TOML, or names a key that there is not.
pub(crate) fn read(path: &Path) -> Result<Vec<Entry>, ConfigError> {
    let unreadable = |reason: String| ConfigError::new(Place::whole_file(path), Problem::Unreadable(reason));
    let bytes = material::read_capped(path, FILE_BYTES_MAX).map_err(|error| unreadable(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8".to_owned()))?;
    parse(&text, path)
}

fn parse(text: &str, path: &Path) -> Result<Vec<Entry>, ConfigError> {
    let syntax = |error: &toml::de::Error| {
        let place =
            error.span().map_or_else(|| Place::whole_file(path), |span| Place::in_file(path, text, span));
        ConfigError::new(place, Problem::Syntax(error.message().replace('\n', ", ")))
    };
    let spans = DeTable::parse(text).map_err(|error| syntax(&error))?;
    let values: Table = toml::from_str(text).map_err(|error| syntax(&error))?;

    let mut named = Vec::new();
    for (table, content) in spans.get_ref() {
        let name = table.get_ref().as_ref();
        match content.get_ref().as_table() {
            Some(fields) if keys::is_table(name) => {
                named.extend(fields.iter().map(|(field, value)| {
                    (field.span(), value.span(), format!("{name}.{}", field.get_ref()))
                }));
            }
            _ => named.push((table.span(), table.span(), name.to_owned())),
        }
    }
    named.sort_by_key(|(span, ..)| span.start);
    named
        .into_iter()
        .map(|(name_span, value_span, name)| match (keys::find(&name), value_of(&values, &name)) {
            (Some(key), Some(value)) => {
                let value = if keys::FILES.contains(&key) { beside(path, value) } else { value };
                Ok(Entry { key, value, place: Place::in_file(path, text, value_span) })
            }
            _ => {
                let suggestion = keys::suggest(&name);
                let problem = Problem::UnknownKey { key: name, suggestion };
                Err(ConfigError::new(Place::in_file(path, text, name_span), problem))
            }
        })
        .collect()
}

fn value_of(values: &Table, key: &str) -> Option<Value> {
    let (table, field) = key.split_once('.')?;
    values.get(table)?.get(field).cloned()
}

/// A relative path in a file means the file's own folder, wherever the program was started.
fn beside(file: &Path, value: Value) -> Value {
    match (&value, file.parent()) {
        (Value::String(path), Some(folder)) if !path.is_empty() => match folder.join(path).to_str() {
            Some(joined) => Value::String(joined.to_owned()),
            None => value,
        },
        _ => value,
    }
}
