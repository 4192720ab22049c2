//! Bad input of every kind gets the documented answer, and the server lives on.

use std::io::{Read, Write};
use std::net::TcpStream;

use chatup_tests::{Client, Server, http};
use serde_json::{Value, json};

/// A client's frame with this first byte and payload.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length @ 0..=125) => bytes.push(0x80 | u8::try_from(length).expect("small")),
        Ok(length) => {
            bytes.push(0x80 | 126);
            bytes.extend(length.to_be_bytes());
        }
        Err(_) => {
            bytes.push(0x80 | 127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend([1, 2, 3, 4]);
    bytes.extend(payload.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn raw(client: &mut Client, bytes: &[u8]) {
    client.socket.get_mut().write_all(bytes).expect("it is sent");
}

/// A good client is still served: the process lives and so does its every shard.
fn still_alive(server: &mut Server) {
    assert!(server.process.is_alive());
    for _ in 0..4 {
        let mut client = Client::connect(&server.worker);
        assert_eq!(client.call(json!({ "call": "ping" }))["ok"], json!({}));
    }
}

#[test]
fn broken_frames_close_with_their_codes() {
    let mut server = Server::start(&["--shards", "2"]);
    let mut unmasked = frame(0x81, b"{}");
    unmasked[1] &= 0x7f;
    let table: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("unmasked", unmasked, 1002, "protocol_error"),
        ("reserved bit", frame(0xc1, b"{}"), 1002, "protocol_error"),
        ("reserved opcode", frame(0x83, b""), 1002, "protocol_error"),
        ("continuation of nothing", frame(0x80, b"x"), 1002, "protocol_error"),
        ("long ping", frame(0x89, &[0; 126]), 1002, "protocol_error"),
        ("close of one byte", frame(0x88, b"x"), 1002, "protocol_error"),
        ("binary", frame(0x82, b"{}"), 1003, "binary_frame"),
        ("not utf-8", frame(0x81, b"{\"id\":1,\"call\":\"\xff\"}"), 1007, "invalid_utf8"),
        ("too large", frame(0x81, &vec![b' '; 16_385]), 1009, "frame_too_large"),
        ("2^63 bytes announced", [&[0x81, 0xff][..], &[0x7f; 8], &[0; 4]].concat(), 1009, "frame_too_large"),
    ];
    for (name, bytes, code, reason) in table {
        let mut client = Client::connect(&server.worker);
        raw(&mut client, &bytes);
        assert_eq!(client.closed(), (code, reason.to_owned()), "{name}");
    }
    still_alive(&mut server);
}

#[test]
fn bad_calls_are_answered_and_the_connection_lives() {
    let mut server = Server::start(&[]);
    let mut client = Client::connect(&server.worker);
    let long_text = json!({ "id": 9, "call": "say", "msg": "x".repeat(4_097) }).to_string();
    let deep = format!("{{\"id\":1,\"call\":\"ping\",\"x\":{}{}}}", "[".repeat(8_000), "]".repeat(8_000));
    let many: Vec<String> = (0..65).map(|number| format!("c{number}")).collect();
    let many = json!({ "id": 8, "call": "subscribe", "channels": many }).to_string();
    let table = [
        ("", Value::Null, "bad_json"),
        ("nonsense", Value::Null, "bad_json"),
        ("[]", Value::Null, "bad_json"),
        ("null", Value::Null, "bad_json"),
        (&deep, Value::Null, "bad_json"),
        (r#"{"call":"ping"}"#, Value::Null, "missing_id"),
        (r#"{"id":-1,"call":"ping"}"#, Value::Null, "missing_id"),
        (r#"{"id":1.5,"call":"ping"}"#, Value::Null, "missing_id"),
        (r#"{"id":"7","call":"ping"}"#, Value::Null, "missing_id"),
        (r#"{"id":1}"#, json!(1), "bad_field"),
        (r#"{"id":2,"call":"dance"}"#, json!(2), "unknown_call"),
        (r#"{"id":3,"call":["say"]}"#, json!(3), "bad_field"),
        (r#"{"id":4,"call":"say","msg":"x"}"#, json!(4), "never_joined"),
        (r#"{"id":5,"call":"join","room":"a"}"#, json!(5), "not_authenticated"),
        (r#"{"id":5,"call":"join","room":"a b"}"#, json!(5), "invalid_name"),
        (r#"{"id":5,"call":"join","room":7}"#, json!(5), "bad_field"),
        (r#"{"id":6,"call":"leave"}"#, json!(6), "never_joined"),
        (r#"{"id":7,"call":"subscribe","channels":[]}"#, json!(7), "bad_field"),
        (r#"{"id":7,"call":"subscribe","channels":["ALL"]}"#, json!(7), "invalid_name"),
        (r#"{"id":7,"call":"subscribe","channels":["a","a"]}"#, json!(7), "already_subscribed"),
        (&many, json!(8), "too_many_channels"),
        (r#"{"id":7,"call":"unsubscribe","channels":["a"]}"#, json!(7), "not_subscribed"),
        (&long_text, json!(9), "never_joined"),
    ];
    for (text, id, code) in table {
        client.send(text);
        let answer = client.read();
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&id, &json!(code)),
            "{}",
            &text[..text.len().min(80)]
        );
        assert!(answer["error"]["message"].is_string() && answer["error"]["retry"].is_boolean(), "{answer}");
    }
    client.enter(&server.token_for("Ada"), "a");
    assert_eq!(client.refused(json!({ "call": "say", "msg": "" })), "message_empty");
    assert_eq!(client.refused(json!({ "call": "say", "msg": "x".repeat(4_097) })), "message_too_long");
    assert_eq!(client.refused(json!({ "call": "join", "room": "b" })), "already_joined");
    let bob = server.token_for("Bob");
    assert_eq!(client.refused(json!({ "call": "auth", "token": bob })), "identity_locked");
    client.ok(json!({ "call": "say", "msg": "x".repeat(4_096) }));
    still_alive(&mut server);
}

#[test]
fn wrong_tokens_of_every_kind() {
    let mut server = Server::start(&[]);
    let good = server.token_for("Ada");
    let parts: Vec<&str> = good.split('.').collect();
    let none = "eyJhbGciOiJub25lIn0"; // {"alg":"none"}
    let hs256 = "eyJhbGciOiJIUzI1NiJ9"; // {"alg":"HS256"}
    let flipped = if parts[2].starts_with('A') { "B" } else { "A" };
    let table = [
        (String::new(), "token_malformed"),
        ("a.b".into(), "token_malformed"),
        ("a.b.c".into(), "token_malformed"),
        (format!("{good}."), "token_malformed"),
        (format!("{none}.{}.", parts[1]), "token_algorithm"),
        (format!("{none}.{}.{}", parts[1], parts[2]), "token_algorithm"),
        (format!("{hs256}.{}.{}", parts[1], parts[2]), "token_algorithm"),
        (format!("{}.{}.{flipped}{}", parts[0], parts[1], &parts[2][1..]), "token_signature"),
        (format!("{}.{}x.{}", parts[0], parts[1], parts[2]), "token_signature"),
        ("x".repeat(9_000), "token_too_large"),
    ];
    for (token, code) in table {
        let mut client = Client::connect(&server.worker);
        let refused = client.refused(json!({ "call": "auth", "token": token }));
        assert!(
            refused == code || (code == "token_signature" && refused == "token_malformed"),
            "{token}: {refused}"
        );
    }
    let mut client = Client::connect(&server.worker);
    for _ in 0..7 {
        assert_eq!(client.refused(json!({ "call": "auth", "token": "a.b.c" })), "token_malformed");
    }
    assert_eq!(client.ok(json!({ "call": "auth", "token": good }))["user"], json!({ "name": "Ada" }));
    for _ in 0..8 {
        assert_eq!(client.refused(json!({ "call": "auth", "token": "a.b.c" })), "token_malformed");
    }
    assert_eq!(client.closed(), (4004, "wrong_tokens".to_owned()));
    still_alive(&mut server);
}

#[test]
fn handshakes_that_are_none() {
    let mut server = Server::start(&["--set", "limits.handshake_ms_max=300"]);
    let upgrade = "GET /chatup/v1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let table = [
        ("rubbish", "\u{1}\u{2}\u{3}\r\n\r\n".to_owned(), 400),
        ("another origin", format!("{upgrade}Origin: https://evil.example\r\n\r\n"), 403),
        ("another path", "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 404),
        (
            "another method",
            "POST /chatup/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".to_owned(),
            405,
        ),
        ("no upgrade", "GET /chatup/v1 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 426),
        ("an old version", format!("{}\r\n", upgrade.replace("Version: 13", "Version: 8")), 426),
        ("a long head", format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(9_000)), 431),
        ("stopped halfway", upgrade.to_owned(), 408),
        ("nothing at all", String::new(), 408),
    ];
    for (name, request, status) in table {
        let answer = http::raw(&server.worker, request.as_bytes());
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        assert!(answer.json()["error"]["code"].is_string(), "{name}");
    }
    still_alive(&mut server);
}

/// Everything at once, in pieces of one byte: head, frames, the answer to each.
#[test]
fn a_client_that_sends_byte_by_byte() {
    let server = Server::start(&[]);
    let mut stream = http::connect(&server.worker);
    let mut request = format!(
        "GET /chatup/v1 HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.worker
    )
    .into_bytes();
    request.extend(frame(0x81, br#"{"id":1,"call":"ping"}"#));
    request.extend(frame(0x01, br#"{"id":2,"#));
    request.extend(frame(0x89, b"between"));
    request.extend(frame(0x80, br#""call":"ping"}"#));
    request.extend(frame(0x88, &[0x0f, 0xa0]));
    for byte in request {
        stream.write_all(&[byte]).expect("it is sent");
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let text = String::from_utf8_lossy(&answer);
    let expected = [r#"{"id":1,"ok":{}}"#, "\u{7}between", r#"{"id":2,"ok":{}}"#];
    let mut at = 0;
    for part in expected {
        at += text[at..].find(part).unwrap_or_else(|| panic!("no {part:?} in {text:?}"));
    }
    assert_eq!(&answer[answer.len() - 4..], [0x88, 2, 0x0f, 0xa0], "the close is echoed");
}

#[test]
fn a_client_that_pings_and_never_reads_is_closed_with_bounded_memory() {
    let mut server = Server::start(&[]);
    let before = server.resident_bytes();
    let mut client = Client::connect(&server.worker);
    let pings: Vec<u8> = std::iter::repeat_with(|| frame(0x89, &[b'p'; 125])).take(1_000).flatten().collect();
    let stream: &mut TcpStream = client.socket.get_mut();
    // Until the server hangs up: what it owes us in pongs fills the sockets' buffers, then its own limit.
    let mut sent = 0_u64;
    while stream.write_all(&pings).is_ok() {
        sent += pings.len() as u64;
        assert!(sent < 1 << 28, "still taken after {sent} bytes of pings");
    }
    let after = server.resident_bytes();
    assert!(after < before + (16 << 20), "{before} bytes before, {after} after {sent} bytes of pings");
    still_alive(&mut server);
}

/// Random bytes behind a good handshake, and in place of one: the seed is printed.
#[test]
fn noise() {
    use rand::{RngExt, SeedableRng};
    let mut server = Server::start(&["--set", "limits.handshake_ms_max=300"]);
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    for round in 0..200 {
        let length = random.random_range(1..2_000);
        let noise: Vec<u8> = std::iter::repeat_with(|| random.random()).take(length).collect();
        let mut stream = if round % 2 == 0 {
            http::connect(&server.worker)
        } else {
            let client = Client::connect(&server.worker);
            client.socket.get_ref().try_clone().expect("a second handle")
        };
        // The server may hang up at any moment.
        let _ = stream.write_all(&noise);
    }
    still_alive(&mut server);
}
