//! Layers of settings, one over the other: defaults, file, environment, flags.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::error::{ConfigError, Problem};
use super::keys;
use super::place::Place;

/// One setting of one layer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: &'static str,
    pub(crate) value: Value,
    pub(crate) place: Place,
}

/// All layers so far: what holds, and where it came from.
#[derive(Debug)]
pub(crate) struct Layers {
    pub(crate) values: Table,
    pub(crate) places: Places,
}

/// Where each setting came from that is not a default.
#[derive(Clone, Debug, Default)]
pub struct Places(BTreeMap<&'static str, Place>);

/// Of these, only one can hold: whoever sets one takes back the other of the layers below.
const EITHER_OR: [[&str; 2]; 2] = [["auth.key", "auth.key_file"], ["auth.key_file", "auth.key"]];

impl Layers {
    /// The defaults.
    pub(crate) fn new() -> Layers {
        Layers { values: keys::defaults(), places: Places::default() }
    }

    /// Lays these settings over what is there.
    pub(crate) fn lay(&mut self, entries: Vec<Entry>) -> Result<(), ConfigError> {
        let mut here: BTreeMap<&'static str, bool> = BTreeMap::new();
        for entry in entries {
            if here.insert(entry.key, entry.value.as_str() != Some("")).is_some() {
                let other = self.places.of(entry.key);
                return Err(ConfigError::new(
                    entry.place,
                    Problem::SetTwice { key: entry.key.to_owned(), other },
                ));
            }
            if let Err(broken) = keys::accept(entry.key, &entry.value) {
                return Err(ConfigError::new(entry.place, broken));
            }
            self.set(entry);
        }
        for [set, taken_back] in EITHER_OR {
            if here.get(set) == Some(&true) && !here.contains_key(taken_back) {
                self.set(Entry {
                    key: taken_back,
                    value: Value::String(String::new()),
                    place: self.places.of(set),
                });
            }
        }
        Ok(())
    }

    /// The number that a key has now.
    pub(crate) fn number(&self, key: &str) -> Option<i64> {
        let (table, field) = key.split_once('.')?;
        self.values.get(table)?.get(field)?.as_integer()
    }

    fn set(&mut self, entry: Entry) {
        let Some((table, field)) = entry.key.split_once('.') else { return };
        if let Some(fields) = self.values.get_mut(table).and_then(Value::as_table_mut) {
            fields.insert(field.to_owned(), entry.value);
            self.places.0.insert(entry.key, entry.place);
        }
    }
}

impl Places {
    /// Where this key was set.
    #[must_use]
    pub fn of(&self, key: &str) -> Place {
        self.0.get(key).cloned().unwrap_or(Place::Default)
    }

    /// Gives an error that names a key, but no place, the place where that key was set; where it
    /// was not set, that of a key of the same table which the rule names.
    #[must_use]
    pub fn locate(&self, error: ConfigError) -> ConfigError {
        let ConfigError { place: Place::Default, problem: Problem::Broken(broken) } = &error else {
            return error;
        };
        let table = broken.key.split_once('.').map_or("", |(table, _)| table);
        let named = |other: &str| match other.split_once('.') {
            Some((name, field)) => {
                broken.rule.contains(other) || (name == table && broken.rule.contains(field))
            }
            None => false,
        };
        let place = self
            .0
            .get(broken.key.as_str())
            .or_else(|| self.0.iter().find(|(other, _)| named(other)).map(|(_, place)| place));
        ConfigError { place: place.cloned().unwrap_or(Place::Default), ..error }
    }
}
