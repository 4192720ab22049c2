//! Reports of several hosts become one: what is added, what is not, and what is refused.

#[path = "data/example.rs"]
mod example;

use std::sync::LazyLock;

use chatup_loadgen::report::model::{Distribution, Moment, Verdict};
use chatup_loadgen::report::{Report, merge, new_histogram, record};
use proptest::prelude::*;
use serde_json::json;

/// One more run of the same scenario, by another host.
fn other_host() -> Report {
    let mut other = example::good();
    other.machines[0].host = "host-b".into();
    other
}

#[test]
fn reports_of_several_hosts_become_one() {
    let mut other = other_host();
    other.started = "2026-05-12T10:22:29.5Z".into();
    other.measured_s = 31.0;
    other.verdict = Verdict { invalid: true, reasons: vec!["Too slow.".into()], interrupted: true };
    other.clients.faults.insert("reset".into(), 2);
    other.messages.refused.insert("overloaded".into(), 3);
    other.generator.busy_max = 0.9;
    other.settings.insert("clients".into(), "5k".into());
    other.figures.insert("spread_ms".into(), 8.0);
    other.timeline.truncate(10);
    other.server.truncate(1);
    let merged = merge(vec![example::good(), other.clone()]).expect("they fit");
    let good = example::good();
    let found = json!([
        merged.started,
        merged.measured_s,
        merged.machines.len(),
        merged.verdict,
        merged.clients.connected,
        merged.clients.faults,
        merged.messages.refused,
        merged.deliveries.received,
        merged.deliveries.per_s,
        merged.latency.count,
        merged.times["connect"].count,
        merged.server.len(),
        merged.generator.processes,
        merged.generator.busy_max,
        merged.settings["clients"],
        merged.figures,
        merged.timeline.len(),
        merged.timeline[9].received,
        merged.timeline[10].received,
        merged.timeline[9].connected,
        merged.steps.len(),
    ]);
    let expected = json!([
        other.started, 31.0, 2, {"invalid": true, "reasons": ["host-b: Too slow."], "interrupted": true}, 20_000,
        {"reset": 2}, {"overloaded": 3}, 60_000_000, 2_000_000.0,
        240_000, 20_000, 3, 8,
        0.9, "10k | 5k", {"messages_total": 6_000.0, "spread_ms": 8.0}, 66,
        2 * good.timeline[9].received, good.timeline[10].received, 20_000, 0,
    ]);
    assert_eq!(found, expected);
    for part in
        ["Percentiles over time", "spread_ms differs", "asked for different things: clients", "1.50 s apart"]
    {
        assert!(merged.notes.iter().any(|note| note.contains(part)), "{part:?} is not in {:?}", merged.notes);
    }
}

#[test]
fn one_invalid_run_makes_all_invalid() {
    let bad = Report { scenario: "fanout".into(), ..example::bad() };
    let merged = merge(vec![example::good(), bad]).expect("they fit");
    assert!(merged.verdict.invalid && merged.verdict.interrupted);
    assert!(merged.verdict.reasons[0].starts_with("host-a"), "{:?}", merged.verdict.reasons);
    assert_eq!(merged.deliveries.lost, 3);
}

#[test]
fn a_single_report_stays_as_it_is() {
    for report in [example::good(), example::search(), example::idle(), example::empty()] {
        assert_eq!(merge(vec![report.clone()]).expect("one is enough"), report);
    }
}

#[test]
fn steps_stay_where_one_report_has_them_and_apart_runs_are_told() {
    let mut unrelated = other_host();
    unrelated.scenario = "saturate".into();
    let merged = merge(vec![unrelated.clone(), example::search()]).expect("they fit");
    assert_eq!(merged.steps.len(), 7);
    let merged = merge(vec![example::search(), example::search()]).expect("they fit");
    assert!(
        merged.steps.is_empty() && merged.notes.iter().any(|note| note.contains("steps")),
        "{:?}",
        merged.notes
    );
    // Both watched the same processes on one machine: their time counts once.
    assert_eq!(merged.server, example::search().server);
    unrelated.started = "2026-05-12T11:00:00Z".into();
    let verdict = merge(vec![example::search(), unrelated]).expect("they fit").verdict;
    assert!(verdict.invalid && verdict.reasons[0].contains("not made at the same time"), "{verdict:?}");
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let with = |change: fn(&mut Report)| {
        let mut other = other_host();
        change(&mut other);
        vec![example::good(), other]
    };
    let rows = [
        (Vec::new(), "no report to merge"),
        (
            with(|other| other.scenario = "idle".into()),
            "report 2 is of the scenario idle, and the first of fanout",
        ),
        (with(|other| other.format = 2), "report 2 is of format 2, and this program merges format 1"),
        (with(|other| other.latency.histogram = "?".into()), "report 2: the histogram of latency is broken"),
        (with(|other| other.latency.count += 1), "120000 values, and `count` says 120001"),
        (
            with(|other| other.times.get_mut("connect").expect("it is there").histogram.clear()),
            "report 2: the histogram of connect is broken",
        ),
    ];
    for (reports, part) in rows {
        let error = merge(reports).expect_err(part).to_string();
        assert!(error.contains(part), "{error:?} does not say {part:?}");
    }
}

/// A report to put something into: made once, for it takes a while.
static EMPTY: LazyLock<Report> = LazyLock::new(example::empty);

proptest! {
    #[test]
    fn a_split_histogram_merges_into_the_whole(times in prop::collection::vec((0_u64..5_000_000_000, 0_usize..4), 0..200)) {
        let mut whole = new_histogram();
        let mut parts = vec![new_histogram(); 4];
        for (time, part) in times {
            record(&mut whole, time);
            record(&mut parts[part], time);
        }
        let reports = parts.iter().map(|part| Report { latency: Distribution::of(part), ..EMPTY.clone() });
        prop_assert_eq!(merge(reports.collect()).expect("they fit").latency, Distribution::of(&whole));
    }

    #[test]
    fn merged_timelines_lose_no_count(lengths in prop::collection::vec(prop::collection::vec(0.1_f64..3.0, 0..20), 1..4)) {
        let reports: Vec<Report> = lengths.iter().map(|lengths| {
            let moments = lengths.iter().scan(0.0, |at_s, &length_s| {
                *at_s += length_s;
                Some(Moment { at_s: *at_s, length_s, received: 1, sent: 2, connected: 5, ..Moment::default() })
            });
            Report { timeline: moments.collect(), ..EMPTY.clone() }
        }).collect();
        let hosts = reports.len() as u64;
        let merged = merge(reports).expect("they fit").timeline;
        let moments = lengths.iter().map(Vec::len).sum::<usize>() as u64;
        prop_assert_eq!(merged.iter().map(|moment| moment.received).sum::<u64>(), moments);
        prop_assert_eq!(merged.iter().map(|moment| moment.sent).sum::<u64>(), 2 * moments);
        prop_assert!(merged.iter().all(|moment| moment.connected <= 5 * hosts));
    }
}
