//! Reports to test with: what a good run, a search and a bad run look like.

use std::collections::BTreeMap;

use chatup_loadgen::report::model::{
    Clients, Deliveries, Distribution, FORMAT, Generator, Machine, Messages, Moment, ServerProcess, Step,
    Verdict,
};
use chatup_loadgen::report::{Report, new_histogram};

/// A distribution of so many values around a median, with a long tail and a pause in its end.
pub(crate) fn distribution(count: u32, median_us: f64) -> Distribution {
    let mut histogram = new_histogram();
    for index in 0..count {
        let quantile = (f64::from(index) + 0.5) / f64::from(count);
        let pause = if quantile > 0.9993 { 2.5 } else { 1.0 };
        let us = median_us * (quantile / (1.0 - quantile)).powf(0.28) * pause;
        histogram.saturating_record(format!("{us:.0}").parse().expect("a number"));
    }
    Distribution::of(&histogram)
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn moments(clients: u64, received: u64) -> Vec<Moment> {
    let moment = |index: u64| {
        let wave = (index * 37 % 11) * 90;
        let pause = if (28..30).contains(&index) { 6 } else { 1 };
        Moment {
            at_s: 0.5 * (index + 1) as f64,
            length_s: 0.5,
            warmup: index < 6,
            connected: if index >= 40 { clients - 12 } else { clients },
            sent: 50,
            received: received / 60 - wave * 30 * pause,
            p50_us: 2_900 + wave / 2,
            p99_us: (9_300 + wave * 4) * pause,
            max_us: (31_000 + wave * 25) * pause,
        }
    };
    (0..66).map(moment).collect()
}

/// A run without a fault.
pub(crate) fn good() -> Report {
    let received = 30_000_000;
    Report {
        format: FORMAT,
        tool: "chatup-loadgen 0.1.0".into(),
        started: "2026-05-12T10:22:31Z".into(),
        scenario: "fanout".into(),
        settings: texts(&[
            ("clients", "10k"),
            ("channels", "1"),
            ("rate", "100"),
            ("size", "120"),
            ("duration", "30s"),
            ("warmup", "3s"),
            ("worker", "ws://127.0.0.1:8081"),
        ]),
        machines: vec![Machine {
            host: "host-a".into(),
            processor: "AMD EPYC 7B13".into(),
            cores: 8,
            memory_bytes: 33_600_000_000,
            kernel: "6.1.0-18-amd64".into(),
        }],
        measured_s: 30.0,
        verdict: Verdict::default(),
        clients: Clients {
            asked: 10_000,
            connected: 10_000,
            publishers: 1,
            failed_tries: 0,
            disconnected: 0,
            faults: BTreeMap::new(),
            connect_s: 4.21,
        },
        messages: Messages { due: 3_000, sent: 3_000, acknowledged: 3_000, ..Messages::default() },
        deliveries: Deliveries {
            expected: received,
            received,
            arrived: received,
            per_s: 1_000_000.0,
            bytes: 5_100_000_000,
            ..Deliveries::default()
        },
        latency: distribution(120_000, 3_100.0),
        times: BTreeMap::from([
            ("connect".to_owned(), distribution(10_000, 21_000.0)),
            ("acknowledged".to_owned(), distribution(3_000, 900.0)),
            ("lateness".to_owned(), distribution(3_000, 45.0)),
        ]),
        timeline: moments(10_000, received),
        server: vec![
            ServerProcess {
                pid: 4_711,
                name: "chatup worker".into(),
                cpu_s: 23.9,
                resident_before_bytes: 14_300_000,
                resident_connected_bytes: 61_000_000,
                resident_end_bytes: 64_500_000,
            },
            ServerProcess {
                pid: 4_712,
                name: "chatup dispatcher".into(),
                cpu_s: 0.2,
                resident_before_bytes: 9_100_000,
                resident_connected_bytes: 9_800_000,
                resident_end_bytes: 9_800_000,
            },
        ],
        generator: Generator { processes: 4, cpu_s: 61.2, busy_max: 0.512, run_queue_wait_max: 0.002 },
        steps: Vec::new(),
        figures: BTreeMap::from([("messages_total".to_owned(), 3_000.0), ("spread_ms".to_owned(), 6.25)]),
        notes: Vec::new(),
    }
}

/// A search for the highest rate.
pub(crate) fn search() -> Report {
    let step = |rate: f64, p99_us: u64, held, generator_limited| Step {
        rate,
        held,
        generator_limited,
        p50_us: p99_us / 4,
        p99_us,
        max_us: p99_us * 3,
        deliveries_per_s: rate * 10_000.0,
        lost: if held { 0 } else { 17 },
        server_cpu_us_per_delivery: 0.81,
    };
    let mut report = good();
    report.scenario = "saturate".into();
    report.settings.insert("rate".into(), "@p99=100ms".into());
    report.steps = vec![
        step(50.0, 6_100, true, false),
        step(100.0, 9_400, true, false),
        step(200.0, 21_000, true, false),
        step(400.0, 4_300_000, false, false),
        step(300.0, 310_000, false, true),
        step(250.0, 83_000, true, false),
        step(275.0, 140_000, false, false),
    ];
    report
}

/// Many clients to whom nobody says anything.
pub(crate) fn idle() -> Report {
    let mut report = good();
    report.scenario = "idle".into();
    report.messages = Messages::default();
    report.deliveries = Deliveries::default();
    report.latency = Distribution::default();
    report.times.retain(|name, _| name == "connect");
    for moment in &mut report.timeline {
        *moment = Moment {
            at_s: moment.at_s * 20.0,
            length_s: 10.0,
            connected: moment.connected,
            ..Moment::default()
        };
    }
    report.measured_s = 660.0;
    report
}

/// A run with which all is wrong, told by somebody who means ill.
pub(crate) fn bad() -> Report {
    const ILL: &str = "</td><script>alert(1)</script>\" onload='x' & \u{1b}[2J\u{202e}\n";
    let mut report = good();
    report.tool.push_str(ILL);
    report.started.push_str(ILL);
    report.scenario.push_str(ILL);
    report.settings.insert(ILL.into(), ILL.into());
    let machine = &mut report.machines[0];
    for text in [&mut machine.host, &mut machine.processor, &mut machine.kernel] {
        text.push_str(ILL);
    }
    report.verdict = Verdict {
        invalid: true,
        reasons: vec![
            "A process of the generator used 98 % of a core, so that it was itself the limit.".into(),
            ILL.into(),
        ],
        interrupted: true,
    };
    report.clients.connected = 9_988;
    report.clients.failed_tries = 40;
    report.clients.disconnected = 12;
    report.clients.faults = BTreeMap::from([("connection reset".into(), 31), (ILL.into(), 9)]);
    report.messages.refused = BTreeMap::from([("overloaded".into(), 2), (ILL.into(), 1)]);
    report.messages.unsent = 4;
    report.messages.late = 190;
    report.deliveries.lost = 3;
    report.deliveries.received -= 3;
    report.deliveries.duplicated = 1;
    report.deliveries.gaps_told = 2;
    report.times.insert(ILL.into(), distribution(100, 50.0));
    report.server[0].name.push_str(ILL);
    report.figures.insert(ILL.into(), f64::NAN);
    report.notes = vec!["Percentiles over time are the highest of any run.".into(), ILL.into()];
    report.steps = search().steps;
    report
}

/// A report of a run that came to nothing.
pub(crate) fn empty() -> Report {
    Report {
        clients: Clients { asked: 10, ..Clients::default() },
        messages: Messages::default(),
        deliveries: Deliveries::default(),
        latency: Distribution::default(),
        times: BTreeMap::new(),
        timeline: Vec::new(),
        server: Vec::new(),
        settings: BTreeMap::new(),
        machines: Vec::new(),
        generator: Generator::default(),
        figures: BTreeMap::new(),
        measured_s: 0.0,
        ..good()
    }
}
