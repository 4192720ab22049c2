//! The template of a settings file is made of the settings' own documentation and defaults: this
//! holds it to them, and writes it anew with `CHATUP_TEST_WRITE_TEMPLATE=1 cargo test -p chatup`.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use chatup::config::{Config, FlagSetting, Flags, Loaded, Role, TEMPLATE};
use toml::{Table, Value};

const HEADER: &str = "\
# Settings of chatup, with their defaults. Whatever is left out has its default.
#
# Each can also be set in the environment, CHATUP_WORKER_PORT for port in [worker], and on the
# command line, --set worker.port=1234. The environment goes over the file, the command line over
# both. `chatup config --check FILE` checks a file, `chatup config --effective` shows what holds.
";

const SOURCES: [&str; 4] = [
    include_str!("../src/config/tables.rs"),
    include_str!("../src/config/pushstream.rs"),
    include_str!("../src/config/relay.rs"),
    include_str!("../../core/src/limits.rs"),
];

/// A field of a structure: its documentation, line by line, its name and its type.
struct Field {
    doc: Vec<String>,
    name: String,
    of: String,
}

/// The fields of every structure in the sources, in their order.
fn structures() -> BTreeMap<String, Vec<Field>> {
    let mut structures: BTreeMap<String, Vec<Field>> = BTreeMap::new();
    for source in SOURCES {
        let (mut doc, mut inside) = (Vec::new(), None::<String>);
        for line in source.lines() {
            if let Some(name) = line.strip_prefix("pub struct ").and_then(|rest| rest.strip_suffix(" {")) {
                inside = Some(name.to_owned());
                doc.clear();
            } else if line == "}" {
                inside = None;
            } else if let Some(text) = line.strip_prefix("    ///") {
                doc.push(text.trim().to_owned());
            } else if let (Some(structure), Some(field)) = (&inside, line.strip_prefix("    pub ")) {
                let (name, of) = field.trim_end_matches(',').split_once(": ").unwrap();
                let field = Field { doc: std::mem::take(&mut doc), name: name.to_owned(), of: of.to_owned() };
                structures.entry(structure.clone()).or_default().push(field);
            }
        }
    }
    structures
}

fn template() -> String {
    let structures = structures();
    let defaults = Table::try_from(Config::default()).unwrap();
    let mut text = HEADER.to_owned();
    for table in &structures["Config"] {
        text.push_str(&format!("\n{}[{}]\n", commented(&table.doc), table.name));
        for field in &structures[&table.of] {
            let value = &defaults[&table.name][&field.name];
            text.push_str(&format!("\n{}{} = {value}\n", commented(&field.doc), field.name));
        }
    }
    text
}

fn commented(doc: &[String]) -> String {
    assert!(!doc.is_empty(), "a setting without documentation");
    doc.iter().map(|line| format!("# {line}\n")).collect()
}

#[test]
fn the_template_is_made_of_the_settings_and_their_documentation() {
    let wanted = template();
    if std::env::var_os("CHATUP_TEST_WRITE_TEMPLATE").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/defaults.toml");
        std::fs::write(path, &wanted).unwrap();
        return;
    }
    let command = "CHATUP_TEST_WRITE_TEMPLATE=1 cargo test -p chatup --test template";
    for (at, (has, wants)) in TEMPLATE.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(has, wants, "defaults.toml, line {}; run: {command}", at + 1);
    }
    assert_eq!(TEMPLATE, wanted, "defaults.toml has another end; run: {command}");
}

#[test]
fn the_template_says_exactly_the_defaults_and_leaves_none_out() {
    assert_eq!(toml::from_str::<Config>(TEMPLATE).unwrap(), Config::default());
    let template: Table = toml::from_str(TEMPLATE).unwrap();
    assert_eq!(template, Table::try_from(Config::default()).unwrap());
    let loaded = Loaded::load(Role::AllInOne, &Default::default(), []).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert!(template.values().all(Value::is_table));
}

#[test]
fn every_setting_has_a_variable_and_a_flag() {
    let defaults = Table::try_from(Config::default()).unwrap();
    for (table, fields) in &defaults {
        for (field, value) in fields.as_table().unwrap() {
            let key = format!("{table}.{field}");
            let text = match value {
                Value::Array(items) => {
                    items.iter().map(|item| item.as_str().unwrap().to_owned()).collect::<Vec<_>>().join(",")
                }
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let variable = chatup::config::variable(&key);
            let environment = [(OsString::from(&variable), OsString::from(&text))];
            let loaded = Loaded::load(Role::AllInOne, &Flags::default(), environment);
            assert_eq!(loaded.unwrap().config, Config::default(), "{variable}");
            let flag = FlagSetting { flag: "--set", key: key.clone(), value: text };
            let loaded = Loaded::load(Role::AllInOne, &Flags { config: None, settings: vec![flag] }, []);
            assert_eq!(loaded.unwrap().config, Config::default(), "{key}");
        }
    }
}
