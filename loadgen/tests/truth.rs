//! The instrument is checked against the truth: the real program measures a server that does wrong
//! on purpose and knows how much, and must report exactly that. Times are checked by lower bounds
//! alone, which hold however slow the machine is.
//!
//! `LOADGEN_TEST_SEED=n` draws the mixed faults from that seed; `LOADGEN_TEST_ROW=name` runs one row.

mod endings;
mod fairness;
mod faulty_server;
mod program;
mod pushstream;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chatup_loadgen::report::Report;
use chatup_loadgen::report::model::Moment;

use faulty_server::{Fault, Record, Server, Truth};
use program::{Ended, Program, count_from, histogram};

/// What all runs are asked for where they do not say otherwise. Without a warm-up, so that all that
/// the server saw is also what was measured; with time enough to drain that a busy machine loses
/// nothing.
const USUAL: &[(&str, &str)] = &[
    ("--clients", "20"),
    ("--rate", "100"),
    ("--duration", "1s"),
    ("--warmup", "0s"),
    ("--drain", "3s"),
    ("--size", "120"),
    ("--protocol", "plain"),
];
/// Runs at a time. Each of them does little but wait.
const AT_A_TIME: usize = 8;

fn start(url: &str, arguments: &str) -> Program {
    let asked = |name: &str| arguments.split_whitespace().any(|argument| argument == name);
    let usual = USUAL.iter().filter(|(name, _)| !asked(name)).map(|(name, value)| format!(" {name} {value}"));
    Program::start(&format!("fanout --quiet --url {url} {arguments}{}", usual.collect::<String>()))
}

/// A whole run against a server with these faults.
fn run(faults: &[Fault], arguments: &str) -> (Ended, Record) {
    let server = Server::start(faults);
    let ended = start(&server.url(), arguments).end();
    (ended, server.finish())
}

/// The flag's value, as a number.
fn asked(arguments: &str, name: &str) -> f64 {
    let given = arguments.split_whitespace().skip_while(|argument| *argument != name).nth(1);
    let usual = USUAL.iter().find(|(usual, _)| *usual == name).map(|(_, value)| *value);
    let value = given.or(usual).expect("it is given or usual").trim_end_matches('s');
    value
        .strip_suffix('m')
        .map_or_else(|| value.parse(), |ms| ms.parse().map(|ms: f64| ms / 1e3))
        .expect("a number")
}

#[derive(Clone, Copy)]
enum Made {
    Lost,
    Hole,
    Doubled,
    Reordered,
    Cut,
    Refused,
}

/// A run, and of what the server must have made some, so that the row proves something.
struct Row {
    name: &'static str,
    faults: Vec<Fault>,
    arguments: &'static str,
    made: &'static [Made],
    holes_known: bool,
}

impl Row {
    fn new(name: &'static str, arguments: &'static str, made: &'static [Made], faults: &[Fault]) -> Row {
        Row { name, faults: faults.to_vec(), arguments, made, holes_known: true }
    }

    /// Where several publish and messages are held back or come in bursts, nothing tells the
    /// generator which of two publishers' messages came first: whether two losses are neighbours, and
    /// so one hole, only the server knows. All the rest it must know all the same.
    fn holes_unknown(mut self) -> Row {
        self.holes_known = false;
        self
    }
}

fn seed() -> u64 {
    let given = std::env::var("LOADGEN_TEST_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seed = given.unwrap_or_else(|| u64::from(std::process::id()));
    println!("LOADGEN_TEST_SEED={seed}");
    seed
}

fn rows() -> Vec<Row> {
    use Made::{Cut, Doubled, Hole, Lost, Refused, Reordered};
    const MANY: &str = "--channels 3 --publishers 2 --processes 2 --clients 60";
    const ALL: &[Made] = &[Lost, Hole, Doubled, Reordered];
    let row = Row::new;
    let drop = Fault::Drop { every: 10, run: 1 };
    let in_turn = [drop, Fault::Double { every: 7, later: 0 }, Fault::Reorder { every: 9, behind: 1 }];
    let mixed = Fault::Mixed { seed: seed() };
    let stall = |message, ms| Fault::Stall { message, length: Duration::from_millis(ms) };
    let (batches, small_batches) = (Fault::Batches { of: 25 }, Fault::Batches { of: 4 });
    let cut = |messages, subscribers| Fault::Cut { messages, subscribers };
    let refuse = |from, handshakes| Fault::Refuse { from, handshakes };
    vec![
        row("no fault", "", &[], &[]),
        row("no fault, one subscriber", "--clients 1", &[], &[]),
        row("no fault, smallest texts", "--size 64", &[], &[]),
        row("no fault, long texts", "--size 70000 --rate 20", &[], &[]),
        row("no fault, uneven channels", "--clients 10 --channels 4 --publishers 2", &[], &[]),
        row("no fault, many", "--clients 300 --rate 200 --channels 3", &[], &[]),
        row("no fault, two processes", "--processes 2", &[], &[]),
        row("no fault, with a warm-up", "--warmup 500ms", &[], &[]),
        row("no fault, in batches", "--publishers 3", &[], &[batches]),
        row("drop", "", &[Lost, Hole], &[drop]),
        row("drop with a warm-up", "--warmup 500ms", &[Lost, Hole], &[drop]),
        row("drop, one subscriber", "--clients 1", &[Lost, Hole], &[drop]),
        row("drop in a row", "", &[Lost, Hole], &[Fault::Drop { every: 20, run: 7 }]),
        row("drop at the end", "", &[Lost], &[Fault::DropFrom { message: 60 }]),
        row("drop all at the beginning", "", &[Lost, Hole], &[Fault::DropFirst { messages: 5 }]),
        row("drop all", "", &[Lost], &[Fault::DropFirst { messages: u64::MAX }]),
        row("drop, channels", "--channels 3", &[Lost, Hole], &[drop]),
        row("drop, publishers", "--publishers 3", &[Lost, Hole], &[drop]),
        row("drop, processes", "--processes 2", &[Lost, Hole], &[drop]),
        row("drop in batches", "", &[Lost, Hole], &[batches, drop]),
        row("drop in batches, publishers", "--publishers 3", &[Lost, Hole], &[small_batches, drop]),
        row("double", "", &[Doubled], &[Fault::Double { every: 7, later: 0 }]),
        row("double, later", "", &[Doubled], &[Fault::Double { every: 7, later: 3 }]),
        row("reorder", "", &[Reordered], &[Fault::Reorder { every: 9, behind: 1 }]),
        row("reorder, far", "", &[Reordered], &[Fault::Reorder { every: 9, behind: 20 }]),
        row("all, in turn", "", ALL, &in_turn),
        row("mixed", "", ALL, &[mixed]),
        row("mixed, one subscriber", "--clients 1 --duration 2s", ALL, &[mixed]),
        row("mixed in batches", "--duration 2s", ALL, &[batches, mixed]),
        row("mixed in batches, three subscribers", "--clients 3 --duration 2s", ALL, &[batches, mixed]),
        row("mixed in batches, publishers", "--publishers 3 --duration 2s", ALL, &[batches, mixed])
            .holes_unknown(),
        row(
            "mixed in bursts, publishers",
            "--publishers 3 --duration 2s",
            ALL,
            &[mixed, stall(50, 400), stall(120, 300)],
        )
        .holes_unknown(),
        row("mixed, channels, publishers and processes", MANY, ALL, &[mixed]).holes_unknown(),
        row("cut", "", &[Cut, Lost], &[cut(40, 6)]),
        row("cut, processes and channels", "--processes 2 --channels 2", &[Cut, Lost], &[cut(20, 3)]),
        row("cut in batches", "", &[Cut, Lost], &[batches, cut(50, 6)]),
        row("cut all", "--clients 3", &[Cut, Lost], &[cut(20, 3)]),
        row("refuse", "", &[Refused], &[refuse(3, 15)]),
        row("refuse the publisher and drop", "--processes 2", &[Refused, Lost], &[refuse(0, 3), drop]),
    ]
}

#[test]
fn the_report_says_what_the_server_did() {
    let (rows, next) = (rows(), AtomicUsize::new(0));
    let only = std::env::var("LOADGEN_TEST_ROW").ok();
    let check_some = || {
        std::iter::from_fn(|| rows.get(next.fetch_add(1, Ordering::Relaxed)))
            .filter(|row| only.as_ref().is_none_or(|only| only == row.name))
            .flat_map(check)
            .collect::<Vec<_>>()
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(check_some)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a row could not be run")).collect()
    });
    assert!(wrong.is_empty(), "{} figures differ from the truth:\n{}", wrong.len(), wrong.join("\n"));
}

/// What in the report is not as the server did it, a line each.
fn check(row: &Row) -> Vec<String> {
    let (ended, record) = run(&row.faults, row.arguments);
    let truth = record.truth();
    let (Some(0), Some(report)) = (ended.status, &ended.report) else {
        return vec![format!("{}: exit status {:?}: {}", row.name, ended.status, ended.err)];
    };
    let mut wrong = Vec::new();
    for made in row.made {
        let (what, count) = match made {
            Made::Lost => ("lost", truth.lost),
            Made::Hole => ("holes", truth.holes),
            Made::Doubled => ("doubled", truth.duplicated),
            Made::Reordered => ("reordered", truth.reordered),
            Made::Cut => ("cut", truth.cut),
            Made::Refused => ("refused", truth.refused),
        };
        if count == 0 {
            wrong.push(format!("{what}: the server made none, so this row proves nothing"));
        }
    }
    for (what, expected, seen) in
        figures(report, &truth).into_iter().chain(requested(row.arguments, report, &record))
    {
        if expected != seen && (row.holes_known || what != "silent gaps") {
            wrong.push(format!("{what}: {expected}, but reported {seen}"));
        }
    }
    wrong.extend(stamps(row.arguments, &record));
    wrong.into_iter().map(|what| format!("{}: {what}", row.name)).collect()
}

/// Name, truth, and report.
type Figure = (&'static str, u64, u64);

fn figures(report: &Report, truth: &Truth) -> Vec<Figure> {
    let (clients, deliveries) = (&report.clients, &report.deliveries);
    let faults = u64::from(truth.cut + truth.refused > 0);
    let timeline = |figure: fn(&Moment) -> u64| report.timeline.iter().map(figure).sum();
    vec![
        ("connected", truth.subscribers, clients.connected),
        ("publishers", truth.publishers, clients.publishers),
        ("disconnected", truth.cut, clients.disconnected),
        ("failed tries", truth.refused, clients.failed_tries),
        ("whether there are faults", faults, u64::from(!clients.faults.is_empty())),
        ("lost", truth.lost, deliveries.lost),
        ("duplicated", truth.duplicated, deliveries.duplicated),
        ("reordered", truth.reordered, deliveries.reordered),
        ("silent gaps", truth.holes, deliveries.gaps_silent),
        ("gaps told", 0, deliveries.gaps_told),
        ("conflicts of order", 0, deliveries.order_conflicts),
        ("sent, by the timeline", truth.published, timeline(|moment| moment.sent)),
        ("received, by the timeline", truth.received, timeline(|moment| moment.received)),
        ("unsent", 0, report.messages.unsent),
        ("sent, by due", report.messages.due, report.messages.sent),
        ("latencies", deliveries.received, report.latency.count),
        ("latencies in the histogram", report.latency.count, histogram(&report.latency).len()),
        ("interrupted", 0, u64::from(report.verdict.interrupted)),
    ]
}

/// What follows from the arguments.
fn requested(arguments: &str, report: &Report, record: &Record) -> Vec<Figure> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and whole")]
    let whole = |value: f64| value.round() as u64;
    let clients = whole(asked(arguments, "--clients"));
    let measured = record.measured(whole(asked(arguments, "--warmup") * 1e9));
    vec![
        ("clients asked for", clients, report.clients.asked),
        ("clients that the server saw", clients, record.truth().subscribers),
        ("due", whole(asked(arguments, "--rate") * asked(arguments, "--duration")), report.messages.due),
        ("sent", measured.published, report.messages.sent),
        ("expected", measured.expected, report.deliveries.expected),
        ("received", measured.received, report.deliveries.received),
    ]
}

/// What is wrong with the texts that the server read: their stamps, or when they were due.
fn stamps(arguments: &str, record: &Record) -> Vec<String> {
    let (mut wrong, mut dues) = (Vec::new(), Vec::new());
    let (mut runs, mut publishers) = (BTreeSet::new(), BTreeMap::new());
    for said in record.channels.iter().flat_map(|channel| &channel.said) {
        let Some(stamp) = said.stamp() else {
            wrong.push(format!("no stamp: {:?}", said.text));
            continue;
        };
        let (number, next) = publishers.entry(said.by).or_insert((stamp.publisher, 0));
        if (*number, *next) != (stamp.publisher, stamp.sequence) {
            wrong.push(format!("{stamp:?} instead of sequence {next} of publisher {number}"));
        }
        *next = stamp.sequence + 1;
        if stamp.due_ns > said.read_ns {
            wrong.push(format!("{stamp:?} was read before it was due, at {}", said.read_ns));
        }
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        if said.text.len() as f64 != asked(arguments, "--size") {
            wrong.push(format!("a text of {} bytes", said.text.len()));
        }
        dues.push(stamp.due_ns);
        runs.insert(stamp.run);
    }
    let numbers: BTreeSet<u64> = publishers.values().map(|(number, _)| *number).collect();
    if (runs.len(), numbers.len()) != (1, publishers.len()) {
        wrong.push(format!("runs {runs:?}, publishers {publishers:?}"));
    }
    // An open model: the next message is due when the clock says so, whatever became of the last one.
    dues.sort_unstable();
    for (k, due_ns) in (0_u32..).zip(&dues) {
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        let off_ns = (due_ns - dues[0]) as f64 - f64::from(k) * 1e9 / asked(arguments, "--rate");
        if off_ns.abs() > 1_000.0 {
            wrong.push(format!("message {k} of the run is due {off_ns} ns from where it belongs"));
        }
    }
    wrong.truncate(5);
    wrong
}

/// A stall of 700 ms with a message due every 20 ms: the one that the server stalls at waits for all
/// of it, the next for 20 ms less, and so on, whatever the generator does meanwhile.
#[test]
fn a_stall_is_seen_by_all_who_were_due_in_it() {
    const STALL_MS: u64 = 700;
    const EVERY_MS: u64 = 20;
    let stall = Fault::Stall { message: 60, length: Duration::from_millis(STALL_MS) };
    for (arguments, listeners) in
        [("", 20), ("--processes 2 --publishers 3", 20), ("--channels 2", 10), ("--clients 1", 1)]
    {
        let arguments = format!("--rate 50 --duration 3s {arguments}");
        let (ended, record) = run(&[stall], &arguments);
        let (truth, report) = (record.truth(), ended.report(&arguments, 0));
        let figures = figures(&report, &truth).into_iter().chain(requested(&arguments, &report, &record));
        for (what, expected, seen) in figures {
            assert_eq!(seen, expected, "{arguments}: {what}");
        }
        assert_eq!(stamps(&arguments, &record), [""; 0], "{arguments}");
        let latency = histogram(&report.latency);
        for ms in [1, 50, 100, 200, 350, 500, 600, 690, STALL_MS] {
            let messages = (STALL_MS - ms) / EVERY_MS + 1;
            let seen = count_from(&latency, ms * 1_000);
            assert!(seen >= messages * listeners, "{arguments}: only {seen} took {ms} ms and longer");
            let known = latest(&record, ms * 1_000_000);
            assert!(
                seen >= known,
                "{arguments}: {seen} took {ms} ms and longer, the server knows of {known}"
            );
        }
        // Of 150 messages: fifteen are beyond the 90th percentile, one and a half beyond the 99th.
        assert!(report.latency.max_us >= 700_000, "{arguments}: {:?}", report.latency);
        assert!(report.latency.p99_us >= 680_000, "{arguments}: {:?}", report.latency);
        assert!(report.latency.p90_us >= 400_000, "{arguments}: {:?}", report.latency);
    }
}

/// While the server stalls, the publisher's connection takes no more: what is due then is sent late,
/// and its latency counts from when it was due. An instrument that waits with its clock for the
/// server would see one slow message.
#[test]
fn a_publisher_that_cannot_send_keeps_its_schedule() {
    const STALL_MS: u64 = 700;
    const EVERY_MS: u64 = 20;
    // 35 messages are 17 MB, and the kernel holds 4 MB for the sender.
    let arguments = "--rate 50 --duration 2s --clients 1 --size 500000";
    let (ended, record) = run(
        &[
            Fault::Narrow { receive_bytes: 65_536 },
            Fault::Stall { message: 20, length: Duration::from_millis(STALL_MS) },
        ],
        arguments,
    );
    let (truth, report) = (record.truth(), ended.report(arguments, 0));
    for (what, expected, seen) in
        figures(&report, &truth).into_iter().chain(requested(arguments, &report, &record))
    {
        assert_eq!(seen, expected, "{what}");
    }
    assert_eq!(stamps(arguments, &record), [""; 0]);
    assert!(report.messages.late >= 10, "the connection was never full: {:?}", report.messages);
    assert!(report.times["lateness"].max_us >= 300_000, "{:?}", report.times["lateness"]);
    let latency = histogram(&report.latency);
    for ms in [100, 350, 600, STALL_MS] {
        let seen = count_from(&latency, ms * 1_000);
        assert!(seen > (STALL_MS - ms) / EVERY_MS, "only {seen} took {ms} ms and longer");
    }
}

/// Deliveries that cannot have been read sooner than so long after they were due.
fn latest(record: &Record, at_least_ns: u64) -> u64 {
    let subscribers = record.subscribers();
    let late = subscribers.map(|member| {
        let said = |message: usize| &record.channels[member.channel].said[message];
        let due = |message: usize| said(message).stamp().expect("a stamp").due_ns;
        let late = member.handed.iter().filter(|handed| handed.after_ns - due(handed.message) >= at_least_ns);
        late.count() as u64
    });
    late.sum()
}

#[test]
fn a_delay_is_in_every_latency() {
    let arguments = "--rate 50";
    let (ended, record) = run(&[Fault::Delay { by: Duration::from_millis(100) }], arguments);
    let report = ended.report("delay", 0);
    assert_eq!((report.deliveries.received, report.deliveries.lost), (record.truth().expected, 0));
    let latency = &report.latency;
    assert_eq!(count_from(&histogram(latency), 100_000), latency.count);
    // The least is the lower edge of a step of the histogram, which is at most 1/1024 wide.
    assert!(
        latency.min_us >= 99_900 && latency.p50_us >= 100_000 && latency.mean_us >= 99_900.0,
        "{latency:?}"
    );
}
