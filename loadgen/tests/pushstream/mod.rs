//! PushStream's subscribers against a server that does wrong by plan, in each mode: the report must say exactly
//! that. And nothing, where a proxy cuts streams and ends connections as it likes.

mod server;

use std::fs;

use crate::program::Program;
use server::{Fault, Manner, Server, Truth};

const CLIENTS: u64 = 10;
const MESSAGES: u64 = 60;

/// What the report says, and what was true.
fn run(mode: &str, fault: Fault, manner: Manner) -> (Truth, Truth) {
    let server = Server::start(fault, manner);
    let tokens =
        std::env::temp_dir().join(format!("loadgen-tokens-{}-{}", std::process::id(), server.address.port()));
    fs::write(&tokens, "token").expect("a file");
    let arguments = format!(
        "fanout --quiet --protocol pushstream-{mode} --worker http://{} --tokens {} --clients {CLIENTS} --rate 100 \
         --duration 600ms --warmup 0s --drain 3s --poll-interval 100ms",
        server.address,
        tokens.display()
    );
    let report = Program::start(&arguments).end().report(&arguments, 0);
    let _ = fs::remove_file(&tokens);
    let deliveries = &report.deliveries;
    let seen = Truth {
        subscribers: report.clients.connected,
        published: report.messages.acknowledged,
        lost: deliveries.lost,
        duplicated: deliveries.duplicated,
        reordered: deliveries.reordered,
    };
    let what = format!("{mode}, {fault:?}, {manner:?}");
    assert_eq!(deliveries.expected, CLIENTS * MESSAGES, "{what}");
    assert_eq!(deliveries.received, deliveries.expected - deliveries.lost, "{what}");
    assert_eq!(report.clients.disconnected, 0, "{what}: {:?}", report.clients.faults);
    (seen, server.finish())
}

#[test]
fn the_report_says_what_a_pushstream_server_did() {
    let usual = Manner::default();
    let cuts = Manner { cuts: true, ..usual };
    let hangs_up = Manner { hangs_up: true, ..usual };
    let gathers = Manner { gathers: 4, ..usual };
    std::thread::scope(|scope| {
        for (mode, manner) in [
            ("websocket", None),
            ("eventsource", Some(cuts)),
            ("streaming", Some(cuts)),
            ("long-polling", Some(hangs_up)),
            ("polling", Some(hangs_up)),
            ("jsonp", Some(hangs_up)),
        ] {
            scope.spawn(move || {
                for fault in [Fault::None, Fault::Drop(7), Fault::Double(6), Fault::Reorder(9)] {
                    check(mode, fault, usual);
                }
            });
            scope.spawn(move || {
                for manner in std::iter::once(gathers).chain(manner) {
                    check(mode, Fault::None, manner);
                    check(mode, Fault::Drop(7), manner);
                }
            });
        }
    });
}

fn check(mode: &str, fault: Fault, manner: Manner) {
    let what = format!("{mode}, {fault:?}, {manner:?}");
    let (seen, truth) = run(mode, fault, manner);
    assert_eq!(seen, truth, "{what}");
    assert_eq!((truth.subscribers, truth.published), (CLIENTS, MESSAGES), "{what}");
    let made = (truth.lost > 0, truth.duplicated > 0, truth.reordered > 0);
    let planned = match fault {
        Fault::None => (false, false, false),
        Fault::Drop(_) => (true, false, false),
        Fault::Double(_) => (false, true, false),
        // The last one may wait for one that never comes.
        Fault::Reorder(_) => (made.0, false, true),
    };
    assert_eq!(made, planned, "{what}: the row proves nothing");
}
