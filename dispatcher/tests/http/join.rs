//! `POST /join/{room}`.

use std::collections::BTreeMap;

use chatup_core::token::Policy;
use serde_json::{Value, json};

use crate::support::{House, house, house_of, settings, text, verifier};

fn id(number: u128) -> String {
    format!("{number:032x}")
}

async fn join(house: &House, room: &str) -> Value {
    let got = house.send(&format!("POST /join/{room}"), &[], "").await;
    assert_eq!(got.status, 200, "{got:?}");
    got.json()
}

#[tokio::test]
async fn what_a_client_gets() {
    let house = house();
    house.beat(7, 0, false);
    house.enter("lobby", "ada", 1);
    house.enter("lobby", "bob", 2);
    house.viewers("lobby", 12);
    house.say("m_lobby", r#"{"msg":"older", "n": 1.50}"#);
    house.say("m_lobby", r#"{"msg":"newer"}"#);
    let got = house.send("POST /join/lobby", &[], "").await;
    let expected = format!(
        r#"{{"host":"http://worker7.example:8080","id":"{}","channel":{{"subCount":12,"pubCount":2}},"messages":[{{"msg":"newer"}},{{"msg":"older", "n": 1.50}}]}}"#,
        id(7)
    );
    assert_eq!((got.status, got.text.as_str()), (200, expected.as_str()));
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(got.header("cache-control"), "no-store");
    assert_eq!(join(&house, "elsewhere").await["messages"], json!([]));
}

#[tokio::test]
async fn without_a_worker() {
    let house = house();
    let got = house.send("POST /join/lobby", &[], "").await;
    assert_eq!((got.status, got.text.as_str()), (418, r#"{"error":"No workers available"}"#));
    assert_eq!(got.header("content-type"), "application/json");
    house.beat(1, 0, true);
    assert_eq!(house.send("POST /join/lobby", &[], "").await.status, 418);
}

#[tokio::test]
async fn rooms() {
    let house = house();
    house.beat(1, 0, false);
    let long = "x".repeat(128);
    let table = [
        ("lobby", 200),
        ("__proto__", 200),
        ("constructor", 200),
        ("a:b;c=d@e", 200),
        ("Z%C3%BCrich", 200),
        ("a%3Ab", 200),
        (&long, 200),
        (&format!("{long}x"), 400),
        ("a%2520b", 400),
        ("a.b", 400),
        ("a*", 400),
        ("a%20b", 400),
        ("a%2Fb", 400),
        ("a%00", 400),
        ("%ff", 400),
        ("%C3%28", 400),
        ("ALL", 400),
        ("%3Cscript%3E", 400),
        ("", 404),
        ("a/b", 404),
    ];
    for (room, expected) in table {
        let got = house.send(&format!("POST /join/{room}"), &[], "").await;
        assert_eq!(got.status, expected, "{room}");
        match expected {
            400 => got.assert_refused(400, "invalid_name"),
            404 => got.assert_refused(404, "not_found"),
            _ => assert_eq!(got.json()["id"], id(1)),
        }
    }
    house.say("m___proto__", "{\"msg\":\"x\"}");
    assert_eq!(join(&house, "__proto__").await["messages"], json!([{"msg": "x"}]));
}

#[tokio::test]
async fn bodies() {
    let house = house();
    house.beat(1, 0, false);
    let json_type = "content-type: application/json";
    let filler = |bytes: usize| format!(r#"{{"type":"{}"}}"#, "x".repeat(bytes - 11));
    let table: [(&[&str], String, u16, &str); 13] = [
        (&[], String::new(), 200, ""),
        (&[json_type], String::new(), 200, ""),
        (&[json_type], "{}".into(), 200, ""),
        (&[], "{}".into(), 200, ""),
        (&["content-type: text/plain"], "{\"type\":7}".into(), 200, ""),
        (&["content-type: application/json;charset=UTF-8"], "{\"x\":1}".into(), 200, ""),
        (&["content-type: application/x-www-form-urlencoded"], String::new(), 200, ""),
        (&[json_type], "{".into(), 400, "bad_json"),
        (&[json_type], "[]".into(), 400, "bad_json"),
        (&[json_type], "null".into(), 400, "bad_json"),
        (&[json_type], r#"{"worker":7}"#.into(), 400, "bad_field"),
        (&[json_type], filler(512 * 1024), 200, ""),
        (&[json_type], filler(512 * 1024 + 1), 413, "body_too_large"),
    ];
    for (headers, body, status, code) in table {
        let what = format!("{headers:?} {body:.60}");
        let got = house.send("POST /join/lobby", headers, body).await;
        assert_eq!(got.status, status, "{what}");
        if status >= 400 {
            got.assert_refused(status, code);
        }
    }
}

#[tokio::test]
async fn the_failed_worker_is_left_out() {
    let house = house();
    house.beat(1, 0, false);
    house.beat(2, 50, false);
    house.beat(3, 0, true);
    let after = |worker: &Value| json!({"type": "workerPubConnect", "worker": worker}).to_string();
    let first = join(&house, "lobby").await;
    assert_eq!(first["id"], id(1));
    let table = [
        (first.clone(), 2),
        (json!({"id": id(1)}), 2),
        (json!({"id": id(2)}), 1),
        (json!({"id": id(9)}), 1),
        (json!({"id": "worker-1"}), 1),
        (json!({}), 1),
    ];
    for (worker, expected) in table {
        let got = house.send("POST /join/lobby", &[], after(&worker)).await;
        assert_eq!(got.json()["id"], id(expected), "{worker}");
    }
    // The last one is handed out though it is the one named.
    house.ask(chatup_core::exchange::Operation::Retire(chatup_core::exchange::WorkerId(2)));
    let got = house.send("POST /join/lobby", &[], after(&first)).await;
    assert_eq!((got.status, got.json()["id"].clone()), (200, json!(id(1))));
}

#[tokio::test]
async fn an_answer_can_be_sent_back_however_much_history_there_is() {
    let house = house();
    house.beat(1, 0, false);
    house.beat(2, 0, false);
    for _ in 0..100 {
        house.say("m_lobby", &text(&"\u{1}é<".repeat(600)));
    }
    let first = join(&house, "lobby").await;
    let got = first["messages"].as_array().unwrap().len();
    assert!((20..100).contains(&got), "{got} messages");
    let body = json!({"type": "workerSubConnect", "worker": first}).to_string();
    let second = house.send("POST /join/lobby", &["content-type: application/json"], body).await;
    assert_eq!((first["id"].clone(), second.json()["id"].clone()), (json!(id(1)), json!(id(2))));
}

#[tokio::test]
async fn history_has_as_much_as_is_set_and_only_json() {
    let house = house_of(
        chatup_dispatcher::Settings { history_messages_max: 3, ..settings() },
        verifier(Policy::default()),
    );
    house.beat(1, 0, false);
    for payload in ["{\"i\":1}", "{\"i\":2}", "{\"i\":", "{\"i\":4}"] {
        house.say("m_lobby", payload);
    }
    assert_eq!(join(&house, "lobby").await["messages"], json!([{"i": 4}, {"i": 2}]));
    assert_eq!(house.get("/messages/lobby").await.json(), json!([{"i": 4}, {"i": 2}]));
}

#[tokio::test]
async fn a_burst_spreads_over_workers_and_keeps_off_drained_ones() {
    let house = house();
    for (number, connections, draining) in [(1, 0, false), (2, 10, false), (3, 0, true), (4, 10, false)] {
        house.beat(number, connections, draining);
    }
    let mut got: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..300 {
        *got.entry(join(&house, "lobby").await["id"].as_str().unwrap().into()).or_default() += 1;
    }
    assert_eq!(got.keys().cloned().collect::<Vec<_>>(), [id(1), id(2), id(4)]);
    assert!(got.values().all(|got| *got <= 150), "{got:?}");
}

#[tokio::test]
async fn a_few_gather_on_one_worker() {
    let house = house();
    for number in 1..=9 {
        house.beat(number, 100, false);
    }
    let first = join(&house, "lobby").await["id"].clone();
    for _ in 0..9 {
        assert_eq!(join(&house, "lobby").await["id"], first);
    }
}
