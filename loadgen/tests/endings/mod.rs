//! How a run of the load generator ends and what it says then: its exit status, and that nothing of
//! it stays behind. The server is the faulty one, since it knows who is connected.

use rustix::process::{Signal, kill_process};

use crate::faulty_server::{Fault, Server};
use crate::program::{Ended, Program};
use crate::{figures, run, start};

const DROP: Fault = Fault::Drop { every: 10, run: 1 };

/// The exit status, and something said about it that names what it is about.
fn check(what: &str, ended: &Ended, status: i32, said: &str) {
    let Ended { status: seen, out, err, .. } = ended;
    assert_eq!(*seen, Some(status), "{what}: exit status\n{out}\n{err}");
    assert!(err.to_lowercase().contains(said), "{what}: not a word of {said:?}\n{err}");
    assert!(!err.contains("panicked"), "{what}: {err}");
}

#[test]
fn a_crossed_limit_is_status_3() {
    let stall = Fault::Stall { message: 50, length: std::time::Duration::from_millis(300) };
    for (faults, limits, status, named) in [
        (&[][..], "lost>0", 0, ""),
        (&[DROP][..], "lost>0", 3, "lost"),
        (&[DROP][..], "lost>100000", 0, ""),
        (&[DROP][..], "lost>100000,duplicated>0,lost>1", 3, "lost"),
        (&[stall][..], "p99>200ms,lost>0", 3, "p99"),
    ] {
        let (ended, record) = run(faults, &format!("--fail-if {limits}"));
        check(limits, &ended, status, named);
        let report = ended.report.unwrap_or_else(|| panic!("{limits}: a report all the same"));
        assert_eq!(report.deliveries.lost, record.truth().lost, "{limits}");
    }
}

#[test]
fn wrong_usage_is_status_2_and_touches_no_server() {
    let server = Server::start(&[]);
    for (arguments, named) in [
        ("--no-such-flag", "--no-such-flag"),
        ("nonsense", "nonsense"),
        ("--size 63", "size"),
        ("--size many", "size"),
        ("--rate 0", "rate"),
        ("--rate @p99", "rate"),
        ("--duration 10", "duration"),
        ("--clients", "clients"),
        ("--clients -5", "-5"),
        ("--channels 0", "channels"),
        ("--protocol carrier-pigeon", "carrier-pigeon"),
        ("--fail-if lost=0", "fail-if"),
        ("--fail-if nonsense>0", "nonsense"),
    ] {
        let first = if arguments == "nonsense" { "" } else { "fanout" };
        let given = |name: &str| arguments.contains(name);
        let protocol = if given("--protocol") { "" } else { "--protocol plain" };
        let ended = Program::start(&format!("{first} {arguments} --url {} {protocol}", server.url())).end();
        check(arguments, &ended, 2, named);
        assert!(ended.report.is_none(), "{arguments}: a report of nothing");
    }
    assert!(server.stop().members.is_empty(), "wrong usage should not have come as far as the server");
}

#[test]
fn nobody_to_talk_to_is_status_1() {
    // Bound and never listening: nobody else can have the port meanwhile, and whoever connects is refused.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    let port = socket.local_addr().expect("an address").as_socket().expect("IPv4").port();
    let ended = start(&format!("ws://127.0.0.1:{port}/{{channel}}"), "--clients 3").end();
    check("nobody listens", &ended, 1, &port.to_string());
    assert!(ended.err.to_lowercase().contains("refused"), "why: {}", ended.err);
    assert!(ended.err.lines().count() <= 3, "a clear line: {}", ended.err);
}

#[test]
fn a_server_that_lets_nobody_in_is_status_1() {
    let (ended, record) = run(&[Fault::Refuse { from: 0, handshakes: u64::MAX }], "--clients 3");
    check("all refused", &ended, 1, "503");
    if let Some(report) = ended.report {
        assert_eq!((report.clients.connected, report.clients.failed_tries), (0, record.refused));
    }
}

#[test]
fn control_c_ends_with_a_report() {
    for (arguments, faults) in [("", &[][..]), ("--processes 2 --channels 2", &[DROP][..])] {
        let server = Server::start(faults);
        let program = start(&server.url(), &format!("{arguments} --duration 60s"));
        server.wait_until("some messages", |progress| progress.messages >= 30);
        program.signal(Signal::INT);
        let ended = program.end();
        let truth = server.finish().truth();
        let report = ended.report(arguments, 130);
        assert!(report.verdict.interrupted, "{arguments}: {:?}", report.verdict);
        for (what, expected, seen) in figures(&report, &truth) {
            // Ended before its time is not what was asked for: what was due by then is all that was.
            if what != "interrupted" {
                assert_eq!(seen, expected, "{arguments}: {what}");
            }
        }
        assert_eq!(report.messages.sent, truth.published, "{arguments}");
        let counts = (report.deliveries.expected, report.deliveries.received);
        assert_eq!(counts, (truth.expected, truth.received), "{arguments}");
        assert!(report.measured_s < 50.0, "{arguments}: {}", report.measured_s);
    }
}

#[test]
fn control_c_while_clients_are_let_in_ends_the_run() {
    let server = Server::start(&[]);
    let program = start(&server.url(), "--clients 200 --connect-rate 5");
    server.wait_until("a few clients", |progress| progress.joined >= 3);
    program.signal(Signal::INT);
    let ended = program.end();
    check("while connecting", &ended, 130, "");
    assert!(server.finish().members.len() < 200);
}

#[test]
fn a_killed_process_of_the_generator_ends_the_run() {
    let server = Server::start(&[]);
    let program = start(&server.url(), "--processes 2 --duration 60s");
    server.wait_until("some messages", |progress| progress.messages >= 30);
    let children = program.children();
    assert_eq!(children.len(), 2, "the processes of the generator");
    kill_process(children[1], Signal::KILL).expect("it lives");
    let ended = program.end();
    check("a killed child", &ended, 1, "process");
    // That all connections end shows that the other one has ended, too.
    server.finish();
}

#[test]
fn a_killed_leader_leaves_no_process_behind() {
    let server = Server::start(&[]);
    let program = start(&server.url(), "--processes 2 --duration 60s");
    server.wait_until("some messages", |progress| progress.messages >= 30);
    program.signal(Signal::KILL);
    assert_eq!(program.end().status, None);
    server.finish();
}
