//! `fairness` against the faulty server: the latency told is that of the bystanders alone, a server
//! that starves them is found out, and whoever is owed messages is checked, whichever room it is in.

use std::time::Duration;

use chatup_loadgen::report::Report;

use crate::faulty_server::{Fault, Record, Server};
use crate::program::{Ended, Program, count_from, histogram};

/// Four rooms of five bystanders (c0 to c3), a huge room of seven (c4), a flooded one of five (c5).
/// Without a warm-up, so that all that the server saw in a part was also measured in it.
const RUN: &str = "fairness --quiet --protocol plain --clients 32 --crowd-share 37.5% --channels 4 --rate 40 \
                   --crowd-rate 10 --flood-rate 200 --handshakes 30 --duration 1s --warmup 0s --drain 3s";
/// Messages of the bystanders in a part, and who hears each.
const MESSAGES: u64 = 40;
const BYSTANDERS_A_ROOM: u64 = 5;
/// What the crowd and the listeners of the flood hear in all.
const CROWD: u64 = 10 * 7;
const FLOOD: u64 = 200 * FLOOD_CLIENTS as u64;
const FLOOD_CLIENTS: usize = 5;
/// Parts in which something else happens.
const LOADED_PARTS: u64 = 3;

fn run(faults: &[Fault]) -> (Ended, Record) {
    let server = Server::start(faults);
    let ended = Program::start(&format!("{RUN} --url {}", server.url())).end();
    (ended, server.finish())
}

fn figure(report: &Report, name: &str) -> f64 {
    *report.figures.get(name).unwrap_or_else(|| panic!("no {name}: {:?}", report.figures))
}

/// Deliveries that the record knows were missed, of those who stay: whoever passes by comes after them.
fn lost(record: &Record) -> u64 {
    let missed = |channel: &crate::faulty_server::Channel| {
        let silent = channel.members.iter().filter(|place| !record.members[**place].spoke);
        let stay = silent.take(if channel.path.ends_with("/c5") { FLOOD_CLIENTS } else { usize::MAX });
        let missed = stay.map(|place| (channel.said.len() - record.members[*place].handed.len()) as u64);
        missed.sum::<u64>()
    };
    record.channels.iter().map(missed).sum()
}

/// What holds of every run of these, however late its server was.
fn check(what: &str, report: &Report, record: &Record) {
    let (all, deliveries) = (LOADED_PARTS * MESSAGES * BYSTANDERS_A_ROOM, &report.deliveries);
    assert_eq!(report.clients.connected, 32, "{what}: {:?}", report.clients);
    // A publisher for each room of bystanders and for the huge one, eight for the flood.
    assert_eq!(report.clients.publishers, 4 + 1 + 8, "{what}");
    assert_eq!(deliveries.expected, all + CROWD + FLOOD, "{what}: of all in the three parts");
    assert_eq!(deliveries.lost, lost(record), "{what}: of all in all parts");
    for fault in [deliveries.duplicated, deliveries.reordered, deliveries.order_conflicts] {
        assert_eq!(fault, 0, "{what}: {deliveries:?}");
    }
    let latencies = report.latency.count + report.times["crowd"].count + report.times["flood"].count;
    assert_eq!(latencies, deliveries.received, "{what}: each delivery is timed once");
    assert_eq!(histogram(&report.latency).len(), report.latency.count, "{what}");
    for part in ["crowd", "flood", "handshakes"] {
        let ratio = figure(report, &format!("p99_{part}_us")) / figure(report, "p99_quiet_us");
        let told = figure(report, &format!("p99_{part}_ratio"));
        assert!((ratio - told).abs() < 1e-9, "{what}: {part}: {told}, but it is {ratio}");
    }
    let connects = figure(report, "connects_total");
    assert!(connects > 0.0 && connects <= figure(report, "connects_due_total"), "{what}: {connects}");
    // Two processes at least: what is a burden to the bystanders is not held by theirs.
    assert!(report.generator.processes >= 2, "{what}");
}

#[test]
fn the_latency_is_the_bystanders() {
    let (ended, record) = run(&[]);
    let report = ended.report("no fault", 0);
    check("no fault", &report, &record);
    assert_eq!(report.latency.count, LOADED_PARTS * MESSAGES * BYSTANDERS_A_ROOM);
    assert_eq!((report.times["crowd"].count, report.times["flood"].count), (CROWD, FLOOD));
    assert_eq!(report.deliveries.lost, 0);
}

#[test]
fn bystanders_that_starve_are_seen() {
    const LATE_NS: u64 = 200_000_000;
    let starve = Fault::Starve { for_channel: "c4", by: Duration::from_nanos(LATE_NS) };
    let (ended, record) = run(&[starve]);
    let report = ended.report("starved", 0);
    check("starved", &report, &record);
    assert_eq!(report.deliveries.lost, 0);
    // What the server read after the crowd's first message it handed on late: that is seen.
    let channel = |name: &str| {
        let found = record.channels.iter().find(|channel| channel.path.ends_with(name));
        found.unwrap_or_else(|| panic!("no {name}"))
    };
    let first_ns = channel("/c4").said[0].read_ns;
    let mut known = 0;
    for bystanders in ["/c0", "/c1", "/c2", "/c3"].map(channel) {
        let after = bystanders.said.iter().filter(|said| said.read_ns > first_ns).count() as u64;
        known += after * BYSTANDERS_A_ROOM;
    }
    let parts_after = (LOADED_PARTS - 1) * MESSAGES * BYSTANDERS_A_ROOM;
    assert!(known >= parts_after, "the crowd spoke in the second part: {known}");
    let seen = count_from(&histogram(&report.latency), LATE_NS / 1_000);
    assert!(seen >= known, "{seen} were late, the server knows of {known}");
    // These parts begin when everything of the crowd's has been said: all of their messages are late.
    for part in ["flood", "handshakes"] {
        for name in [format!("p50_{part}_us"), format!("p99_{part}_us")] {
            let us = figure(&report, &name);
            assert!(us >= 200_000.0, "{name}: {us}");
        }
    }
}

#[test]
fn losses_count_wherever_they_are() {
    let (ended, record) = run(&[Fault::Drop { every: 7, run: 1 }]);
    let report = ended.report("drop", 0);
    check("drop", &report, &record);
    for name in ["/c0", "/c4", "/c5"] {
        let channel = record.channels.iter().find(|channel| channel.path.ends_with(name)).expect("a channel");
        let dropped = |place: &usize| record.members[*place].handed.len() < channel.said.len();
        assert!(channel.members.iter().any(dropped), "{name}: nothing was dropped");
    }
    assert!(report.deliveries.lost > 0);
}
