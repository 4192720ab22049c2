//! The demo page and the tokens that it gets.

use std::sync::Arc;

use chatup_core::token::Policy;
use chatup_dispatcher::Settings;
use serde_json::json;

use crate::support::{ALLOWED, Got, House, house, house_of, settings, verifier};

#[tokio::test]
async fn the_page() {
    let settings = Settings { connect_sources: "'self' ws://127.0.0.1:*".into(), ..settings() };
    let house = house_of(settings, verifier(Policy::default()));
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws://127.0.0.1:*; \
                  img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let table = [
        ("/", "text/html; charset=utf-8", include_str!("../../../client/dist/index.html")),
        ("/demo.css", "text/css; charset=utf-8", include_str!("../../../client/dist/demo.css")),
        ("/demo.js", "text/javascript; charset=utf-8", include_str!("../../../client/dist/demo.js")),
        ("/chatup.js", "text/javascript; charset=utf-8", include_str!("../../../client/dist/chatup.js")),
    ];
    for (path, content_type, text) in table {
        let got = house.get(path).await;
        assert_eq!((got.status, got.text.as_str()), (200, text), "{path}");
        let check = |got: &Got| {
            for (name, expected) in [
                ("content-security-policy", policy),
                ("referrer-policy", "no-referrer"),
                ("cache-control", "no-cache"),
            ] {
                assert_eq!(got.header(name), expected, "{path} {name}");
            }
        };
        check(&got);
        assert_eq!(got.header("content-type"), content_type, "{path}");
        let etag = got.header("etag").to_owned();
        assert!(etag.len() > 10 && etag.starts_with('"') && etag.ends_with('"'), "{etag}");

        let known = format!("if-none-match: \"x\", W/{etag}");
        let got = house.send(&format!("GET {path}"), &[&known], "").await;
        assert_eq!((got.status, got.text.as_str(), got.header("etag")), (304, "", etag.as_str()), "{path}");
        check(&got);
        let got = house.send(&format!("GET {path}"), &["if-none-match: \"x\""], "").await;
        assert_eq!(got.status, 200, "{path}");
        let got = house.send(&format!("HEAD {path}"), &[], "").await;
        assert_eq!((got.status, got.text.as_str()), (200, ""), "{path}");
    }
    assert_ne!(house.get("/demo.js").await.header("etag"), house.get("/chatup.js").await.header("etag"));
}

#[tokio::test]
async fn without_the_page() {
    let house = house_of(Settings { demo_page: false, ..settings() }, verifier(Policy::default()));
    for path in ["/", "/demo.css", "/demo.js", "/chatup.js"] {
        house.get(path).await.assert_refused(404, "not_found");
    }
}

fn giving_tokens() -> House {
    let tokens = Arc::new(|name: &str| (name != "root").then(|| format!("token of {name}")));
    house_of(Settings { demo_tokens: Some(tokens), ..settings() }, verifier(Policy::default()))
}

const LOCAL: &str = "host: 127.0.0.1:8000";

#[tokio::test]
async fn tokens() {
    let house = giving_tokens();
    let long = "x".repeat(65);
    let table = [
        (json!({"name": "ada"}).to_string(), 200, "token of ada"),
        (json!({"name": "Zoë <b>", "x": 1}).to_string(), 200, "token of Zoë <b>"),
        (json!({"name": ""}).to_string(), 400, "invalid_name"),
        (json!({"name": long}).to_string(), 400, "invalid_name"),
        (json!({"name": "a\nb"}).to_string(), 400, "invalid_name"),
        (json!({"name": "root"}).to_string(), 400, "invalid_name"),
        (json!({"name": 7}).to_string(), 400, "bad_field"),
        (json!({"name": null}).to_string(), 400, "bad_field"),
        ("{}".into(), 400, "bad_field"),
        (r#"{"name":"\ud800"}"#.into(), 400, "bad_field"),
        (String::new(), 400, "bad_json"),
        ("{".into(), 400, "bad_json"),
        (r#"["ada"]"#.into(), 400, "bad_json"),
        (r#"{"name":"ada","name":"bob"}"#.into(), 400, "bad_json"),
        (json!({"name": "x".repeat(5_000)}).to_string(), 413, "body_too_large"),
    ];
    for (body, status, expected) in table {
        let got =
            house.send("POST /demo/token", &[LOCAL, "content-type: application/json"], body.clone()).await;
        if status == 200 {
            assert_eq!((got.status, got.json()), (200, json!({"token": expected})), "{body}");
            assert_eq!(got.header("cache-control"), "no-store");
        } else {
            assert_eq!(got.refusal(), (status, expected.into()), "{body:.80}");
        }
    }
    let got = house.send("GET /demo/token", &[LOCAL], "").await;
    assert_eq!(got.status, 204, "there are tokens here");
    let got = house.send("DELETE /demo/token", &[LOCAL], "").await;
    got.assert_refused(405, "method_not_allowed");
}

#[tokio::test]
async fn who_may_ask_for_tokens() {
    let house = giving_tokens();
    let allowed = format!("origin: {ALLOWED}");
    let table: [(&[&str], u16); 14] = [
        (&[LOCAL], 200),
        (&["host: localhost:8000"], 200),
        (&["host: [::1]:8000"], 200),
        (&[LOCAL, &allowed], 200),
        // The page that this very server has sent.
        (&[LOCAL, "origin: http://127.0.0.1:8000"], 200),
        (&[LOCAL, "origin: http://127.0.0.1:9000"], 403),
        (&[LOCAL, "origin: https://evil.example"], 403),
        (&[LOCAL, "origin: null"], 403),
        (&[LOCAL, "origin: "], 403),
        // A name that has been made to point here.
        (&["host: evil.example:8000", "origin: http://evil.example:8000"], 403),
        (&["host: evil.example:8000"], 403),
        (&["host: evil.example", &allowed], 403),
        (&[LOCAL, "host: evil.example"], 403),
        (&[], 403),
    ];
    for (headers, status) in table {
        let got = house.send("POST /demo/token", headers, r#"{"name":"ada"}"#).await;
        assert_eq!(got.status, status, "{headers:?}");
        if status == 403 {
            got.assert_refused(403, "forbidden_origin");
        }
    }
}

#[tokio::test]
async fn without_tokens() {
    let got = house().send("POST /demo/token", &[LOCAL], r#"{"name":"ada"}"#).await;
    got.assert_refused(404, "not_found");
}
