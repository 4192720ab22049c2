//! The `[pushstream]` table as text: what differs from the defaults, and each location with the line that it
//! is from.

use serde::Serialize;

use crate::config::pushstream::PushStream;

/// Writes the table. `origins` says where each location is from.
pub(super) fn write(settings: &PushStream, origins: &[String], name: &str) -> String {
    let mut text = format!("# From {}, by chatup import-nginx.\n[pushstream]\n", one_line(name));
    let scalars = |settings: &PushStream| {
        let settings = PushStream { locations: Vec::new(), ..settings.clone() };
        toml::Table::try_from(settings).unwrap_or_default()
    };
    let (own, default) = (scalars(settings), scalars(&PushStream::default()));
    text.push_str(&format!("enabled = {}\n", settings.enabled));
    for (key, value) in own.iter().filter(|(key, _)| key.as_str() != "enabled") {
        if default.get(key) != Some(value) {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    for (location, origin) in settings.locations.iter().zip(origins) {
        text.push_str(&format!("\n# {}\n[[pushstream.locations]]\n{}", one_line(origin), table(location)));
    }
    text
}

/// The keys of a table, a line each.
fn table(value: &impl Serialize) -> String {
    // A struct of texts, numbers and switches is always a table.
    toml::to_string(value).unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
