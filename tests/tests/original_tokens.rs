//! The original's sample tokens, with its certificate configured: they carry no expiry, and the
//! ban is a bare array, so both of ChatUp's habits must be allowed, and its public key.

use chatup_tests::{Client, Server, http, server};
use serde_json::json;

const USER: &str = include_str!("../data/sample-user.jwt").trim_ascii_end();
const BAN: &str = include_str!("../data/sample-ban.jwt").trim_ascii_end();

fn certificate() -> String {
    format!("auth.key_file={}/../core/tests/data/example-jwt-cert.pem", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_user_token_joins_and_speaks_and_the_ban_token_bans() {
    let certificate = certificate();
    let server = Server::start(&[
        "--set",
        &certificate,
        "--set",
        "auth.allow_example_key=true",
        "--set",
        "auth.require_expiry=false",
        "--set",
        "auth.accept_array_tokens=true",
    ]);
    assert_eq!(server.token, None, "no demo keys where a key is configured");
    let mut client = Client::connect(&server.worker);
    let user = client.ok(json!({ "call": "auth", "token": USER }));
    assert_eq!(user, json!({ "user": { "name": "Test 1" }, "expires": null }));
    client.subscribe(&json!(["m_TestRoom"]));
    assert_eq!(client.ok(json!({ "call": "join", "room": "TestRoom" })), json!({ "room": "TestRoom" }));
    client.ok(json!({ "call": "say", "msg": "hello" }));
    let (_, _, messages) = client.messages();
    assert_eq!((&messages[0]["user"]["name"], &messages[0]["msg"]), (&json!("Test 1"), &json!("hello")));

    let answer = http::post(&server.url, "/ban", "text/plain", BAN);
    assert_eq!((answer.status, answer.body.as_str()), (200, "OK"));
    let (_, offset, messages) = client.messages();
    assert_eq!((offset, &messages[0]["ev"], &messages[0]["data"]), (2, &json!("rmUserMsg"), &json!("test1")));
    let stored = http::get(&server.url, "/messages/TestRoom2").json();
    assert_eq!((&stored[0]["ev"], &stored[0]["data"]), (&json!("rmUserMsg"), &json!("test2")));
    // The names in the sample ban are not the sample user's: it may go on.
    client.ok(json!({ "call": "say", "msg": "still here" }));
    // A user's token is no admin's.
    assert_eq!(http::post(&server.url, "/ban", "text/plain", USER).status, 401);
    assert_eq!(http::post(&server.url, "/post", "text/plain", USER).status, 401);
}

#[test]
fn without_the_switches_neither_is_taken_and_the_public_key_is_refused() {
    let certificate = certificate();
    let server = Server::start(&["--set", &certificate, "--set", "auth.allow_example_key=true"]);
    let mut client = Client::connect(&server.worker);
    assert_eq!(client.refused(json!({ "call": "auth", "token": USER })), "token_no_expiry");
    let answer = http::post(&server.url, "/ban", "text/plain", BAN);
    assert_ne!(answer.status, 200, "{answer:?}");

    let refused = std::process::Command::new(server::program())
        .args(["--dispatcher-port", "0", "--worker-port", "0", "--set", &certificate])
        .output()
        .expect("it runs");
    let error = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{error}");
    assert!(error.contains("allow_example_key"), "{error}");
}

#[test]
fn a_ban_stops_a_live_user_and_tells_it() {
    let server = Server::start(&[]);
    let mut client = Client::connect(&server.worker);
    client.enter(&server.token_for("Bob"), "lobby");
    client.ok(json!({ "call": "say", "msg": "hello" }));
    let token = std::process::Command::new(server::program())
        .args(["token", "admin", "--ban", "Bob", "--room", "lobby", "--for", "60s", "--state-dir"])
        .arg(server.state())
        .output()
        .expect("it runs");
    let token = String::from_utf8(token.stdout).expect("text");
    assert_eq!(http::post(&server.url, "/ban", "text/plain", token.trim()).body, "OK");
    assert_eq!(client.pushed(), json!({ "banned": { "room": "lobby", "ttl_s": 60 } }));
    let refused = client.call(json!({ "call": "say", "msg": "still here?" }));
    assert_eq!(refused["error"]["code"], json!("banned"));
    assert!((1..=60).contains(&refused["error"]["ttl_s"].as_i64().expect("seconds")));
    // Coming back does not help, and is not announced.
    let mut back = Client::connect(&server.worker);
    let joined = back.enter(&server.token_for("Bob"), "lobby");
    assert!(joined["banned"]["ttl_s"].as_i64() > Some(0), "{joined}");
    // The same token a second time is a replay.
    let replay = http::post(&server.url, "/ban", "text/plain", token.trim());
    assert_eq!((replay.status, &replay.json()["error"]["code"]), (401, &json!("token_replayed")));
}
