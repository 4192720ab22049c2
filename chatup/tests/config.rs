//! Settings from file, environment and flags: which one holds, and what is said of a wrong one.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use chatup::config::{FlagSetting, Flags, Loaded, Role};
use toml::Table;

/// One row: the sources, and what comes of them.
struct Row {
    role: Role,
    file: &'static str,
    environment: &'static [(&'static str, &'static str)],
    set: &'static [(&'static str, &'static str)],
}

const NOTHING: Row = Row { role: Role::AllInOne, file: "", environment: &[], set: &[] };

impl Row {
    /// The result, or the error as the operator reads it, with the file's name as `chatup.toml`.
    fn load(&self) -> Result<Loaded, String> {
        let folder = folder();
        let path = folder.join("chatup.toml");
        fs::write(&path, self.file).unwrap();
        let settings = self.set.iter().map(|(key, value)| FlagSetting {
            flag: "--set",
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        });
        let flags =
            Flags { config: (!self.file.is_empty()).then(|| path.clone()), settings: settings.collect() };
        let environment = self.environment.iter().map(|(n, v)| (OsString::from(n), OsString::from(v)));
        let result = Loaded::load(self.role, &flags, environment);
        let hidden = format!("{}/", folder.display());
        let result = result.map_err(|error| error.to_string().replace(&hidden, ""));
        fs::remove_dir_all(folder).unwrap();
        result
    }
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{:032x}", rand::random::<u128>()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The row gives `key` the value that this TOML writes.
fn check(row: &Row, key: &str, toml: &str) {
    let context = format!("{key} with {:?} {:?} {:?}", row.file, row.environment, row.set);
    let loaded = row.load().unwrap_or_else(|error| panic!("{context}: {error}"));
    let values = Table::try_from(&loaded.config).unwrap();
    let (table, field) = key.split_once('.').unwrap();
    let wanted: Table = toml::from_str(&format!("value = {toml}")).unwrap();
    assert_eq!(values[table][field], wanted["value"], "{context}");
}

/// The row is refused with this text.
fn refused(row: &Row, wanted: &str) {
    let context = format!("{:?} {:?} {:?}", row.file, row.environment, row.set);
    match row.load() {
        Ok(_) => panic!("{context}: accepted, instead of: {wanted}"),
        Err(error) => assert_eq!(error, wanted, "{context}"),
    }
}

#[test]
fn flags_go_over_the_environment_and_that_over_the_file() {
    let file = "[history]\nsize = 1";
    let environment: &[(&str, &str)] = &[("CHATUP_HISTORY_SIZE", "2"), ("HOME", "/"), ("PATH", "")];
    let set: &[(&str, &str)] = &[("history.size", "3")];
    check(&NOTHING, "history.size", "100");
    check(&Row { file, ..NOTHING }, "history.size", "1");
    check(&Row { file, environment, ..NOTHING }, "history.size", "2");
    check(&Row { file, set, ..NOTHING }, "history.size", "3");
    check(&Row { file, environment, set, ..NOTHING }, "history.size", "3");
}

#[test]
fn a_key_here_takes_back_a_key_elsewhere_of_the_layer_below() {
    let row = Row {
        file: "[auth]\nkey_file = \"a.pem\"",
        environment: &[("CHATUP_AUTH_KEY", "secret")],
        ..NOTHING
    };
    check(&row, "auth.key", "\"secret\"");
    check(&row, "auth.key_file", "\"\"");
    let row = Row { set: &[("auth.key_file", "b.pem")], ..row };
    check(&row, "auth.key", "\"\"");
    check(&row, "auth.key_file", "\"b.pem\"");
    let row =
        Row { file: "[auth]\nkey_file = \"a.pem\"", environment: &[("CHATUP_AUTH_KEY", "")], ..NOTHING };
    let loaded = row.load().unwrap();
    assert!(loaded.config.auth.key_file.is_absolute(), "relative to the file: {:?}", loaded.config.auth);
    assert!(loaded.config.auth.key_file.ends_with("a.pem"));
}

#[test]
fn variables_set_what_they_say() {
    use Role::{AllInOne, Dispatcher, Tool, Worker};
    const KEY: (&str, &str) = ("CHATUP_AUTH_KEY", "k");
    const REDIS: (&str, &str) = ("CHATUP_REDIS_URL", "rediss://a");
    type Case = (Role, &'static [(&'static str, &'static str)], &'static str, &'static str);
    let rows: &[Case] = &[
        (AllInOne, &[("CHATUP_WORKER_PORT", "0")], "worker.port", "0"),
        (AllInOne, &[("CHATUP_WORKER_LISTEN", "::1")], "worker.listen", "\"::1\""),
        (AllInOne, &[("CHATUP_WORKER_CORES", "2, 3")], "worker.cores", "[2, 3]"),
        (AllInOne, &[("CHATUP_WORKER_CORES", "")], "worker.cores", "[]"),
        (AllInOne, &[("CHATUP_DISPATCHER_DEMO_PAGE", "false")], "dispatcher.demo_page", "false"),
        (AllInOne, &[("CHATUP_AUTH_ALGORITHMS", "EdDSA,ES256")], "auth.algorithms", "[\"EdDSA\", \"ES256\"]"),
        (AllInOne, &[("CHATUP_LIMITS_LOG_MESSAGES_MAX", "7")], "limits.log_messages_max", "7"),
        (
            AllInOne,
            &[("CHATUP_LOG_FILTER", "info,chatup_worker=debug")],
            "log.filter",
            "\"info,chatup_worker=debug\"",
        ),
        (Worker, &[KEY, REDIS, ("CHATUP_PORT", "81")], "worker.port", "81"),
        (Dispatcher, &[KEY, REDIS, ("CHATUP_PORT", "81")], "dispatcher.port", "81"),
        (Dispatcher, &[KEY, REDIS, ("CHATUP_PORT", "81")], "worker.port", "42633"),
        (Tool, &[("CHATUP_PORT", "81")], "worker.port", "42633"),
        (
            AllInOne,
            &[("CHATUP_ORIGINS", "https://a.org,http://b:*")],
            "worker.origins",
            "[\"https://a.org\", \"http://b:*\"]",
        ),
        (AllInOne, &[("CHATUP_ORIGINS", "*")], "dispatcher.origins", "[\"*\"]"),
        (AllInOne, &[("CHATUP_THREADS", "2")], "worker.shards", "2"),
        (AllInOne, &[("CHATUP_MESSAGEHISTORYSIZE", "9")], "history.size", "9"),
        (AllInOne, &[("CHATUP_MESSAGEHISTORYEXPIRE", "60")], "history.expire_s", "60"),
        (AllInOne, &[("CHATUP_JWTKEY", "/keys/a.pem")], "auth.key_file", "\"/keys/a.pem\""),
        (AllInOne, &[("CHATUP_JWTKEY", "{\"keys\":[]}")], "auth.key", "'{\"keys\":[]}'"),
        (AllInOne, &[("CHATUP_JWTKEY", "-----BEGIN X")], "auth.key", "\"-----BEGIN X\""),
        (Worker, &[KEY, ("CHATUP_REDISHOST", "a")], "redis.url", "\"redis://a:6379\""),
        (AllInOne, &[("CHATUP_REDISPORT", "7000")], "redis.url", "\"redis://localhost:7000\""),
        (
            AllInOne,
            &[("CHATUP_REDISHOST", "::1"), ("CHATUP_REDISPORT", "7000")],
            "redis.url",
            "\"redis://[::1]:7000\"",
        ),
        (AllInOne, &[("CHATUP_HOSTNAME", "a.org")], "worker.announce_url", "\"http://a.org:42633\""),
        (
            AllInOne,
            &[("CHATUP_HOSTNAME", "a.org"), ("CHATUP_WORKER_PORT", "81")],
            "worker.announce_url",
            "\"http://a.org:81\"",
        ),
        (
            AllInOne,
            &[("CHATUP_HOSTNAME", "::1"), ("CHATUP_ANNOUCEDPORT", "443"), ("CHATUP_ANNOUNCESSL", "true")],
            "worker.announce_url",
            "\"https://[::1]:443\"",
        ),
        (
            AllInOne,
            &[("CHATUP_BIN", "x"), ("CHATUP_ARGS", "x"), ("CHATUP_TEST_SEED", "x")],
            "worker.port",
            "42633",
        ),
    ];
    for (role, environment, key, toml) in rows {
        check(&Row { role: *role, environment, ..NOTHING }, key, toml);
    }
    let row = Row {
        environment: &[("CHATUP_HOSTNAME", "a.org")],
        set: &[("worker.announce_url", "https://b.org")],
        ..NOTHING
    };
    check(&row, "worker.announce_url", "\"https://b.org\"");
}

#[test]
fn a_wrong_variable_is_named_with_what_was_probably_meant() {
    let rows: &[(&[(&str, &str)], &str)] = &[
        (
            &[("CHATUP_WORKER_PROT", "1")],
            "CHATUP_WORKER_PROT: there is no such variable; did you mean CHATUP_WORKER_PORT?",
        ),
        (
            &[("CHATUP_ANNOUNCEDPORT", "1")],
            "CHATUP_ANNOUNCEDPORT: there is no such variable; did you mean CHATUP_ANNOUCEDPORT?",
        ),
        (&[("CHATUP_THREDS", "1")], "CHATUP_THREDS: there is no such variable; did you mean CHATUP_THREADS?"),
        (
            &[("CHATUP_NOTHING_LIKE_ANY_OTHER", "1")],
            "CHATUP_NOTHING_LIKE_ANY_OTHER: there is no such variable",
        ),
        (
            &[("CHATUP_SENTRYDSN", "a")],
            "CHATUP_SENTRYDSN: this version does not have reports to Sentry; unset the variable",
        ),
        (
            &[("CHATUP_REDISHOST", "a"), ("CHATUP_REDIS_URL", "redis://b")],
            "CHATUP_REDISHOST: redis.url is set here and by CHATUP_REDIS_URL; keep one",
        ),
        (
            &[("CHATUP_REDIS_URL", "redis://:geheim@b")],
            "CHATUP_REDIS_URL: redis.url = \"(redacted)\": must be an address without user and password: these go into redis.username and redis.password",
        ),
        (
            &[("CHATUP_REDIS_URL", "http://b")],
            "CHATUP_REDIS_URL: redis.url = \"http://b\": must be redis://HOST:PORT/DATABASE, rediss://…, redis+unix:///PATH, redis+sentinel://HOST:PORT,HOST:PORT/GROUP or redis+cluster://HOST:PORT,HOST:PORT",
        ),
        (
            &[("CHATUP_REDIS_KEY_PREFIX", "{a}")],
            "CHATUP_REDIS_KEY_PREFIX: redis.key_prefix = \"{a}\": must be up to 64 visible ASCII characters, none of {}*?[]^\\",
        ),
        (
            &[("CHATUP_PORT", "1")],
            "CHATUP_PORT: does not say which port is meant where worker and dispatcher run as one; set CHATUP_WORKER_PORT and CHATUP_DISPATCHER_PORT",
        ),
        (
            &[("CHATUP_WORKER_PORT", "abc")],
            "CHATUP_WORKER_PORT: worker.port = \"abc\": must be a port, 1 to 65535, or 0 for any free one",
        ),
        (
            &[("CHATUP_WORKER_PORT", "99999")],
            "CHATUP_WORKER_PORT: worker.port = 99999: must be a port, 1 to 65535, or 0 for any free one",
        ),
        (
            &[("CHATUP_THREADS", "1"), ("CHATUP_WORKER_SHARDS", "2")],
            "CHATUP_WORKER_SHARDS: worker.shards is set here and by CHATUP_THREADS; keep one",
        ),
        (&[("CHATUP_ANNOUCEDPORT", "1")], "CHATUP_ANNOUCEDPORT: means nothing without CHATUP_HOSTNAME"),
        (
            &[("CHATUP_HOSTNAME", "a"), ("CHATUP_ANNOUCEDPORT", "x")],
            "CHATUP_ANNOUCEDPORT: \"x\": must be a port, 1 to 65535",
        ),
        (
            &[("CHATUP_HOSTNAME", "a"), ("CHATUP_WORKER_PORT", "0")],
            "CHATUP_HOSTNAME: needs CHATUP_ANNOUCEDPORT where worker.port is 0",
        ),
        (
            &[("CHATUP_HOSTNAME", "a/b")],
            "CHATUP_HOSTNAME: worker.announce_url = \"http://a/b:42633\": must be empty, or http://host:port or https://host:port with nothing behind it",
        ),
        (
            &[("CHATUP_DISPATCHER_DEMO_PAGE", "yes")],
            "CHATUP_DISPATCHER_DEMO_PAGE: dispatcher.demo_page = \"yes\": must be true or false",
        ),
    ];
    for (environment, error) in rows {
        refused(&Row { environment, ..NOTHING }, error);
    }
}

#[test]
fn a_wrong_file_is_named_with_line_and_column() {
    let rows = [
        (
            "[worker]\nport = 99999",
            "chatup.toml, line 2, column 8: worker.port = 99999: must be a port, 1 to 65535, or 0 for any free one\n  |\n2 | port = 99999\n  |        ^^^^^",
        ),
        (
            "[worker]\nprot = 1",
            "chatup.toml, line 2, column 1: there is no setting worker.prot; did you mean worker.port?\n  |\n2 | prot = 1\n  | ^^^^",
        ),
        (
            "[wroker]\nport = 1",
            "chatup.toml, line 1, column 2: there is no setting wroker; did you mean [worker]?\n  |\n1 | [wroker]\n  |  ^^^^^^",
        ),
        (
            "[worker]\ndemo_page = true",
            "chatup.toml, line 2, column 1: there is no setting worker.demo_page; did you mean dispatcher.demo_page?\n  |\n2 | demo_page = true\n  | ^^^^^^^^^",
        ),
        (
            "port = 1",
            "chatup.toml, line 1, column 1: there is no setting port; did you mean dispatcher.port?\n  |\n1 | port = 1\n  | ^^^^",
        ),
        (
            "[history]\n\tsize = 10001",
            "chatup.toml, line 2, column 9: history.size = 10001: must be 0 to 10000\n  |\n2 | \tsize = 10001\n  | \t       ^^^^^",
        ),
        (
            "worker = { shards = 2, cores = [1] }",
            "chatup.toml, line 1, column 32: worker.cores = [1]: must be as many cores as worker.shards, or none\n  |\n1 | worker = { shards = 2, cores = [1] }\n  |                                ^^^",
        ),
        (
            "[limits]\nmessage_bytes_max = 1000",
            "chatup.toml, line 2, column 21: limits.text_bytes_max = 4096: must be 1 to message_bytes_max\n  |\n2 | message_bytes_max = 1000\n  |                     ^^^^",
        ),
        (
            "[limits]\nlog_bytes_max = -1",
            "chatup.toml, line 2, column 17: limits.log_bytes_max = -1: must be a whole number, 0 to 4294967295\n  |\n2 | log_bytes_max = -1\n  |                 ^^",
        ),
        ("[auth]\nkey = 3", "chatup.toml, line 2, column 7: auth.key = (redacted): must be a text"),
        ("[auth]\nkey = 'topsecret", "chatup.toml, line 2, column 17: invalid literal string, expected `'`"),
    ];
    for (file, error) in rows {
        refused(&Row { file, ..NOTHING }, error);
    }
    let both = Row { file: "[auth]\nkey = 'topsecret'\nkey_file = '/a'", ..NOTHING };
    refused(
        &both,
        "chatup.toml, line 3, column 12: auth.key_file = \"/a\": must be empty where auth.key is set: the key is here or there\n  |\n3 | key_file = '/a'\n  |            ^^^^",
    );
}

#[test]
fn a_value_that_breaks_a_rule_is_named_with_the_rule() {
    let rows: &[(&[(&str, &str)], &str)] = &[
        (&[("worker.prot", "1")], "there is no setting worker.prot; did you mean worker.port?"),
        (
            &[("worker.listen", "localhost")],
            "worker.listen = \"localhost\": must be an IP address, such as 127.0.0.1 or ::1",
        ),
        (
            &[("worker.listen", "0.0.0.0")],
            "worker.listen = \"0.0.0.0\": must be an address that clients can reach, unless worker.announce_url says where they find this worker",
        ),
        (
            &[("worker.announce_url", "https://a.org/")],
            "worker.announce_url = \"https://a.org/\": must be empty, or http://host:port or https://host:port with nothing behind it",
        ),
        (
            &[("worker.announce_url", "a.org")],
            "worker.announce_url = \"a.org\": must be empty, or http://host:port or https://host:port with nothing behind it",
        ),
        (&[("worker.shards", "1025")], "worker.shards = 1025: must be 0 to 1024"),
        (&[("worker.flush_interval_ms", "10001")], "worker.flush_interval_ms = 10001: must be 0 to 10000"),
        (&[("worker.cores", "1,1")], "worker.cores = [1, 1]: must be different core numbers, 0 to 8191"),
        (
            &[("worker.cores", "one")],
            "worker.cores = \"one\": must be a list of core numbers, such as [2, 3]",
        ),
        (
            &[("worker.origins", "*,a.org")],
            "worker.origins = \"a.org\": must be made of scheme://host, scheme://host:port, scheme://host:* or *",
        ),
        (
            &[("worker.slow_subscriber", "Tell")],
            "worker.slow_subscriber = \"Tell\": must be \"tell\" or \"close\"",
        ),
        (
            &[("worker.stats_from", "me")],
            "worker.stats_from = \"me\": must be \"loopback\", \"anyone\" or \"nobody\"",
        ),
        (&[("dispatcher.port", "42633")], "dispatcher.port = 42633: must be another than worker.port"),
        (
            &[("auth.algorithms", "none")],
            "auth.algorithms = [\"none\"]: must be a list of \"HS256\", \"RS256\", \"ES256\" and \"EdDSA\"",
        ),
        (
            &[("auth.algorithms", "")],
            "auth.algorithms = []: must be a list of one or more different algorithms",
        ),
        (
            &[("auth.audience", "chatup-admin")],
            "auth.admin_audience = \"chatup-admin\": must be set, and not the same as auth.audience: it tells an admin's token from a user's",
        ),
        (&[("auth.leeway_s", "301")], "auth.leeway_s = 301: must be 0 to 300"),
        (&[("history.expire_s", "0")], "history.expire_s = 0: must be 1 to 315360000 (ten years)"),
        (&[("limits.ping_after_ms", "1")], "limits.ping_after_ms = 1: must be at least 1000"),
        (
            &[("log.filter", "loud")],
            "log.filter = \"loud\": must be a filter of levels, such as \"info\" or \"info,chatup_worker=debug\"",
        ),
        (&[("history.size", "1"), ("history.size", "2")], "history.size is set here and by --set; keep one"),
    ];
    for (set, error) in rows {
        refused(&Row { set, ..NOTHING }, &format!("--set: {error}"));
    }
    refused(
        &Row { role: Role::Worker, ..NOTHING },
        "settings: auth.key = \"\": must be set, or auth.key_file: only worker and dispatcher as one make keys \
         for trying out",
    );
    refused(
        &Row { role: Role::Worker, set: &[("auth.key", "x")], ..NOTHING },
        "settings: redis.url = \"\": must be set: a worker or dispatcher alone shares rooms with the others through \
         Redis (chatup without a command runs both in one process without it)",
    );
    // Nothing of the worker's is asked of a dispatcher.
    let row = Row {
        role: Role::Dispatcher,
        set: &[("worker.listen", "0.0.0.0"), ("auth.key", "x"), ("redis.url", "redis://a")],
        ..NOTHING
    };
    check(&row, "worker.listen", "\"0.0.0.0\"");
}
