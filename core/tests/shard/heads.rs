//! The beginning and the end of a connection: request heads, closes, and what comes behind them.

use chatup_core::exchange::Operation;
use chatup_core::limits::Limits;

use crate::rig::Rig;
use crate::support::wire::{self, CLOSE, PING, PONG, TEXT, UPGRADE};

#[test]
fn heads() {
    let table = [
        ("GET /stats?channel=m_a HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", r#"{"query":"channel=m_a"}"#),
        ("GET /else HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found", r#"{"error":{"code":"not_found","#),
        ("POST / HTTP/1.1\r\nHost: x\r\n\r\n", "405 Method Not Allowed", "method_not_allowed"),
        ("GET /chatup/v1 HTTP/1.1\r\nHost: x\r\n\r\n", "426 Upgrade Required", "upgrade_required"),
        ("\u{0}\r\n\r\n", "400 Bad Request", "bad_request"),
    ];
    for (head, status, body) in table {
        for split in [1, head.len() / 2, head.len()] {
            let mut rig = Rig::new(Limits::default());
            let key = rig.accept();
            let mut given = String::new();
            for piece in head.as_bytes().chunks(split) {
                given.push_str(&rig.bytes(key, piece));
            }
            assert!(given.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head:?}: {given}");
            assert!(given.contains(body) && given.ends_with("hung up"), "{head:?}: {given}");
            assert_eq!(rig.shard.connections(), 0);
        }
    }
}

#[test]
fn a_head_that_is_too_large() {
    let mut rig = Rig::new(Limits::default());
    let key = rig.accept();
    let given = rig.bytes(key, format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(8_192)).as_bytes());
    assert!(given.starts_with("HTTP/1.1 431 ") && given.ends_with("hung up"), "{given}");
}

#[test]
fn calls_behind_the_head_are_heard_wherever_the_packets_end() {
    let mut bytes = UPGRADE.as_bytes().to_vec();
    wire::frame(TEXT, br#"{"id":1,"call":"ping"}"#, [1, 2, 3, 4], &mut bytes);
    wire::frame(PING, b"p", [5, 6, 7, 8], &mut bytes);
    wire::frame(PONG, b"", [5, 6, 7, 8], &mut bytes);
    for split in 1..=bytes.len() {
        let mut rig = Rig::new(Limits::default());
        let key = rig.accept();
        let given: Vec<String> = bytes.chunks(split).map(|piece| rig.bytes(key, piece)).collect();
        let given: String = given.into_iter().filter(|one| !one.is_empty()).collect::<Vec<_>>().join("\n");
        assert!(given.starts_with("HTTP/1.1 101 "), "{given}");
        assert!(given.ends_with("\n{\"id\":1,\"ok\":{}}\npong p"), "pieces of {split}: {given}");
    }
}

#[test]
fn a_first_call_in_the_url_is_answered_behind_the_handshake() {
    let subscribed = r#"{"id":7,"ok":{"channels":[{"channel":"m_a","position":{"epoch":"000000000000000e","offset":0,"id":""},"next":1,"recovered":false}]}}"#;
    let refused = |id: &str, code: &str| format!(r#"{{"id":{id},"error":{{"code":"{code}","#);
    let table = [
        ("%7B%22id%22:7,%22call%22:%22subscribe%22,%22channels%22:%5B%22m_a%22%5D%7D", subscribed.into()),
        (r#"{"id":7,"call":"subscribe","channels":["a*b"]}"#, refused("7", "invalid_name")),
        (r#"{"id":7,"call":"subscribe","channels":[]}"#, refused("7", "bad_field")),
        (r#"{"id":7,"call":"auth","token":"a.b.c"}"#, refused("7", "bad_field")),
        (r#"{"id":7,"call":"say","msg":"x"}"#, refused("7", "bad_field")),
        (r#"{"id":7,"call":"ping"}"#, refused("7", "bad_field")),
        (r#"{"call":"ping"}"#, refused("null", "missing_id")),
        ("%FF", refused("null", "bad_json")),
        ("", refused("null", "bad_json")),
    ];
    for (call, expected) in table {
        let call = call.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
        let mut bytes = UPGRADE.replace("/chatup/v1", &format!("/chatup/v1?call={call}")).into_bytes();
        wire::frame(TEXT, br#"{"id":8,"call":"ping"}"#, [1, 2, 3, 4], &mut bytes);
        let mut rig = Rig::new(Limits::default());
        let key = rig.accept();
        let mut given = rig.bytes(key, &bytes);
        rig.broker_opens();
        given.push_str(&rig.given(key));
        let (head, rest) = given.split_once('\n').expect("more than the handshake");
        assert!(head.starts_with("HTTP/1.1 101 "), "{given}");
        assert!(rest.contains(&expected) && rest.contains(r#"{"id":8,"ok":{}}"#), "{call}: {given}");
    }
}

#[test]
fn the_shard_takes_so_many_and_no_more() {
    let mut rig = Rig::new(Limits { connections_per_shard_max: 1, ..Limits::default() });
    let key = rig.open();
    let answer = String::from_utf8(rig.shard.accept().unwrap_err()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    assert!(answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");
    let body = r#"{"error":{"code":"too_many_connections","message":"The worker is full.","retry":true}}"#;
    assert!(answer.ends_with(body), "{answer}");
    assert_eq!(rig.shard.counters().refused, 1);
    rig.cut(key);
    rig.open();
}

#[test]
fn a_shard_that_stops() {
    let mut rig = Rig::new(Limits { retry_spread_ms: 1_000, ..Limits::default() });
    let (head, open) = (rig.accept(), rig.open());
    rig.shard.drain(&mut rig.world);
    rig.pass(0);
    let given = rig.given(head);
    assert!(given.starts_with("HTTP/1.1 503 ") && given.contains(r#""code":"shutting_down""#), "{given}");
    let given = rig.given(open);
    let hint = given.strip_prefix("close 1001 shutting_down retry_after_ms=").expect("a hint");
    assert!(hint.parse::<u32>().unwrap() < 1_000);
    let answer = String::from_utf8(rig.shard.accept().unwrap_err()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains(r#""code":"shutting_down""#), "{answer}");
    assert_eq!(rig.frame(open, CLOSE, &1001_u16.to_be_bytes()), "hung up");
    assert_eq!(rig.shard.connections(), 0);
}

#[test]
fn closes_are_echoed_and_faults_are_named() {
    let masked = |opcode: u8, payload: &[u8]| {
        let mut bytes = Vec::new();
        wire::frame(opcode, payload, [9, 9, 9, 9], &mut bytes);
        bytes
    };
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("1000", masked(CLOSE, &1000_u16.to_be_bytes()), "close 1000\nhung up"),
        ("4321 and a reason", masked(CLOSE, b"\x10\xE1bye"), "close 4321\nhung up"),
        ("no code", masked(CLOSE, b""), "close 1000\nhung up"),
        ("half a code", masked(CLOSE, b"\x03"), "close 1002 protocol_error"),
        ("a code that is none", masked(CLOSE, &1005_u16.to_be_bytes()), "close 1002 protocol_error"),
        ("a reason that is no text", masked(CLOSE, b"\x03\xE8\xFF"), "close 1007 invalid_utf8"),
        ("not masked", b"\x81\x01x".to_vec(), "close 1002 protocol_error"),
        ("a reserved bit", b"\xC1\x81\x00\x00\x00\x00x".to_vec(), "close 1002 protocol_error"),
        ("a reserved opcode", masked(0x3, b"x"), "close 1002 protocol_error"),
        ("nothing to continue", masked(0x0, b"x"), "close 1002 protocol_error"),
        ("a ping too long", masked(PING, &[b'x'; 126]), "close 1002 protocol_error"),
        ("binary", masked(0x2, b"x"), "close 1003 binary_frame"),
        ("no text", masked(TEXT, b"\xFF"), "close 1007 invalid_utf8"),
        ("too large", masked(TEXT, &[b'x'; 16_385]), "close 1009 frame_too_large"),
    ];
    for (name, bytes, expected) in table {
        let mut rig = Rig::new(Limits::default());
        let key = rig.open();
        assert_eq!(rig.bytes(key, &bytes), expected, "{name}");
        if !expected.ends_with("hung up") {
            assert_eq!(rig.shard.connections(), 1, "{name}: waits for the other's close");
            assert_eq!(rig.text(key, r#"{"id":1,"call":"ping"}"#), "", "{name}: hears nothing any more");
            assert_eq!(rig.frame(key, CLOSE, &1002_u16.to_be_bytes()), "hung up", "{name}");
        }
        assert_eq!(rig.shard.connections(), 0, "{name}");
    }
}

#[test]
fn rubbish_behind_a_fault_does_not_take_the_reason_away() {
    let mut rig = Rig::new(Limits::default());
    let key = rig.open();
    let mut bytes = Vec::new();
    wire::frame(TEXT, &[b'x'; 20_000], [9, 9, 9, 9], &mut bytes);
    // The socket is full, so the close frame cannot go before the rest of the frame has come.
    rig.take_only(key, 0);
    for piece in bytes.chunks(1_400) {
        assert_eq!(rig.bytes(key, piece), "");
    }
    assert_eq!(rig.take_all(key), "close 1009 frame_too_large");
    assert_eq!(rig.bytes(key, b"\xFF\xFF\xFF\xFF\xFF"), "");
    rig.pass(2_500);
    assert_eq!((rig.given(key).as_str(), rig.shard.connections()), ("hung up", 0));
}

#[test]
fn closes_that_cross_both_arrive() {
    let mut rig = Rig::new(Limits::default());
    let key = rig.open();
    rig.take_only(key, 0);
    rig.shard.drain(&mut rig.world);
    rig.pass(0);
    assert_eq!(rig.frame(key, CLOSE, &1000_u16.to_be_bytes()), "");
    let given = rig.take_all(key);
    assert!(given.starts_with("close 1001 ") && given.ends_with("\nhung up"), "{given}");
}

#[test]
fn bodies_in_chunks_end_where_they_end() {
    let head = "POST /pub?id=a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n";
    let whole = format!("{head}\r\n5\r\nhello\r\n6;x\r\n world\r\n0\r\nTrailer: y\r\n\r\n");
    let behind = "GET /pub?id=b HTTP/1.1\r\nHost: x\r\n\r\n";
    let both = format!("{whole}{behind}");
    for split in [1, 7, both.len()] {
        let mut rig = Rig::new(Limits::default());
        let key = rig.accept();
        let (mut given, mut published) = (String::new(), Vec::new());
        for piece in both.as_bytes().chunks(split) {
            given.push_str(&rig.bytes(key, piece));
            while let Some((_, operation)) = rig.world.asked.front() {
                if let Operation::Publish(publish) = operation {
                    published.push(String::from_utf8(publish.payload.to_vec()).unwrap());
                }
                rig.broker_opens_one();
            }
            given.push_str(&rig.given(key));
        }
        assert_eq!(published.len(), 1, "{published:?}");
        assert!(published[0].starts_with(r#"{"text":"hello world","#), "{published:?}");
        let (first, second) = given.split_once("HTTP/1.1 404 ").unwrap();
        assert!(first.starts_with("HTTP/1.1 200 ") && first.contains("\"channel\": \"a\""), "{given}");
        assert!(!second.contains("HTTP/1.1"), "{given}");
    }
    let table = [
        (format!("{head}Content-Length: 5\r\n\r\n0\r\n\r\n"), "400 "),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "400 "),
        (whole.replace("chunked", "gzip, chunked"), "400 "),
        (whole.replace("chunked", "identity"), "400 "),
        (whole.replace("HTTP/1.1", "HTTP/1.0"), "400 "),
        (whole.replace("5\r\n", "5 \r\n"), "400 "),
        (whole.replace("hello\r\n", "hello\n"), "400 "),
        (format!("{}{behind}", whole.replace("5\r\n", "x\r\n")), "400 "),
        (format!("{head}\r\n{}", "ffffff\r\n"), "413 "),
        (format!("{head}\r\n{}", "1\r\nx\r\n".repeat(3_000)), "413 "),
        // Whatever is asked for: the next request would begin somewhere in it.
        ("GET /stats HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), "400 "),
        ("GET /poll/a HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n".to_owned(), "400 "),
    ];
    for (request, status) in table {
        let mut rig = Rig::new(Limits::default());
        let key = rig.accept();
        let answer = rig.bytes(key, request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
        assert!(answer.ends_with("hung up"), "{request}: {answer}");
        assert!(rig.world.asked.is_empty(), "{request}");
    }
}
