//! Socket.IO clients: the original's publishers, by either engine.

use chatup_core::exchange::Event;
use chatup_core::limits::Limits;
use chatup_core::names::{RoomName, UserName};
use chatup_core::refusal::BanTtl;
use chatup_core::shard::Key;

use crate::rig::Rig;
use crate::support::wire;

/// Asks for a WebSocket; what came behind the answer.
fn open(rig: &mut Rig, engine: u8) -> (Key, String) {
    let key = rig.accept();
    let path = format!("/socket.io/?EIO={engine}&transport=websocket&t=1");
    let answer = rig.bytes(key, wire::UPGRADE.replace("/chatup/v1", &path).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    let behind = answer.split_once("\r\n\r\n").map_or("", |(_, behind)| behind.trim_start()).to_owned();
    (key, behind)
}

fn auth(call: &str) -> String {
    format!(r#"42{call}["auth","{}"]"#, crate::support::rules::token("Ada", 3_600))
}

#[test]
fn each_engine_opens_in_its_own_way() {
    let mut rig = Rig::new(Limits::default());
    let (three, given) = open(&mut rig, 3);
    let mut lines = given.lines();
    let opening = lines.next().unwrap();
    assert!(opening.starts_with("0{\"sid\":\"") && opening.contains("\"pingTimeout\":60000"), "{opening}");
    assert_eq!((lines.next(), lines.next()), (Some("40"), None));
    assert_eq!(rig.text(three, "2"), "3");
    let (four, given) = open(&mut rig, 4);
    assert!(given.starts_with("0{\"sid\":\"") && given.lines().count() == 1, "{given}");
    assert!(rig.text(four, "40").starts_with("40{\"sid\":\""));
    assert_eq!(rig.text(four, "40/other,"), r#"44/other,{"message":"Invalid namespace"}"#);
    // It is told of by the server, however much it says.
    for _ in 0..3 {
        let mut pings = 0;
        for _ in 0..27 {
            rig.pass(1_000);
            pings += rig.given(four).lines().filter(|line| *line == "2").count();
            rig.text(four, "3");
        }
        assert!((1..=2).contains(&pings), "{pings} pings in 27 s");
    }
    assert_eq!(rig.text(four, "41"), "close 1000");
}

#[test]
fn calls_are_answered_in_the_originals_words() {
    let mut rig = Rig::new(Limits::default());
    let (key, _) = open(&mut rig, 3);
    let never = r#"[{"status":"error","err":"Never joined a room"}]"#;
    assert_eq!(rig.text(key, r#"420["say",{"msg":"x"}]"#), format!("430{never}"));
    assert_eq!(
        rig.text(key, r#"421["join",{"room":"lobby"}]"#),
        r#"431[{"status":"error","err":"You need to be authenticated to join a room"}]"#
    );
    assert_eq!(rig.text(key, r#"422["auth","abc"]"#), r#"432[{"status":"error","err":"Wrong JWT"}]"#);
    assert_eq!(rig.text(key, r#"422["auth",7]"#), r#"432[{"status":"error","err":"Wrong format"}]"#);
    assert_eq!(rig.text(key, &auth("3")), r#"433["ok"]"#);
    rig.text(key, r#"424["join",{"room":"lobby"}]"#);
    rig.broker_opens();
    assert_eq!(rig.given(key), r#"434["ok"]"#);
    assert_eq!(rig.text(key, r#"425["join",{"room":"lobby"}]"#), r#"435["ok"]"#, "the same room again");
    assert_eq!(
        rig.text(key, r#"426["join",{"room":"other"}]"#),
        r#"436[{"status":"error","err":"Already in another room"}]"#
    );
    rig.text(key, r#"427["say",{"msg":"x"}]"#);
    rig.broker_opens();
    assert_eq!(rig.given(key), r#"437["ok"]"#);
    // Without an acknowledgement id: done, and not answered.
    rig.text(key, r#"42["say",{"msg":"y"}]"#);
    assert_eq!(rig.world.asked.len(), 1);
    rig.broker_opens();
    assert_eq!(rig.given(key), "");
    assert_eq!(rig.text(key, r#"42["say"]"#), "");
    // A ban of this very user is no frame of its own.
    rig.event(Event::Banned {
        room: RoomName::new("lobby").unwrap(),
        name: UserName::new("Ada").unwrap(),
        ttl: BanTtl::FOREVER,
    });
    assert_eq!(rig.given(key), "");
}

#[test]
fn it_is_not_cut_off_for_saying_nothing() {
    let mut rig = Rig::new(Limits::default());
    let (key, _) = open(&mut rig, 3);
    for _ in 0..20 {
        rig.pass(10_000);
        let given = rig.given(key);
        assert!(given.is_empty() || given == "ping", "{given}");
        rig.frame(key, wire::PONG, b"");
    }
    assert!(rig.text(key, "rubbish").starts_with("close 1002"), "rubbish ends it");
}
