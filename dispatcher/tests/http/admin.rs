//! `POST /post` and `POST /ban`.

use std::task::Poll;
use std::time::{SystemTime, UNIX_EPOCH};

use chatup_core::token::{Algorithm, KeySet, Policy, Verifier};
use serde_json::{Value, json};

use crate::support::{House, house, house_of, send_to, settings, signed, verifier};

/// The README's token that bans two users.
const EXAMPLE_BANS: &str = "\
eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.\
W3sibmFtZSI6InRlc3QxIiwiY2hhbm5lbCI6IlRlc3RSb29tIiwiZXhwaXJlIjozMH0seyJuYW1lIjoidGVzdDIiLCJjaGFubmVsIjoi\
VGVzdFJvb20yIn1d.\
nQ3S48j7J4x3NgNAhi2Qz36MebQMOxc5rHrMcm0D3bERRei2kyTVYmvcLLLJSeSyCX2KzQiV9iMnYgk4JKSEfR52tw4UUXa-7jbgmhh\
cDpIwo4hiIWgsZokKdo3uRX_UX8jI4ii64Tc8aq-kZiEut4WfxGjuVLlHqj-u77ileKugzhDn7bh-m0PhvdJyZGmCMCcXLnKF-TX2w-\
XJ_5ZvET5Ki2FH_55-W-WCrX8kPA9pSg5WLrdCunqh6p4zNFMXBxRqV3q1u3TSq4DJQkQRACAKZRqhoJz3KsYNzlxfAfhkt0OsJCwoU\
AOlcg95xmmSJoxwFJTCojo2lK5YTLD3yg";

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn chatup_policy() -> Policy {
    Policy { require_expiry: false, accept_array_tokens: true, ..Policy::default() }
}

/// A house that takes ChatUp's bare arrays.
fn lax() -> House {
    house_of(settings(), verifier(chatup_policy()))
}

fn admin(jti: &str, kind: &str, list: &Value) -> String {
    signed(&json!({"aud": "chatup-admin", "exp": now_s() + 60, "jti": jti, kind: list}))
}

#[tokio::test]
async fn posts_go_to_the_room_and_to_the_channel_of_that_name() {
    let house = house();
    let list = json!([
        {"channel": "notifications", "msg": "This is a test", "user": {"name": "Server"}},
        {"channel": "notifications", "ev": "poll", "data": {"b": [0]}},
        {"channel": "__proto__", "ev": "both", "data": null, "msg": "too"},
    ]);
    let began = now_s();
    let got = house.hand_in("/post", admin("1", "post", &list)).await;
    assert_eq!((got.status, got.text.as_str()), (200, "OK"));
    assert_eq!(got.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(got.header("cache-control"), "no-store");

    let mut kept = house.kept("m_notifications");
    assert_eq!(kept, house.kept("notifications"));
    assert_eq!(house.kept("m___proto__"), house.kept("__proto__"));
    kept.extend(house.kept("m___proto__"));
    let ids: std::collections::HashSet<String> = kept.iter().map(|one| one["i"].to_string()).collect();
    assert_eq!(ids.len(), 3);
    for one in &mut kept {
        let id = one["i"].as_str().unwrap();
        assert!(id.len() == 36 && &id[14..15] == "4", "{id}");
        let when = one["d"].as_f64().unwrap();
        #[allow(clippy::cast_precision_loss, reason = "seconds")]
        let range = began as f64..now_s() as f64 + 1.0;
        assert!(range.contains(&when), "{when}");
        one.as_object_mut().unwrap().retain(|name, _| name != "i" && name != "d");
    }
    let expected = [
        json!({"user": {"name": "Server"}, "msg": "This is a test"}),
        json!({"ev": "poll", "data": {"b": [0]}}),
        json!({"msg": "too", "ev": "both", "data": null}),
    ];
    assert_eq!(kept, expected);
}

#[tokio::test]
async fn what_is_no_token_at_all() {
    let house = lax();
    let good = || signed(&json!([{"channel": "a", "msg": "x"}]));
    let text = "text/plain";
    let table: [(&str, String, u16, &str); 17] = [
        ("application/json", good(), 400, "bad_field"),
        ("application/json", "[]".into(), 400, "bad_field"),
        ("application/x-www-form-urlencoded", good(), 400, "bad_field"),
        ("application/jwt", good(), 400, "bad_field"),
        ("text/html", good(), 400, "bad_field"),
        ("text/plainer", good(), 400, "bad_field"),
        ("", good(), 400, "bad_field"),
        (text, String::new(), 400, "bad_field"),
        (text, " \r\n".into(), 400, "bad_field"),
        (text, "x".into(), 401, "token_malformed"),
        (text, "a.b.c".into(), 401, "token_malformed"),
        (text, "[null]".into(), 401, "token_malformed"),
        (text, "x".repeat(100_000), 401, "token_malformed"),
        (text, "x".repeat(100_001), 413, "body_too_large"),
        (text, "x".repeat(3_000_000), 413, "body_too_large"),
        (text, format!("{}x", good()), 401, "token_signature"),
        (text, good().replace(".", ".."), 401, "token_malformed"),
    ];
    for (content_type, body, status, code) in table {
        let header = format!("content-type: {content_type}");
        let headers: &[&str] = if content_type.is_empty() { &[] } else { &[&header] };
        for path in ["/post", "/ban"] {
            let got = house.send(&format!("POST {path}"), headers, body.clone()).await;
            assert_eq!(got.refusal(), (status, code.into()), "{path} {content_type} {body:.40}");
        }
    }
    house.hand_in("/post", b"\xff\xfe".to_vec()).await.assert_refused(401, "token_malformed");
    assert_eq!(house.kept("m_a").len(), 0);
    let types = ["text/plain", "text/plain; charset=utf-8", "Text/Plain;charset=UTF-8", "text/plain ; x=y"];
    for (count, content_type) in types.iter().enumerate() {
        let header = format!("content-type: {content_type}");
        let got = house.send("POST /post", &[&header], format!("{}\n", good())).await;
        assert_eq!((got.status, got.text.as_str()), (200, "OK"), "{content_type}");
        assert_eq!(house.kept("m_a").len(), count + 1);
    }
}

#[tokio::test]
async fn content_that_is_no_order() {
    let house = lax();
    let (post, ban) = (json!({"channel": "a", "msg": "x"}), json!({"channel": "a", "name": "bob"}));
    let table = [
        (json!([]), 200, 200),
        (json!([post]), 200, 400),
        (json!([ban]), 401, 200),
        (json!([null]), 401, 400),
        (json!([post, null]), 401, 400),
        (json!([ban, null]), 401, 400),
        (json!([[]]), 401, 400),
        (json!([7, "x", true]), 401, 400),
        (json!(null), 401, 400),
        (json!("x"), 401, 400),
        (json!([{"channel": "a"}]), 401, 400),
        (json!([{"channel": "a", "msg": "x", "data": 1}]), 401, 400),
        (json!([{"channel": "a.b", "msg": "x", "name": "bob"}]), 401, 400),
        (json!([{"channel": "a", "msg": 7, "name": 7}]), 401, 400),
        (json!([{"channel": "a", "name": "bob", "expire": -1}]), 401, 400),
    ];
    for (payload, post_status, ban_status) in table {
        for (path, status) in [("/post", post_status), ("/ban", ban_status)] {
            let got = house.hand_in(path, signed(&payload)).await;
            assert_eq!(got.status, status, "{path} {payload}");
            if status != 200 {
                got.assert_refused(status, "token_content");
            }
        }
    }
}

#[tokio::test]
async fn tokens_that_give_no_orders() {
    let strict = house();
    let good = json!({"aud": "chatup-admin", "exp": now_s() + 60, "jti": "never", "post": [], "ban": []});
    let with = |kind: &str, name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        let other = if kind == "post" { "ban" } else { "post" };
        claims.as_object_mut().unwrap().remove(other);
        signed(&claims)
    };
    let user = signed(&json!({"exp": now_s() + 60, "_public": {"name": "bob"}}));
    let forged = chatup_core::token::Signer::from_secret(b"another secret of thirty-two byte").unwrap();
    for kind in ["post", "ban"] {
        let content = if kind == "post" { 401 } else { 400 };
        let table = [
            (user.clone(), 401, "token_audience"),
            (with(kind, "aud", json!("chat")), 401, "token_audience"),
            (with(kind, "exp", json!(now_s() - 60)), 401, "token_expired"),
            (with(kind, "nbf", json!(now_s() + 60)), 401, "token_not_yet_valid"),
            (with(kind, "exp", json!(now_s() + 90_000)), content, "token_content"),
            (with(kind, "jti", json!(7)), content, "token_content"),
            (signed(&good), content, "token_content"),
            (signed(&json!([])), content, "token_content"),
            (forged.sign(&good).unwrap(), 401, "token_signature"),
            (EXAMPLE_BANS.into(), 401, "token_algorithm"),
        ];
        for (token, status, code) in table {
            let got = strict.hand_in(&format!("/{kind}"), token).await;
            assert_eq!(got.refusal(), (status, code.into()), "/{kind} {code}");
        }
    }
    lax().hand_in("/post", user).await.assert_refused(401, "token_audience");
}

#[tokio::test]
async fn a_token_is_taken_once() {
    let house = house();
    let post = admin("one", "post", &json!([{"channel": "a", "msg": "x"}]));
    assert_eq!(house.hand_in("/post", post.clone()).await.status, 200);
    house.hand_in("/post", post.clone()).await.assert_refused(401, "token_replayed");
    // Another dispatcher on the same broker knows it too.
    let other =
        chatup_dispatcher::Dispatcher::new(settings(), &house.handle, verifier(Policy::default()).into());
    let other = other.unwrap().router();
    let got = send_to(&other, "POST /post", &["content-type: text/plain"], post).await;
    got.assert_refused(401, "token_replayed");
    // The id counts, whatever it comes with.
    let ban = admin("one", "ban", &json!([{"channel": "a", "name": "bob"}]));
    house.hand_in("/ban", ban).await.assert_refused(401, "token_replayed");
    assert_eq!((house.kept("m_a").len(), house.bans("a").len()), (1, 0));
    // A token that is refused is not used up.
    house.hand_in("/ban", admin("two", "post", &json!([]))).await.assert_refused(400, "token_content");
    assert_eq!(house.hand_in("/post", admin("two", "post", &json!([]))).await.status, 200);
}

#[tokio::test]
async fn the_readmes_bans() {
    let certificate = include_bytes!("../../../core/tests/data/example-jwt-cert.pem");
    let keys = || KeySet::parse(certificate, &[Algorithm::RS256]).unwrap();
    let house = house_of(settings(), Verifier::new(keys(), chatup_policy()));
    let began_ms = now_s() * 1_000;
    let got = house.hand_in("/ban", EXAMPLE_BANS).await;
    assert_eq!((got.status, got.text.as_str()), (200, "OK"));
    let [(name, Some(until_ms))] = &house.bans("TestRoom")[..] else { panic!("no ban with an end") };
    assert_eq!(name, "test1");
    assert!((began_ms + 30_000..began_ms + 60_000).contains(until_ms), "{until_ms}");
    assert_eq!(house.bans("TestRoom2"), [("test2".into(), None)]);
    let event = &house.kept("m_TestRoom")[0];
    assert_eq!((&event["ev"], &event["data"]), (&json!("rmUserMsg"), &json!("test1")));
    assert!(event["i"].as_str().is_some_and(|id| id.len() == 36));

    let strict = house_of(settings(), Verifier::new(keys(), Policy::default()));
    strict.hand_in("/ban", EXAMPLE_BANS).await.assert_refused(400, "token_content");
    assert_eq!(strict.bans("TestRoom2"), []);
}

#[tokio::test]
async fn many_at_once_and_in_order() {
    let house = lax();
    let list: Vec<Value> =
        (0..1_000).map(|number| json!({"channel": "a", "msg": number.to_string()})).collect();
    assert_eq!(house.hand_in("/post", signed(&json!(list))).await.status, 200);
    let texts: Vec<_> = house.kept("m_a").iter().map(|one| one["msg"].as_str().unwrap().to_owned()).collect();
    assert_eq!(texts, (0..1_000).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(house.kept("a").len(), 1_000);
}

#[tokio::test]
async fn who_hangs_up_has_ordered_all_the_same() {
    let house = house();
    let list = json!([{"channel": "a", "msg": "x"}, {"channel": "b", "msg": "y"}]);
    let mut asked = Box::pin(house.hand_in("/post", admin("1", "post", &list)));
    // Polled once: the token is read, the claim is under way. Then the connection is gone.
    assert!(std::future::poll_fn(|context| Poll::Ready(asked.as_mut().poll(context).is_pending())).await);
    drop(asked);
    while house.kept("b").is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(house.kept("m_a").len(), 1);
}

#[tokio::test]
async fn without_the_broker() {
    let router = lax().without_broker();
    let hand_in = async |path: &str, payload: &Value| {
        send_to(&router, &format!("POST {path}"), &["content-type: text/plain"], signed(payload)).await
    };
    for (path, payload) in
        [("/post", json!([{"channel": "a", "msg": "x"}])), ("/ban", json!([{"channel": "a", "name": "bob"}]))]
    {
        assert_eq!(hand_in(path, &payload).await.refusal().0, 503, "{path}");
    }
    assert_eq!(hand_in("/post", &json!([])).await.status, 200);
}
