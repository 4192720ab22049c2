//! The program as it is called: what it prints, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use chatup::cli::Cli;
use chatup::config::{Config, TEMPLATE};
use chatup::printed::{Format, Printed};
use chatup::state::DemoKeys;
use chatup_core::message::UnixMillis;
use clap::{CommandFactory, Parser};

const PROGRAM: &str = env!("CARGO_BIN_EXE_chatup");
const TWELVE_HOURS_MS: u64 = 12 * 60 * 60 * 1_000;

/// A directory of this test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let name = format!("program-{:032x}", rand::random::<u128>());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs the program with this directory as its home and an otherwise empty environment.
    fn run(&self, arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Output {
        let mut child = Command::new(PROGRAM)
            .args(arguments)
            .env_clear()
            .env("HOME", &self.0)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that does not read its input may have closed it already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// What it prints when all is well.
    fn output(&self, arguments: &[&str], environment: &[(&str, &str)], input: &str) -> String {
        let output = self.run(arguments, environment, input);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        assert_eq!(errors, "", "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it says when it was asked wrongly.
    fn error(&self, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        let output = self.run(arguments, environment, "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn demo_public(&self) -> Vec<u8> {
        DemoKeys::load_or_create(&self.0.join(".local/state/chatup")).unwrap().public_pem
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMillis(u64::try_from(since.as_millis()).unwrap())
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
    let folder = Folder::new();
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["worker", "--help"],
        &["dispatcher", "--help"],
        &["token", "--help"],
        &["token", "admin", "--help"],
        &["config", "--help"],
    ] {
        let help = folder.output(arguments, &[], "");
        assert!(help.contains("Usage: chatup"), "{arguments:?}: {help}");
    }
    assert_eq!(folder.output(&["--version"], &[], ""), format!("chatup {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_named_flag_sets_what_its_help_says() {
    let rows: [(&[&str], &[&str]); 9] = [
        (
            &["--listen", "127.0.0.9"],
            &["[worker]\nlisten = \"127.0.0.9\"", "[dispatcher]\nlisten = \"127.0.0.9\""],
        ),
        (&["--worker-port", "1"], &["port = 1\n"]),
        (&["--dispatcher-port", "2"], &["port = 2\n"]),
        (&["--shards", "3"], &["shards = 3\n"]),
        (&["--cores", "0,1"], &["cores = [0, 1]\n"]),
        (&["--key-file", "/k.pem"], &["key_file = \"/k.pem\"\n"]),
        (&["--algorithm", "EdDSA", "--algorithm", "ES256"], &["algorithms = [\"EdDSA\", \"ES256\"]\n"]),
        (&["--log", "debug"], &["filter = \"debug\"\n"]),
        (&["--set", "history.size=7"], &["size = 7\n"]),
    ];
    let folder = Folder::new();
    for (flags, wanted) in rows {
        let text = folder.output(&[&["config", "--effective"], flags].concat(), &[], "");
        for wanted in wanted {
            assert!(text.contains(wanted), "{flags:?}: {text}");
        }
        assert_ne!(toml::from_str::<Config>(&text).unwrap(), Config::default(), "{flags:?}");
    }
}

#[test]
fn settings_are_shown_and_checked() {
    let folder = Folder::new();
    assert_eq!(folder.output(&["config"], &[], ""), TEMPLATE);
    let text = folder.output(&["config", "--effective"], &[("CHATUP_AUTH_KEY", "my secret")], "");
    assert!(text.contains("key = \"(redacted)\"\n") && !text.contains("my secret"), "{text}");

    let good = folder.file("good.toml", TEMPLATE);
    assert_eq!(folder.output(&["config", "--check", &good], &[], ""), format!("{good} is in order\n"));
    let bad = folder.file("bad.toml", "[worker]\nport = 99999\n");
    let error = folder.error(&["config", "--check", &bad], &[]);
    assert!(error.starts_with(&format!("chatup: {bad}, line 2, column 8: worker.port = 99999")), "{error}");
    let keyless = folder.file("keyless.toml", "[auth]\nkey_file = \"none.pem\"\n");
    let error = folder.error(&["config", "--check", &keyless], &[]);
    assert!(error.contains("keyless.toml, line 2, column 12: auth.key_file = "), "{error}");
    assert!(error.contains("must be a file that can be read"), "{error}");

    assert!(folder.error(&["config", "--shards", "1"], &[]).contains("give --effective too"));
    let error = folder.error(&["config", "--effective"], &[("CHATUP_CONFIG", &bad)]);
    assert!(error.contains("worker.port = 99999"), "{error}");
    let error = folder.error(&["--shards", "many"], &[]);
    assert_eq!(error, "chatup: --shards: worker.shards = \"many\": must be a whole number, 0 to 65535\n");
    let error = folder.error(&["worker"], &[("CHATUP_PORT", "x")]);
    assert!(error.starts_with("chatup: CHATUP_PORT: worker.port = \"x\""), "{error}");
    let error = folder.error(&["dispatcher"], &[]);
    assert!(error.starts_with("chatup: settings: auth.key = \"\": must be set, or auth.key_file"), "{error}");
}

#[test]
fn a_user_token_is_one_that_the_server_takes() {
    let folder = Folder::new();
    let audience = folder.file("chatup.toml", "[auth]\naudience = \"fans\"\n");
    let rows: [(&[&str], &str, &str, u64); 3] = [
        (&["--name", "Ada"], "", r#"{"name":"Ada"}"#, TWELVE_HOURS_MS),
        (
            &["--name", "Ada", "--public", r#"{"color":"red"}"#, "--expires", "30s"],
            "",
            r#"{"color":"red","name":"Ada"}"#,
            30_000,
        ),
        (&["--name", "Ada", "--config", &audience], "fans", r#"{"name":"Ada"}"#, TWELVE_HOURS_MS),
    ];
    for (arguments, audience, public, lifetime_ms) in rows {
        let mut config = Config::default();
        config.auth.audience = audience.to_owned();
        config.auth.leeway_s = 0;
        let before = now();
        let output = folder.output(&[&["token"], arguments].concat(), &[], "");
        let identity =
            config.verifier(Some(&folder.demo_public())).unwrap().user(output.trim_end(), now()).unwrap();
        assert_eq!(identity.public.get(), public, "{arguments:?}");
        let expires = identity.expires.unwrap().0;
        let earliest = before.0 / 1_000 * 1_000 + lifetime_ms;
        assert!((earliest..=now().0 + lifetime_ms).contains(&expires), "{arguments:?}: {expires}");
    }
    let rows: [(&[&str], &str); 7] = [
        (&["token"], "--name"),
        (&["token", "--name", ""], "is empty"),
        (&["token", "--name", "Ada", "--public", "[]"], "--public: must be a JSON object"),
        (&["token", "--name", "Ada", "--public", r#"{"name":"Bob"}"#], "--public: must not hold \"name\""),
        (&["token", "--name", "Ada", "--expires", "12"], "a whole number and s, m, h or d"),
        (&["token", "--name", "Ada", "--key-file", "none.pem"], "--key-file none.pem: "),
        (&["token", "--name", "Ada", "--set", "auth.key_file=k.pem"], "give its private half by --key-file"),
    ];
    for (arguments, wanted) in rows {
        let error = folder.error(arguments, &[]);
        assert!(error.contains(wanted), "{arguments:?}: {error}");
    }
}

#[test]
fn a_token_is_signed_with_the_key_given() {
    let folder = Folder::new();
    let secret = folder.file("secret.txt", "0123456789abcdef0123456789abcdef\n");
    let state = folder.0.join("other");
    let keys = DemoKeys::load_or_create(&state).unwrap();
    let private = folder.file("private.pem", &String::from_utf8(keys.private_pem).unwrap());
    let mut config = Config::default();
    let token = folder.output(&["token", "--name", "Ada", "--key-file", &private], &[], "");
    assert!(config.verifier(Some(&keys.public_pem)).unwrap().user(token.trim_end(), now()).is_ok());
    let token = folder.output(&["token", "--name", "Ada", "--state-dir", state.to_str().unwrap()], &[], "");
    assert!(config.verifier(Some(&keys.public_pem)).unwrap().user(token.trim_end(), now()).is_ok());
    let token = folder.output(&["token", "--name", "Ada", "--key-file", &secret], &[], "");
    config.auth.key_file = secret.into();
    config.auth.algorithms = vec![chatup::config::TokenAlgorithm::Hs256];
    assert!(config.verifier(None).unwrap().user(token.trim_end(), now()).is_ok());
}

#[test]
fn an_admin_token_is_one_that_the_server_takes_once() {
    let folder = Folder::new();
    let posts = r#"[{"channel":"lobby","msg":"hello"},{"channel":"lobby","ev":"goal","data":[1]}]"#;
    let file = folder.file("posts.json", posts);
    let bans = folder.file("bans.json", r#"[{"name":"Bob","channel":"lobby"}]"#);
    let admin = |arguments: &[&str], input: &str| {
        folder.output(&[&["token", "admin"], arguments].concat(), &[], input).trim_end().to_owned()
    };
    let post = [admin(&["--post", &file], ""), admin(&["--post", "-"], posts)];
    let ban = [
        (admin(&["--ban", "Bob", "--room", "lobby", "--for", "30s"], ""), Some(30)),
        (admin(&["--ban", "Bob", "--room", "lobby"], ""), None),
        (admin(&["--ban", &bans], ""), None),
    ];
    let verifier = Config::default().verifier(Some(&folder.demo_public())).unwrap();
    let mut ids = Vec::new();
    for token in &post {
        let orders = verifier.posts(token, now()).unwrap();
        assert_eq!(orders.entries.len(), 2);
        assert_eq!(orders.entries[0].msg.as_deref(), Some("hello"));
        ids.push(orders.once.unwrap());
    }
    for (token, expire_s) in &ban {
        let orders = verifier.bans(token, now()).unwrap();
        assert_eq!(orders.entries.len(), 1);
        assert_eq!(orders.entries[0].name.as_str(), "Bob");
        assert_eq!(orders.entries[0].expire_s, *expire_s);
        ids.push(orders.once.unwrap());
    }
    let until = ids[0].until.0;
    assert!((now().0 + 290_000..now().0 + 310_000).contains(&until), "five minutes, and the leeway: {until}");
    let different: std::collections::BTreeSet<_> =
        ids.iter().map(|once| once.id.as_str().to_owned()).collect();
    assert_eq!(different.len(), ids.len());

    let wrong = folder.file("wrong.json", r#"[{"name":"Bob","channel":"lobby"},{"name":"Bob"}]"#);
    let rows: [(&[&str], &str); 8] = [
        (&[], "<--post <FILE>|--ban <NAME|FILE>|--unban <NAME>|--read>"),
        (&["--ban", "Bob"], "Bob: cannot be read"),
        (&["--ban", "Bob", "--room", "a/b"], "--room \"a/b\": holds a character that is not allowed"),
        (&["--ban", "Bob", "--for", "1h"], "--room"),
        (&["--ban", &wrong], "wrong.json: entry 2 would be refused"),
        (&["--post", &wrong], "wrong.json: entry 1 would be refused"),
        (&["--post", &file, "--ban", "Bob"], "cannot be used with"),
        (&["--post", &file, "--expires", "25h"], "at most 86400s"),
    ];
    for (arguments, wanted) in rows {
        let error = folder.error(&[&["token", "admin"], arguments].concat(), &[]);
        assert!(error.contains(wanted), "{arguments:?}: {error}");
    }
}

#[test]
fn what_is_printed_at_the_start_is_for_people_or_for_programs() {
    let print = |format, token: Option<&str>, demo_page| {
        let mut out = Vec::new();
        let printed = Printed { format, token: token.map(str::to_owned), demo_page };
        printed.write(&mut out, "http://127.0.0.1:8000", "http://127.0.0.1:42633").unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        print(Format::Json, Some("a.b.c"), true),
        "{\"url\":\"http://127.0.0.1:8000/\",\"worker\":\"http://127.0.0.1:42633\",\"token\":\"a.b.c\"}\n"
    );
    assert!(print(Format::Json, None, true).ends_with(",\"token\":null}\n"));
    assert_eq!(
        print(Format::Text, Some("a.b.c"), true),
        "ChatUp is ready: dispatcher http://127.0.0.1:8000/, worker http://127.0.0.1:42633/\n\
         Open http://127.0.0.1:8000/ in two windows and chat.\n\n\
         A ready-made token (12 h) for the name Ada:\na.b.c\n\n\
         Stop it with Ctrl+C.\n"
    );
    let text = print(Format::Text, None, false);
    assert!(!text.contains("token") && !text.contains("Open"), "{text}");
    assert_eq!(Cli::parse_from(["chatup", "--print", "json"]).start.print, Format::Json);
}
