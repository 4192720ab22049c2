//! The faulty server checked with a plain client and figures worked out by hand: it does what its
//! plan says, and its record says what it did.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use tungstenite::{Error, Message, WebSocket};

use super::{Fault, PATIENCE, Record, Server, Truth};

const MESSAGES: u64 = 12;

type Client = WebSocket<TcpStream>;

fn try_connect(server: &Server, channel: &str) -> Result<Client, Error> {
    let stream = TcpStream::connect(server.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket's mode");
    let url = server.url().replace("{channel}", channel);
    tungstenite::client(url, stream).map(|(client, _)| client).map_err(|error| match error {
        tungstenite::HandshakeError::Failure(error) => error,
        interrupted => panic!("{interrupted}"),
    })
}

fn connect(server: &Server, channel: &str) -> Client {
    try_connect(server, channel).expect("it lets us in")
}

fn say(client: &mut Client, text: &str) {
    client.send(Message::text(text)).expect("it is sent");
}

fn read(client: &mut Client) -> String {
    client.read().expect("a message").into_text().expect("a text").as_str().to_owned()
}

/// All that comes until the connection ends.
fn read_all(client: &mut Client) -> Vec<String> {
    std::iter::from_fn(|| client.read().ok()).map(|message| message.to_string()).collect()
}

/// What a subscriber got by the record, as the texts of the messages.
fn recorded(record: &Record) -> Vec<Vec<String>> {
    let text = |channel: usize, message: usize| record.channels[channel].said[message].text.to_string();
    let got = record
        .subscribers()
        .map(|member| member.handed.iter().map(|handed| text(member.channel, handed.message)).collect());
    got.collect()
}

/// One publisher says the numbers from 0 to 11, two subscribers listen.
fn check(faults: &[Fault], heard: [&str; 2], expected: Truth) {
    let server = Server::start(faults);
    let mut subscribers = [connect(&server, "c0"), connect(&server, "c0")];
    let mut publisher = connect(&server, "c0");
    for number in 0..MESSAGES {
        say(&mut publisher, &number.to_string());
    }
    server.wait_until("all messages", |progress| progress.messages == MESSAGES);
    let record = server.stop();
    let got: Vec<Vec<String>> = subscribers.iter_mut().map(read_all).collect();
    let heard = heard.map(|heard| heard.split(' ').map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(got, heard, "{faults:?}");
    assert_eq!(recorded(&record), got, "{faults:?}: the record");
    let all =
        Truth { subscribers: 2, publishers: 1, published: MESSAGES, expected: 2 * MESSAGES, ..expected };
    assert_eq!(record.truth(), Truth { received: all.expected - all.lost, ..all }, "{faults:?}: the counts");
}

#[test]
fn faults_are_made_as_planned_and_counted() {
    const ALL: &str = "0 1 2 3 4 5 6 7 8 9 10 11";
    let nothing = Truth::default();
    check(&[], [ALL, ALL], nothing);
    check(
        &[Fault::Drop { every: 4, run: 2 }],
        ["0 1 4 5 8 9", "0 3 4 7 8 11"],
        // The last loss of the first subscriber has nothing after it: no hole.
        Truth { lost: 12, holes: 2 + 3, ..nothing },
    );
    check(&[Fault::DropFrom { message: 8 }], ["0 1 2 3 4 5 6 7", ALL], Truth { lost: 4, ..nothing });
    check(
        &[Fault::DropFirst { messages: 3 }],
        ["3 4 5 6 7 8 9 10 11"; 2],
        Truth { lost: 6, holes: 2, ..nothing },
    );
    check(
        &[Fault::Double { every: 4, later: 0 }],
        ["0 1 2 2 3 4 5 6 6 7 8 9 10 10 11", "0 1 1 2 3 4 5 5 6 7 8 9 9 10 11"],
        Truth { duplicated: 6, ..nothing },
    );
    check(
        &[Fault::Double { every: 6, later: 2 }],
        ["0 1 2 3 4 5 3 6 7 8 9 10 11 9", "0 1 2 3 4 2 5 6 7 8 9 10 8 11"],
        Truth { duplicated: 4, ..nothing },
    );
    check(
        &[Fault::Reorder { every: 6, behind: 1 }],
        ["0 1 3 2 4 5 6 7 9 8 10 11", "0 2 1 3 4 5 6 8 7 9 10 11"],
        Truth { reordered: 4, ..nothing },
    );
    check(
        &[Fault::Reorder { every: 12, behind: 3 }],
        ["0 1 2 3 5 6 7 4 8 9 10 11", "0 1 2 4 5 6 3 7 8 9 10 11"],
        Truth { reordered: 2, ..nothing },
    );
    check(
        // With the first subscriber nothing comes behind which the last message could go.
        &[Fault::Reorder { every: 33, behind: 1 }],
        ["0 1 2 3 4 5 6 7 8 9 10", "0 1 2 3 4 5 6 7 8 9 11 10"],
        Truth { lost: 1, reordered: 1, ..nothing },
    );
    check(
        &[Fault::Cut { messages: 5, subscribers: 1 }],
        ["0 1 2 3 4", ALL],
        Truth { lost: 7, cut: 1, ..nothing },
    );
    check(
        &[
            Fault::Drop { every: 6, run: 1 },
            Fault::Double { every: 6, later: 1 },
            Fault::Reorder { every: 6, behind: 1 },
        ],
        // Of each six: 2 goes after 3, 3 twice (behind 4), 5 not at all; one earlier with the second.
        ["0 1 3 2 4 3 6 7 9 8 10 9", "0 2 1 3 2 5 6 8 7 9 8 11"],
        Truth { lost: 4, duplicated: 4, reordered: 4, holes: 1 + 2, ..nothing },
    );
}

#[test]
fn what_is_drawn_from_a_seed_is_recorded_as_it_was_read() {
    for seed in 1..=5 {
        println!("seed {seed}");
        let server = Server::start(&[Fault::Mixed { seed }]);
        let mut subscribers: Vec<Client> = (0..7).map(|_| connect(&server, "c0")).collect();
        let mut publishers = [connect(&server, "c0"), connect(&server, "c0")];
        for number in 0..200 {
            say(&mut publishers[number % 2], &number.to_string());
        }
        server.wait_until("all messages", |progress| progress.messages == 200);
        let record = server.stop();
        let got: Vec<Vec<String>> = subscribers.iter_mut().map(read_all).collect();
        assert_eq!(recorded(&record), got, "seed {seed}");
        let truth = record.truth();
        // 8 in 100 of 1,400 each: 112, and a spread of 10.
        for count in [truth.lost, truth.duplicated, truth.reordered] {
            assert!((60..170).contains(&count), "seed {seed}: {truth:?}");
        }
        assert_eq!((truth.subscribers, truth.publishers, truth.expected), (7, 2, 1_400), "seed {seed}");
    }
}

#[test]
fn paths_are_apart_and_a_held_message_waits_for_its_own_sender() {
    // The second subscriber of a path is to get its message 1 late.
    let server = Server::start(&[Fault::Reorder { every: 6, behind: 1 }]);
    let mut subscribers = ["c0", "c0", "c1"].map(|channel| connect(&server, channel));
    let mut ada = connect(&server, "c0");
    let mut bob = connect(&server, "c0");
    let mut other = connect(&server, "c1");
    // Whoever says the next one has heard the last one: so the order is sure.
    say(&mut ada, "a0");
    assert_eq!(read(&mut bob), "a0");
    say(&mut ada, "a1");
    assert_eq!(read(&mut bob), "a1");
    say(&mut bob, "b0");
    assert_eq!(read(&mut ada), "b0");
    say(&mut ada, "a2");
    assert_eq!(read(&mut bob), "a2");
    say(&mut other, "o0");
    server.wait_until("all messages", |progress| progress.messages == 5);
    let record = server.stop();
    let got: Vec<Vec<String>> = subscribers.iter_mut().map(read_all).collect();
    assert_eq!(got, [vec!["a0", "a1", "a2"], vec!["a0", "b0", "a2", "a1"], vec!["o0"]]);
    let truth = record.truth();
    // The first one's message 2 (b0) never went: b said no more.
    assert_eq!((truth.expected, truth.lost, truth.holes, truth.reordered), (9, 1, 1, 1));
}

#[test]
fn delay_and_stall_take_their_time() {
    let long = Duration::from_millis(120);
    for (fault, late) in [
        (Fault::Delay { by: long }, [true; 3]),
        (Fault::Stall { message: 1, length: long }, [false, true, true]),
    ] {
        let server = Server::start(&[fault]);
        let (mut subscriber, mut publisher) = (connect(&server, "c0"), connect(&server, "c0"));
        for (number, late) in late.into_iter().enumerate() {
            if number < 2 {
                let said = Instant::now();
                say(&mut publisher, &number.to_string());
                // Said into the stall: it goes out after it all the same.
                if number == 1 {
                    say(&mut publisher, "2");
                }
                assert_eq!(read(&mut subscriber), number.to_string());
                assert!(!late || said.elapsed() >= long, "{fault:?}: {number} came at once");
            } else {
                assert_eq!(read(&mut subscriber), number.to_string());
            }
        }
        drop((subscriber, publisher));
        let record = server.finish();
        assert_eq!(record.truth().lost, 0);
        let handed = &record.members[0].handed;
        for (said, handed) in record.channels[0].said.iter().zip(handed).skip(1).take(1) {
            assert!(handed.after_ns - said.read_ns >= 120_000_000, "{fault:?}: the record");
        }
    }
}

#[test]
fn some_starve_while_one_channel_is_served() {
    let long = Duration::from_millis(120);
    let server = Server::start(&[Fault::Starve { for_channel: "c1", by: long }]);
    let mut subscribers = ["c0", "c1"].map(|channel| connect(&server, channel));
    let mut publishers = ["c0", "c1"].map(|channel| connect(&server, channel));
    // Each is said when the last one was heard: so the order is sure.
    for (number, channel) in [0, 1, 0, 1].into_iter().enumerate() {
        say(&mut publishers[channel], &number.to_string());
        assert_eq!(read(&mut subscribers[channel]), number.to_string());
    }
    drop((subscribers, publishers));
    let record = server.finish();
    let waited_ns = |channel: usize, message: usize| {
        let handed = record.members[channel].handed[message];
        handed.after_ns.saturating_sub(record.channels[channel].said[message].read_ns)
    };
    assert!(waited_ns(0, 1) >= 120_000_000, "the second message of the other one");
    assert_eq!(record.truth().lost, 0);
}

#[test]
fn a_batch_goes_to_one_after_the_other() {
    let server = Server::start(&[Fault::Batches { of: 3 }, Fault::Drop { every: 4, run: 1 }]);
    let mut subscribers = [connect(&server, "c0"), connect(&server, "c0")];
    let mut publisher = connect(&server, "c0");
    for number in 0..7 {
        say(&mut publisher, &number.to_string());
    }
    server.wait_until("all messages", |progress| progress.messages == 7);
    let record = server.stop();
    let got: Vec<Vec<String>> = subscribers.iter_mut().map(read_all).collect();
    assert_eq!(got, [["0", "1", "2", "4", "5"].as_slice(), &["0", "1", "3", "4", "5"]]);
    let [first, second] = [0, 1].map(|place: usize| &record.members[place].handed);
    assert!(first[2].after_ns <= second[0].after_ns, "the first subscriber has all of the first batch first");
    assert!(second[4].after_ns <= first[3].after_ns, "and the second one of the second batch");
    // The last message was not enough for a batch.
    let truth = record.truth();
    assert_eq!((truth.expected, truth.lost, truth.holes), (14, 4, 2));
}

#[test]
fn some_handshakes_are_refused() {
    let server = Server::start(&[Fault::Refuse { from: 1, handshakes: 2 }]);
    let mut first = connect(&server, "c0");
    for _ in 0..2 {
        match try_connect(&server, "c0") {
            Err(Error::Http(response)) => assert_eq!(response.status(), 503),
            other => panic!("{other:?}"),
        }
    }
    let mut subscriber = connect(&server, "c0");
    say(&mut connect(&server, "c0"), "heard");
    assert_eq!([read(&mut first), read(&mut subscriber)], ["heard", "heard"]);
    assert_eq!(server.stop().truth().refused, 2);
}

#[test]
fn hundreds_of_connections_and_thousands_of_messages() {
    const SUBSCRIBERS: usize = 300;
    const MANY: usize = 2_000;
    let server = Server::start(&[]);
    let mut subscribers: Vec<Client> = (0..SUBSCRIBERS).map(|_| connect(&server, "c0")).collect();
    let mut publisher = connect(&server, "c0");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..MANY {
                say(&mut publisher, &number.to_string());
            }
        });
        // One after the other: those not read from meanwhile fill up, and get the rest when they are.
        for subscriber in &mut subscribers {
            for number in 0..MANY {
                assert_eq!(read(subscriber), number.to_string());
            }
        }
    });
    let truth = server.stop().truth();
    assert_eq!((truth.received, truth.lost, truth.duplicated), ((SUBSCRIBERS * MANY) as u64, 0, 0));
}
