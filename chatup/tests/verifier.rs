//! Which key tokens are verified with, and what is said of one that cannot be used.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::ffi::OsString;
use std::path::Path;

use chatup::config::{Config, Flags, Loaded, Role, TokenAlgorithm};
use chatup_core::message::UnixMillis;
use chatup_core::token::Signer;
use serde_json::json;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
/// The certificate of the original's README, whose private key is public.
const EXAMPLE: &str = include_str!("../../core/tests/data/example-jwt-cert.pem");

fn config(toml: &str) -> Config {
    toml::from_str(toml).unwrap()
}

fn error(config: &Config) -> String {
    match config.verifier(None) {
        Ok(_) => panic!("accepted: {config:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_key_is_read_from_the_settings_or_from_a_file() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("secret.txt");
    std::fs::write(&path, SECRET).unwrap();
    let inline = config(&format!("[auth]\nalgorithms = ['HS256']\nkey = '{SECRET}'"));
    let file = config(&format!("[auth]\nalgorithms = ['HS256']\nkey_file = '{}'", path.display()));
    let claims = json!({ "_public": { "name": "Ada" }, "exp": NOW.0 / 1_000 + 60 });
    let token = Signer::from_secret(SECRET.as_bytes()).unwrap().sign(&claims).unwrap();
    for config in [inline, file] {
        let identity = config.verifier(None).unwrap().user(&token, NOW).unwrap();
        assert_eq!(identity.name.as_str(), "Ada");
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    assert!(error(&Config::default()).contains("auth.key = \"\": must be set"));
    let missing = error(&config("[auth]\nkey_file = 'missing.pem'"));
    assert!(
        missing.contains("auth.key_file = \"missing.pem\": must be a file that can be read"),
        "{missing}"
    );
    let wrong = error(&config(&format!("[auth]\nkey = '{SECRET}'")));
    assert!(wrong.contains("auth.key = (redacted): must be a key for auth.algorithms"), "{wrong}");
}

#[test]
fn the_public_example_key_is_taken_only_where_it_is_allowed() {
    let mut config = config(&format!("[auth]\nkey = '''{EXAMPLE}'''"));
    assert!(error(&config).contains("set auth.allow_example_key"), "{}", error(&config));
    config.auth.allow_example_key = true;
    assert!(config.verifier(None).is_ok());
    config.auth.algorithms = vec![TokenAlgorithm::EdDsa];
    assert!(config.verifier(None).is_err());
}

#[test]
fn a_key_that_is_set_is_never_shown() {
    let secret = "correct-horse-battery-staple-correct-horse";
    let environment =
        ["CHATUP_AUTH_KEY", "CHATUP_REDIS_PASSWORD"].map(|name| (name.into(), OsString::from(secret)));
    let loaded = Loaded::load(Role::AllInOne, &Flags::default(), environment).unwrap();
    assert!(!format!("{loaded:?}").contains("horse"));
    let Err(error) = loaded.config.verifier(None) else { panic!("a secret passed for RS256") };
    let error = loaded.places.locate(error).to_string();
    assert!(error.starts_with("CHATUP_AUTH_KEY: auth.key = (redacted): must be a key"), "{error}");
    assert!(!error.contains("horse"), "{error}");
}
