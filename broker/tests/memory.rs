//! The memory broker passes what every broker must pass, and waits for a full inbox on its own
//! thread alone.

use chatup_broker::store::StoreSettings;
use chatup_broker::{BrokerHandle, Inbox, conformance, memory};
use chatup_core::exchange::{Answer, Event, Operation, Publish, Ticket};
use chatup_core::names::ChannelName;
use chatup_core::position::MessageId;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

fn start() -> BrokerHandle {
    let settings = StoreSettings { messages_max: 1_000, expire_ms: 60_000, announced_members_max: 100 };
    memory::start(settings).expect("a thread").0
}

#[test]
fn the_memory_broker_conforms() {
    conformance::check(start);
}

/// An inbox with room for so many events.
struct Small(Sender<Event>);

impl Inbox for Small {
    fn deliver(&self, event: Event) -> bool {
        self.0.send(event).is_ok()
    }

    fn offer(&self, event: Event) -> Result<bool, Event> {
        match self.0.try_send(event) {
            Ok(()) => Ok(true),
            Err(TrySendError::Full(event)) => Err(event),
            Err(TrySendError::Disconnected(_)) => Ok(false),
        }
    }
}

fn channel() -> ChannelName {
    ChannelName::new("m_a").expect("a name")
}

fn publish(number: u64) -> Operation {
    let id = MessageId(number.into());
    Operation::Publish(Publish { channel: channel(), sender: None, key: None, id, payload: [b'0'].into() })
}

/// The offsets of all publications up to the one numbered `last`.
fn read_until(events: &Receiver<Event>, last: u64) -> Vec<u64> {
    let mut offsets = Vec::new();
    while offsets.last() != Some(&last) {
        if let Event::Published(publication) = events.recv().expect("the broker runs") {
            offsets.push(publication.offset.0);
        }
    }
    offsets
}

#[test]
fn who_asks_never_waits_for_a_full_inbox_and_nothing_is_lost() {
    const MESSAGES: u64 = 1_000;
    let broker = start();
    let (full, slow) = bounded(1);
    let slow_client = broker.connect(Box::new(Small(full))).expect("it runs");
    slow_client.ask(Ticket(1), Operation::Open(channel())).expect("there is room");
    let (inbox, answers) = bounded(usize::try_from(MESSAGES).expect("small"));
    let asker = broker.connect(Box::new(Small(inbox))).expect("it runs");
    // Returns although the other's inbox has been full since the second.
    for number in 1..=MESSAGES {
        asker.ask(Ticket(number.into()), publish(number)).expect("there is room");
    }
    assert_eq!(read_until(&slow, MESSAGES), (1..=MESSAGES).collect::<Vec<_>>());
    for number in 1..=MESSAGES {
        match answers.recv().expect("the broker runs") {
            Event::Answer(Ticket(ticket), Answer::Published { position, .. }) => {
                assert_eq!((ticket, position.offset.0), (number.into(), number));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_client_that_is_gone_holds_nobody_up() {
    let broker = start();
    let (full, slow) = bounded(1);
    let gone = broker.connect(Box::new(Small(full))).expect("it runs");
    gone.ask(Ticket(1), Operation::Open(channel())).expect("there is room");
    let (inbox, answers) = bounded(8);
    let asker = broker.connect(Box::new(Small(inbox))).expect("it runs");
    asker.ask(Ticket(1), publish(1)).expect("there is room");
    asker.ask(Ticket(2), publish(2)).expect("there is room");
    drop(slow);
    let tickets = [answers.recv(), answers.recv()].map(|event| match event.expect("the broker runs") {
        Event::Answer(ticket, Answer::Published { .. }) => ticket,
        other => panic!("{other:?}"),
    });
    assert_eq!(tickets, [Ticket(1), Ticket(2)]);
}

#[test]
fn a_stopped_broker_takes_nothing_and_lets_go_of_its_inboxes() {
    let settings = StoreSettings { messages_max: 1, expire_ms: 60_000, announced_members_max: 100 };
    let (broker, thread) = memory::start(settings).expect("a thread");
    let (inbox, events) = bounded(8);
    let client = broker.connect(Box::new(Small(inbox))).expect("it runs");
    broker.stop();
    thread.join().expect("it ends in order");
    assert!(events.recv().is_err(), "nobody will answer");
    assert!(client.ask(Ticket(1), publish(1)).is_err());
    assert!(broker.connect(Box::new(Small(bounded(1).0))).is_err());
}
