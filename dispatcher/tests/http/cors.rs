//! Whose pages may read the answers.

use chatup_core::origins::Origins;
use chatup_core::token::Policy;
use chatup_dispatcher::Settings;

use crate::support::{ALLOWED, Got, House, house, house_of, settings, verifier};

fn cors_headers(got: &Got) -> Vec<(&str, &str)> {
    let names = got.headers.keys().map(http::HeaderName::as_str);
    let mut headers: Vec<_> = names
        .filter(|name| name.starts_with("access-control-"))
        .map(|name| (name, got.header(name)))
        .collect();
    headers.sort_unstable();
    headers
}

const OPEN: [(&str, &str); 2] =
    [("access-control-allow-credentials", "true"), ("access-control-allow-origin", ALLOWED)];

async fn preflight(house: &House, origin: &str, path: &str) -> Got {
    let origin = format!("origin: {origin}");
    let headers =
        [&*origin, "access-control-request-method: POST", "access-control-request-headers: content-type"];
    house.send(&format!("OPTIONS {path}"), &headers, "").await
}

#[tokio::test]
async fn preflights() {
    let house = house();
    for path in ["/join/lobby", "/stats/lobby", "/post", "/ban", "/demo/token", "/nowhere"] {
        let got = preflight(&house, ALLOWED, path).await;
        assert_eq!((got.status, got.text.as_str()), (204, ""), "{path}");
        let expected = [
            OPEN[0],
            ("access-control-allow-headers", "content-type"),
            ("access-control-allow-methods", "GET, POST"),
            OPEN[1],
            ("access-control-max-age", "3600"),
        ];
        assert_eq!(cors_headers(&got), expected, "{path}");
        let got = preflight(&house, "https://evil.example", path).await;
        assert_eq!((got.status, cors_headers(&got)), (204, vec![]), "{path}");
    }
}

#[tokio::test]
async fn answers_and_errors_alike() {
    let house = house();
    let table = [
        ("POST /join/lobby", 418),
        ("GET /stats/lobby", 200),
        ("GET /stats/lobby?limit=x", 400),
        ("POST /join/a.b", 400),
        ("POST /post", 400),
        ("GET /nowhere", 404),
        ("GET /join/lobby", 405),
        ("GET /chatup.js", 200),
        ("GET /health", 200),
    ];
    let others = [
        "https://evil.example",
        "https://chat.example.evil.example",
        "https://chat.example:8443",
        "http://chat.example",
        "null",
        "é",
    ];
    for (line, status) in table {
        let allowed = format!("origin: {ALLOWED}");
        let got = house.send(line, &[&allowed], "").await;
        assert_eq!((got.status, cors_headers(&got)), (status, OPEN.to_vec()), "{line}");
        // It is the browser that keeps the answer from the page; the answer is the same.
        for origin in others {
            let got = house.send(line, &[&format!("origin: {origin}")], "").await;
            assert_eq!((got.status, cors_headers(&got)), (status, vec![]), "{line} {origin}");
        }
        let got = house.send(line, &[], "").await;
        assert_eq!((got.status, cors_headers(&got)), (status, vec![]), "{line}");
    }
    let large = house
        .send("POST /post", &[&format!("origin: {ALLOWED}"), "content-type: text/plain"], "x".repeat(200_000))
        .await;
    assert_eq!((large.status, cors_headers(&large)), (413, OPEN.to_vec()));
}

#[tokio::test]
async fn any_origin_is_echoed_where_the_operator_lets_any_in() {
    let settings = Settings { origins: Origins::parse(["*"]).unwrap(), ..settings() };
    let house = house_of(settings, verifier(Policy::default()));
    let got = house.send("GET /health", &["origin: http://anywhere.example:81"], "").await;
    assert_eq!(got.header("access-control-allow-origin"), "http://anywhere.example:81");
    assert_eq!(got.header("access-control-allow-credentials"), "true");
}
