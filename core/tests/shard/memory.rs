//! What a shard says of its memory, against what is known to be in it.

use chatup_core::limits::{Limits, MEMORY_WALK_ENTRIES};
use chatup_core::shard::Memory;

use crate::rig::Rig;

/// As of now: two walks at least have ended since.
fn memory(rig: &mut Rig) -> Memory {
    for _ in 0..4 {
        rig.shard.memory();
    }
    rig.shard.memory()
}

#[test]
fn every_line_grows_with_what_it_is_for_and_with_nothing_else() {
    let mut rig = Rig::new(Limits { log_messages_max: 10, ..Limits::default() });
    let empty = memory(&mut rig);
    assert_eq!((empty.sessions, empty.subscribers, empty.logs), (0, 0, 0));
    let keys: Vec<_> = (0..1_000).map(|_| rig.subscribed(r#""a""#)).collect();
    let idle = memory(&mut rig);
    assert!((64_000..=400_000).contains(&(idle.connections - empty.connections)), "{idle:?}");
    assert!((4_000..=8_192).contains(&idle.subscribers), "four bytes each, and room to grow: {idle:?}");
    assert_eq!((idle.sessions, idle.logs), (0, 0), "who only listens holds nothing more");

    rig.publish("a", 1, &"x".repeat(2_000));
    let spoken = memory(&mut rig);
    assert!((2_000..=5_000).contains(&spoken.logs), "{spoken:?}");
    assert_eq!(spoken.sessions, 0, "the same bytes for all");
    for offset in 2..=500 {
        rig.publish("a", offset, &"x".repeat(2_000));
    }
    let full = memory(&mut rig);
    assert!((20_000..=150_000).contains(&full.logs), "ten are kept: {full:?}");

    rig.take_only(keys[0], 5);
    rig.publish("a", 501, &"x".repeat(2_000));
    let slow = memory(&mut rig);
    assert!((1_995..=4_000).contains(&slow.sessions), "the rest of a cut frame: {slow:?}");
    let reader = rig.open_and_deflate();
    rig.text(reader, r#"{"id":1,"call":"subscribe","channels":["a"]}"#);
    rig.publish("a", 502, &"x".repeat(2_000));
    let deflated = memory(&mut rig);
    assert!(deflated.logs > slow.logs, "{deflated:?}");

    for key in keys.into_iter().chain([reader]) {
        rig.cut(key);
    }
    rig.pass(10_000);
    let gone = memory(&mut rig);
    assert_eq!((gone.sessions, gone.subscribers, gone.logs), (0, 0, 0), "{gone:?}");
}

#[test]
fn a_walk_over_many_takes_its_time() {
    let mut rig = Rig::new(Limits::default());
    let input = "GET /".len();
    let all = MEMORY_WALK_ENTRIES as usize * 2;
    for _ in 0..all {
        let key = rig.shard.accept().unwrap();
        rig.shard.received(key, &mut b"GET /".to_vec(), &mut rig.world);
    }
    assert_eq!(rig.shard.memory().sessions, 0, "half of them is no answer yet");
    assert!(rig.shard.memory().sessions >= all * input);
}
