//! `/stats`, `/messages`, `/health`, and what is nowhere.

use serde_json::json;

use crate::support::{house, send_to, text};

#[tokio::test]
async fn stats() {
    let house = house();
    for number in 0..60 {
        house.enter("lobby", &format!("user{number}"), number);
    }
    house.viewers("lobby", 5);
    let users = |from: usize, to: usize| -> Vec<_> {
        (from..to).map(|number| json!({"name": format!("user{number}")})).collect()
    };
    let table = [
        ("lobby", json!(50), json!(0), users(0, 50)),
        ("lobby?limit=2", json!("2"), json!(0), users(0, 2)),
        ("lobby?skip=1&limit=2", json!("2"), json!("1"), users(1, 3)),
        ("lobby?limit=50&skip=58", json!("50"), json!("58"), users(58, 60)),
        ("lobby?limit=0", json!("0"), json!(0), vec![]),
        ("lobby?skip=4294967295", json!(50), json!("4294967295"), vec![]),
        ("lobby?limit=1000000", json!("1000"), json!(0), users(0, 60)),
        ("lobby?_=1234&limit=1", json!("1"), json!(0), users(0, 1)),
    ];
    for (query, limit, skip, clients) in table {
        let got = house.get(&format!("/stats/{query}")).await;
        let expected =
            json!({"subCount": 5, "pubCount": 60, "limit": limit, "skip": skip, "clients": clients});
        assert_eq!((got.status, got.json()), (200, expected), "{query}");
    }
    let nobody = json!({"subCount": 0, "pubCount": 0, "limit": 50, "skip": 0, "clients": []});
    assert_eq!(house.get("/stats/__proto__").await.json(), nobody);
}

#[tokio::test]
async fn bad_questions() {
    let house = house();
    for query in [
        "limit=x",
        "limit=",
        "limit=-1",
        "limit=+1",
        "limit=%2B1",
        "limit=1.5",
        "limit=1e3",
        "skip=x",
        "skip=",
        "skip=4294967296",
        "skip=99999999999999999999999",
        "limit=1&limit=2",
        "limit=%ff",
    ] {
        let got = house.get(&format!("/stats/lobby?{query}")).await;
        assert_eq!(got.refusal(), (400, "bad_field".into()), "{query}");
    }
    house.get("/stats/a.b").await.assert_refused(400, "invalid_name");
    house.get("/messages/a.b").await.assert_refused(400, "invalid_name");
    house.get("/messages/%ff").await.assert_refused(400, "invalid_name");
}

#[tokio::test]
async fn messages() {
    let house = house();
    for number in 0..150 {
        house.say("m_lobby", &text(&number.to_string()));
    }
    house.say("lobby", &text("elsewhere"));
    let got = house.get("/messages/lobby").await.json();
    let texts: Vec<_> = got.as_array().unwrap().iter().map(|one| one["msg"].as_str().unwrap()).collect();
    let expected: Vec<_> = (50..150).rev().map(|number: u32| number.to_string()).collect();
    assert_eq!(texts, expected);
    assert_eq!(house.get("/messages/nowhere").await.json(), json!([]));
}

#[tokio::test]
async fn health() {
    let house = house();
    assert_eq!(house.get("/health").await.json(), json!({"status": "ok", "workers": 0}));
    house.beat(1, 0, false);
    house.beat(2, 0, true);
    let got = house.get("/health").await;
    assert_eq!((got.status, got.json()), (200, json!({"status": "ok", "workers": 2})));
}

#[tokio::test]
async fn without_the_broker() {
    let router = house().without_broker();
    for line in ["GET /health", "POST /join/lobby", "GET /stats/lobby", "GET /messages/lobby"] {
        let got = send_to(&router, line, &["origin: https://chat.example"], "").await;
        assert_eq!(got.refusal().0, 503, "{line}");
        assert_eq!(got.header("retry-after"), "1", "{line}");
        assert_eq!(got.header("access-control-allow-origin"), "https://chat.example", "{line}");
    }
}

#[tokio::test]
async fn what_is_not_there() {
    let house = house();
    for line in [
        "GET /nowhere",
        "POST /nowhere",
        "GET /join/",
        "POST /join",
        "GET /messages/a/b",
        "GET //",
        "POST /demo/token",
        "GET /demo.js/",
        "POST /plugin",
        "GET /../Cargo.toml",
        "GET /%2e%2e/x",
        "GET /index.html",
        "PUT /nowhere",
    ] {
        assert_eq!(house.send(line, &[], "").await.refusal(), (404, "not_found".into()), "{line}");
    }
    for (line, allow) in [
        ("GET /join/lobby", "POST"),
        ("PUT /join/lobby", "POST"),
        ("OPTIONS /join/lobby", "POST"),
        ("POST /stats/lobby", "GET,HEAD"),
        ("DELETE /messages/lobby", "GET,HEAD"),
        ("GET /post", "POST"),
        ("GET /ban", "POST"),
        ("POST /health", "GET,HEAD"),
        ("POST /", "GET,HEAD"),
    ] {
        let got = house.send(line, &[], "").await;
        assert_eq!(got.refusal(), (405, "method_not_allowed".into()), "{line}");
        assert_eq!(got.header("allow"), allow, "{line}");
    }
}
