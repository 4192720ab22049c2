//! Keeps the house in order: what may depend on what, what core may not touch, how long a file may
//! be, what each must begin with, and that what was generated is fresh.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

const FILE_LINES_MAX: usize = 400;

/// Which crates of the house each may use. `tests` starts programs and uses core's tables.
const MAY_USE: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("broker", &["chatup-core"]),
    ("worker", &["chatup-core", "chatup-broker"]),
    ("dispatcher", &["chatup-core", "chatup-broker"]),
    ("relay", &["chatup-core", "chatup-broker"]),
    ("chatup", &["chatup-core", "chatup-broker", "chatup-worker", "chatup-dispatcher", "chatup-relay"]),
    ("loadgen", &["chatup-core"]),
    ("bench", &["chatup-core", "chatup-worker"]),
    ("tests", &["chatup-core", "chatup-broker"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Files below a folder with one of these endings, without what is built or fetched.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
            if path.is_dir() {
                if !["target", "node_modules", "dist", ".git"].contains(&name) {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The part of a Rust file before its tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

#[test]
fn crates_depend_in_one_direction() {
    for (name, allowed) in MAY_USE {
        let manifest: toml::Table = read(&root().join(name).join("Cargo.toml")).parse().expect("TOML");
        assert!(manifest.get("target").is_none(), "{name}: rules for one target hide dependencies");
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = manifest.get(section).and_then(toml::Value::as_table) else { continue };
            for dependency in dependencies.keys().filter(|dependency| dependency.starts_with("chatup-")) {
                assert!(allowed.contains(&dependency.as_str()), "{name} may not use {dependency}");
            }
        }
    }
    let manifest: toml::Table = read(&root().join("Cargo.toml")).parse().expect("TOML");
    let members = manifest["workspace"]["members"].as_array().expect("members");
    for member in members {
        let member = member.as_str().expect("a name");
        assert!(MAY_USE.iter().any(|(name, _)| *name == member), "{member} has no rule here");
    }
}

/// What core may use of others': each reads what it is given and nothing else.
const CORE_MAY_USE: &[&str] = &[
    "base64",
    "flate2",
    "form_urlencoded",
    "http",
    "httparse",
    "jsonwebtoken",
    "memchr",
    "percent-encoding",
    "regex",
    "serde",
    "serde_json",
    "simd-json",
    "smallvec",
    "thiserror",
    "time",
    "tungstenite",
    "uuid",
    "x509-parser",
];

#[test]
fn core_uses_only_what_does_no_io() {
    let manifest: toml::Table = read(&root().join("core/Cargo.toml")).parse().expect("TOML");
    for dependency in manifest["dependencies"].as_table().expect("a table").keys() {
        assert!(CORE_MAY_USE.contains(&dependency.as_str()), "core may not use {dependency}");
    }
}

#[test]
fn core_reads_no_clock_and_knows_no_thread_or_socket() {
    let forbidden = [
        "std::net",
        "std::thread",
        "std::fs",
        "std::process",
        "std::os",
        "Instant",
        "SystemTime",
        "rand::",
        "tokio",
        "glommio",
        "io_uring",
        "crossbeam",
        "redis",
        "get_current_timestamp",
        "Mutex",
        "Atomic",
        "unsafe {",
        "println!",
        "eprintln!",
    ];
    for path in files(&root().join("core/src"), &[".rs"]) {
        let text = read(&path);
        // A whole file may be for tests only: its parent says so.
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        if name == "testing.rs" || name == "tests.rs" {
            continue;
        }
        for (number, line) in without_tests(&text).lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for word in forbidden {
                assert!(!line.contains(word), "{}:{}: core may not use {word}", shown(&path), number + 1);
            }
        }
    }
}

#[test]
fn unsafe_code_lives_in_one_module() {
    for path in files(&root(), &[".rs"]) {
        let place = shown(&path);
        if place == "worker/src/ring.rs" || place == "tests/tests/tidy.rs" {
            continue;
        }
        assert!(!read(&path).contains("unsafe {"), "{place}: unsafe code belongs into worker/src/ring.rs");
    }
}

#[test]
fn files_are_short_and_begin_with_what_they_are_for() {
    for path in files(&root(), &[".rs", ".ts", ".mjs", ".css", ".html"]) {
        let (text, place) = (read(&path), shown(&path));
        let lines = without_tests(&text).lines().count();
        assert!(
            lines <= FILE_LINES_MAX,
            "{place} has {lines} lines before its tests: at most {FILE_LINES_MAX}"
        );
        let first = text.lines().find(|line| !line.is_empty() && !line.starts_with("#!")).unwrap_or("");
        let heading = match place.rsplit('.').next() {
            Some("rs") => first.starts_with("//!"),
            Some("html") => text.contains("<!--"),
            _ => first.starts_with('/'),
        };
        assert!(heading, "{place} does not begin with what it is for: {first:?}");
    }
}

#[test]
fn no_leftover_markers_and_no_places_of_one_machine() {
    // Put together here, so that this file does not hold them itself.
    let words = ["TO", "FIX", "XX", "/wo", "/ro"].iter().zip(["DO", "ME", "X", "rk/", "ot/"]);
    let words: Vec<String> = words.map(|(one, two)| format!("{one}{two}")).collect();
    let endings =
        [".rs", ".ts", ".mjs", ".md", ".toml", ".html", ".css", ".json", "Makefile", ".yml", ".sh", "run"];
    for path in files(&root(), &endings) {
        let text = read(&path);
        for word in &words {
            let found = text.lines().position(|line| line.contains(word.as_str()));
            assert!(found.is_none(), "{}:{}: {word}", shown(&path), found.unwrap_or(0) + 1);
        }
    }
}

#[test]
fn every_environment_of_a_lock_file_is_the_standard_one() {
    for line in read(&root().join("Cargo.lock")).lines().filter(|line| line.starts_with("source = ")) {
        assert_eq!(line, "source = \"registry+https://github.com/rust-lang/crates.io-index\"");
    }
    assert!(!read(&root().join("client/package-lock.json")).contains("\"resolved\""));
}

/// `dist` is committed, so that running the program needs no Node: it must be of these sources.
#[test]
fn the_clients_bundle_is_fresh() {
    let client = root().join("client");
    let mut sources = BTreeMap::new();
    for path in files(&client.join("src"), &[".ts"]).into_iter().chain(files(&client.join("demo"), &[""])) {
        let name =
            path.strip_prefix(&client).expect("below client").to_str().expect("a name").replace('\\', "/");
        sources.insert(name.into_bytes(), fs::read(&path).expect("a file"));
    }
    let mut hash = Sha256::new();
    for (name, bytes) in sources {
        for part in [&name[..], b"\0", &bytes, b"\0"] {
            hash.update(part);
        }
    }
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    for name in ["chatup.js", "demo.js", "demo.css", "index.html"] {
        let bundle = read(&client.join("dist").join(name));
        let head: String = bundle.lines().take(3).collect();
        assert!(head.contains(&hash), "client/dist/{name} is not of these sources: npm run build in client/");
    }
}

/// The protocol's page carries core's table of refusals.
#[test]
fn the_table_of_refusals_in_the_protocol_is_cores() {
    let path = root().join("docs/PROTOCOL.md");
    let page = read(&path);
    let (head, rest) = page.split_once("<!-- refusals:begin -->\n").expect("a begin");
    let (_, tail) = rest.split_once("<!-- refusals:end -->").expect("an end");
    let table = chatup_core::refusal::Refusal::markdown();
    let fresh = format!("{head}<!-- refusals:begin -->\n{table}<!-- refusals:end -->{tail}");
    if std::env::var_os("CHATUP_TEST_WRITE_DOCS").is_some() {
        fs::write(&path, &fresh).expect("it is written");
    }
    assert!(fresh == page, "docs/PROTOCOL.md: run this test with CHATUP_TEST_WRITE_DOCS=1 and commit");
}
