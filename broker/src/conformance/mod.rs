//! What every broker must pass: one table of cases over the queues of the contract. A broker's own
//! test starts it empty for each case and calls [`check`].

mod probe;

use chatup_core::exchange::{Answer, Event, Operation, WorkerId, WorkerRecord};
use chatup_core::message::UnixMillis;
use chatup_core::names::{RoomName, TokenId};
use chatup_core::position::{MessageId, Offset};
use chatup_core::refusal::Refusal;

use crate::contract::BrokerHandle;
use probe::{Probe, ban, channel, join, leave, memberships, offsets, publish, room, texts, user};

/// Members up to which the brokers under test tell each coming and going.
pub const ANNOUNCED_MEMBERS_MAX: u32 = 100;
/// So far ahead that no test lives to see it.
const FAR: UnixMillis = UnixMillis(u64::MAX / 2);

/// A case: its name and its check, which panics.
pub type Case = (&'static str, fn(&BrokerHandle));

/// All cases.
pub const CASES: &[Case] = &[
    ("offsets count from one in one epoch", offsets_count),
    ("an open channel hands over its tail and all that follows, once", open_is_seamless),
    ("a closed channel is silent", close_is_silent),
    ("every client that has a channel open is handed its messages in one order", one_order),
    ("the tail and the history are bounded and in order", history_is_bounded),
    ("a key publishes once, for its sender and channel", keys_publish_once),
    ("a ban refuses, tells everybody and leaves no trace of what it refused", bans_refuse),
    ("a ban that has ended is none, and can be lifted and listed", bans_end),
    ("members are announced as they come and go", members_are_announced),
    ("a banned member is not announced, coming or going", banned_members_are_silent),
    ("in a large room comings and goings are told by their number", large_rooms_are_counted),
    ("viewers are counted over shards and workers", viewers_are_counted),
    ("a worker that retires takes its people with it", retiring_worker),
    ("an id is claimed once", claims_are_granted_once),
    ("names that mean something elsewhere are ordinary here", odd_names),
];

/// Runs every case against brokers that `start` starts, empty each time, and set up for
/// [`ANNOUNCED_MEMBERS_MAX`] and 1,000 messages a channel.
pub fn check(start: impl Fn() -> BrokerHandle) {
    for (name, case) in CASES {
        eprintln!("conformance: {name}");
        let handle = start();
        case(&handle);
        handle.stop();
    }
}

/// Whether a broker carries anything out.
#[must_use]
pub fn is_reachable(broker: &BrokerHandle) -> bool {
    matches!(Probe::new(broker).ask(publish("m_a", None, None, "x")), Answer::Published { .. })
}

fn offsets_count(broker: &BrokerHandle) {
    let probe = Probe::new(broker);
    let first = probe.publish("m_a", "1");
    let second = probe.publish("m_a", "2");
    let elsewhere = probe.publish("m_b", "1");
    assert_eq!((first.offset, second.offset, elsewhere.offset), (Offset(1), Offset(2), Offset(1)));
    assert_eq!(first.epoch, second.epoch);
    assert_ne!(first.id, second.id);
}

fn open_is_seamless(broker: &BrokerHandle) {
    let (probe, other) = (Probe::new(broker), Probe::new(broker));
    let empty = probe.open("m_a");
    assert_eq!((empty.before.offset, empty.messages.len()), (Offset::START, 0));
    let first = probe.publish("m_a", "1");
    assert_eq!(first.epoch, empty.before.epoch, "an epoch begins before the first message");
    probe.publish("m_a", "2");
    let tail = other.open("m_a");
    assert_eq!(texts(&tail.messages), ["\"1\"", "\"2\""]);
    assert_eq!((tail.before.epoch, tail.before.offset), (first.epoch, Offset::START));
    other.open("m_a");
    probe.publish("m_a", "3");
    assert_eq!(offsets(&probe.publications()), [1, 2, 3]);
    assert_eq!(offsets(&other.publications()), [3], "opened twice, handed over once");
}

fn close_is_silent(broker: &BrokerHandle) {
    let (probe, other) = (Probe::new(broker), Probe::new(broker));
    probe.open("m_a");
    other.open("m_a");
    probe.ask(Operation::Close(channel("m_a")));
    probe.publish("m_a", "1");
    probe.publish("m_b", "1");
    assert_eq!(offsets(&probe.publications()), [] as [u64; 0]);
    assert_eq!(offsets(&other.publications()), [1]);
}

fn one_order(broker: &BrokerHandle) {
    const PUBLISHERS: usize = 4;
    const MESSAGES: usize = 200;
    let watchers = [Probe::new(broker), Probe::new(broker)];
    for watcher in &watchers {
        watcher.open("m_a");
    }
    std::thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let probe = Probe::new(broker);
            scope.spawn(move || {
                for number in 0..MESSAGES {
                    probe.publish("m_a", &format!("{publisher}:{number}"));
                }
            });
        }
    });
    let [one, two] = watchers.map(|watcher| watcher.publications());
    assert_eq!(one, two);
    assert_eq!(offsets(&one), (1..=(PUBLISHERS * MESSAGES) as u64).collect::<Vec<_>>());
    for publisher in 0..PUBLISHERS {
        let head = format!("\"{publisher}:");
        let own: Vec<String> = texts(&one).into_iter().filter(|text| text.starts_with(&head)).collect();
        assert_eq!(own, (0..MESSAGES).map(|n| format!("\"{publisher}:{n}\"")).collect::<Vec<_>>());
    }
}

fn history_is_bounded(broker: &BrokerHandle) {
    let probe = Probe::new(broker);
    assert!(probe.history("m_a", 10).is_empty());
    for number in 1..=2_500 {
        probe.publish("m_a", &number.to_string());
    }
    assert_eq!(offsets(&probe.history("m_a", 3)), [2_500, 2_499, 2_498]);
    let tail = probe.open("m_a");
    let kept = tail.messages.len() as u64;
    assert!((100..=2_000).contains(&kept), "{kept} messages are kept");
    assert_eq!(tail.before.offset, Offset(2_500 - kept));
    assert_eq!(offsets(&tail.messages), (2_501 - kept..=2_500).collect::<Vec<_>>());
}

fn keys_publish_once(broker: &BrokerHandle) {
    let probe = Probe::new(broker);
    let table = [
        ("m_a", Some("ada"), Some("k"), 1, false),
        ("m_a", Some("ada"), Some("k"), 1, true),
        ("m_a", Some("bob"), Some("k"), 2, false),
        ("m_a", None, Some("k"), 3, false),
        ("m_a", Some("ada"), Some("l"), 4, false),
        ("m_b", Some("ada"), Some("k"), 1, false),
        ("m_a", Some("ada"), None, 5, false),
        ("m_a", Some("ada"), None, 6, false),
        ("m_a", Some("ada"), Some("k"), 1, true),
    ];
    for (row, (name, sender, key, offset, again)) in table.into_iter().enumerate() {
        match probe.ask(publish(name, sender, key, &row.to_string())) {
            Answer::Published { position, duplicate } => {
                assert_eq!((position.offset.0, duplicate), (offset, again), "row {row}");
            }
            other => panic!("row {row}: {other:?}"),
        }
    }
    assert_eq!(probe.history("m_a", 100).len(), 6);
}

fn bans_refuse(broker: &BrokerHandle) {
    let (probe, other) = (Probe::new(broker), Probe::new(broker));
    other.open("m_a");
    probe.ask(ban("bob", None));
    for key in [None, Some("k")] {
        match probe.ask(publish("m_a", Some("bob"), key, "x")) {
            Answer::Refused(refused) => {
                assert_eq!(
                    (refused.refusal, refused.ttl.map(|ttl| ttl.seconds())),
                    (Refusal::Banned, Some(-1))
                );
            }
            other => panic!("{other:?}"),
        }
    }
    probe.ask(publish("m_a", Some("ada"), None, "y"));
    let events = other.events();
    let told = events.iter().any(|event| matches!(event, Event::Banned { name, ttl, .. } if name.as_str() == "bob" && ttl.seconds() == -1));
    assert!(told, "{events:?}");
    let published: Vec<_> =
        events.into_iter().filter_map(|e| if let Event::Published(p) = e { Some(p) } else { None }).collect();
    assert_eq!(offsets(&published), [1, 2]);
    let removal: serde_json::Value = serde_json::from_slice(&published[0].payload).expect("JSON");
    assert_eq!((&removal["ev"], &removal["data"]), (&"rmUserMsg".into(), &"bob".into()));
    assert_eq!(texts(&published[1..]), ["\"y\""]);
}

fn bans_end(broker: &BrokerHandle) {
    let probe = Probe::new(broker);
    probe.ask(ban("past", Some(UnixMillis(1))));
    assert!(matches!(probe.ask(publish("m_a", Some("past"), None, "x")), Answer::Published { .. }));
    probe.ask(ban("far", Some(FAR)));
    probe.ask(ban("ever", None));
    match probe.ask(Operation::Bans(room())) {
        Answer::Bans(bans) => {
            let mut bans: Vec<_> = bans.into_iter().map(|ban| (ban.name, ban.until_ms)).collect();
            bans.sort();
            assert_eq!(bans, [("ever".to_owned(), None), ("far".to_owned(), Some(FAR.0))]);
        }
        other => panic!("{other:?}"),
    }
    let unban = |name| Operation::Unban { room: room(), name: user(name) };
    assert!(matches!(probe.ask(unban("ever")), Answer::Was(true)));
    assert!(matches!(probe.ask(unban("ever")), Answer::Was(false)));
    assert!(matches!(probe.ask(publish("m_a", Some("ever"), None, "y")), Answer::Published { .. }));
    assert!(matches!(probe.ask(publish("m_a", Some("far"), None, "z")), Answer::Refused(_)));
}

fn members_are_announced(broker: &BrokerHandle) {
    let probe = Probe::new(broker);
    probe.open("e_a");
    for operation in [join("ada", 1, 1), join("ada", 1, 1), join("bob", 1, 2), join("ada", 2, 1)] {
        assert!(matches!(probe.ask(operation), Answer::Joined(None)));
    }
    let stats = probe.stats(0, 10);
    let names: Vec<&str> = stats.users.iter().map(|user| user.get()).collect();
    assert_eq!(
        (stats.members, names),
        (3, vec![r#"{"name":"ada"}"#, r#"{"name":"bob"}"#, r#"{"name":"ada"}"#])
    );
    assert_eq!(probe.stats(1, 1).users[0].get(), r#"{"name":"bob"}"#);
    for operation in [leave(1, 1), leave(1, 1), leave(9, 9)] {
        probe.ask(operation);
    }
    assert_eq!(probe.stats(0, 10).members, 2);
    assert_eq!(memberships(&probe.publications()), ["ada join", "bob join", "ada join", "ada leave"]);
}

fn banned_members_are_silent(broker: &BrokerHandle) {
    let probe = Probe::new(broker);
    probe.open("e_a");
    probe.ask(ban("bob", Some(FAR)));
    match probe.ask(join("bob", 1, 1)) {
        Answer::Joined(Some(ttl)) => assert!(ttl.seconds() > 1_000),
        other => panic!("{other:?}"),
    }
    probe.ask(leave(1, 1));
    assert_eq!(probe.stats(0, 10).members, 0);
    assert_eq!(memberships(&probe.publications()), [] as [String; 0]);
}

fn large_rooms_are_counted(broker: &BrokerHandle) {
    const MORE: u64 = 7;
    let probe = Probe::new(broker);
    probe.open("e_a");
    let told = u64::from(ANNOUNCED_MEMBERS_MAX);
    for connection in 0..told + MORE {
        probe.ask(join("ada", 1, connection));
    }
    for _ in 0..told {
        assert_eq!(memberships(&[probe.next_publication()]), ["ada join"]);
    }
    // Those who came and went later are told together, once or, where time passed between, in parts.
    let mut told_of = (0, 0);
    let mut sum_up_to = |joined, left| loop {
        let event: serde_json::Value =
            serde_json::from_slice(&probe.next_publication().payload).expect("JSON");
        let number = |key: &str| event["data"][key].as_u64().unwrap_or_else(|| panic!("{key} of {event}"));
        assert_eq!(event["ev"], "members");
        told_of = (told_of.0 + number("joined"), told_of.1 + number("left"));
        assert!(told_of.0 <= joined && told_of.1 <= left, "{event}");
        if told_of == (joined, left) {
            return number("members");
        }
    };
    assert_eq!(sum_up_to(MORE, 0), told + MORE);
    probe.ask(leave(1, 0));
    probe.ask(leave(1, 1));
    assert_eq!(sum_up_to(MORE, 2), told + MORE - 2);
    for connection in 2..=MORE {
        probe.ask(leave(1, connection));
    }
    assert_eq!(probe.stats(0, 0).members, told - 1);
}

fn viewers_are_counted(broker: &BrokerHandle) {
    let probe = Probe::new(broker);
    let tell = |worker, shard, count| {
        probe.ask(Operation::Viewers { worker: WorkerId(worker), shard, counts: vec![(room(), count)] });
        probe.stats(0, 0).viewers
    };
    let table = [(1, 0, 5, 5), (1, 1, 2, 7), (2, 0, 1, 8), (1, 0, 4, 7), (1, 1, 0, 5), (1, 1, 0, 5)];
    for (row, (worker, shard, count, expected)) in table.into_iter().enumerate() {
        assert_eq!(tell(worker, shard, count), expected, "row {row}");
    }
}

fn retiring_worker(broker: &BrokerHandle) {
    let probe = Probe::new(broker);
    let record =
        |id| WorkerRecord { id: WorkerId(id), host: format!("http://{id}"), connections: 3, draining: false };
    probe.open("e_a");
    for id in [1, 2] {
        probe.ask(Operation::Heartbeat(record(id)));
        probe.ask(join(if id == 1 { "ada" } else { "bob" }, id, 1));
        probe.ask(Operation::Viewers { worker: WorkerId(id), shard: 0, counts: vec![(room(), 10)] });
    }
    probe.ask(Operation::Heartbeat(WorkerRecord { draining: true, ..record(2) }));
    probe.ask(Operation::Retire(WorkerId(1)));
    match probe.ask(Operation::Workers) {
        Answer::Workers(workers) => assert_eq!(workers, [WorkerRecord { draining: true, ..record(2) }]),
        other => panic!("{other:?}"),
    }
    let stats = probe.stats(0, 10);
    assert_eq!((stats.viewers, stats.members), (10, 1));
    assert_eq!(stats.serving, [(WorkerId(2), 10)]);
    assert_eq!(memberships(&probe.publications()), ["ada join", "bob join", "ada leave"]);
}

fn claims_are_granted_once(broker: &BrokerHandle) {
    let probe = Probe::new(broker);
    let claim =
        |id: &str, until| match probe.ask(Operation::Claim { id: TokenId::new(id).expect("an id"), until }) {
            Answer::Was(granted) => granted,
            other => panic!("{other:?}"),
        };
    let table =
        [("a", FAR, true), ("a", FAR, false), ("b", FAR, true), ("c", UnixMillis(1), true), ("c", FAR, true)];
    for (row, (id, until, granted)) in table.into_iter().enumerate() {
        assert_eq!(claim(id, until), granted, "row {row}");
    }
}

fn odd_names(broker: &BrokerHandle) {
    let probe = Probe::new(broker);
    for name in ["__proto__", "constructor", "a:b", "a", "m_", "Zürich"] {
        probe.open(name);
        assert_eq!(probe.publish(name, "x").offset, Offset(1), "{name}");
    }
    assert_eq!(probe.publications().len(), 6);
    // A joined key "a:b" + "c" and "a" + "b:c" must not be the same ban.
    let ban_in = |room: &str, name: &str| Operation::Ban {
        room: RoomName::new(room).expect("a room's name"),
        name: user(name),
        until: None,
        id: MessageId::from_random(1),
    };
    probe.ask(ban_in("a:b", "c"));
    assert!(matches!(probe.ask(publish("m_a", Some("b:c"), None, "x")), Answer::Published { .. }));
}
