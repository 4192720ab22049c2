//! Torture: everything that can break breaks, one thing at a time, while people talk; then what they
//! wrote down is held against what is promised.
//!
//! `CHATUP_TEST_TORTURE_SECONDS=3600 CHATUP_TEST_SEED=1 cargo test --release -p chatup-tests --test
//! torture -- --nocapture` goes on for longer, with the decisions of that seed. What the machine decides
//! (who is served first) differs from run to run all the same.

use std::time::{Duration, Instant};

use chatup_tests::torture::checker::check;
use chatup_tests::torture::cluster::Cluster;
use chatup_tests::torture::faults::Fault;
use chatup_tests::torture::record::{Event, Records, Subscriber};
use chatup_tests::torture::run::{Cast, Report, run};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const CAST: Cast = Cast { rooms: 3, publishers: 2, subscribers: 8 };
/// Rooms and clients are new after so long: the checker holds a run in memory.
const RUN: Duration = Duration::from_secs(30);
/// The same, over a group that is watched.
const RUN_WATCHED: Duration = Duration::from_secs(15);
/// How often Redis loses its tail.
const LOSSES: usize = 4;

fn seed() -> u64 {
    let told = std::env::var("CHATUP_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    told.unwrap_or_else(rand::random)
}

/// Prints the figures; panics with the violations, and says where the logs are.
fn judge(report: &Report, cluster: &Cluster, what: &str) {
    println!("{what}\n{}", report.figures());
    assert!(
        report.violations.is_empty(),
        "{what}: {} violations; logs in {}\n{}",
        report.violations.len(),
        cluster.dir().display(),
        report.violations.join("\n")
    );
}

/// A verdict is worth something only if it would have been another one: what was written down is changed
/// in one place, here and there.
fn the_checker_would_have_seen(records: &Records, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    // Those who neither come and go nor leave.
    let stays = |one: &&Subscriber| one.name.contains("restless: false") && one.channel.starts_with("m_");
    let who = records.subscribers.iter().position(|one| stays(&one)).expect("somebody stays");
    let is_message = |event: &(u64, Event)| matches!(event.1, Event::Message { .. });
    for change in 0..6 {
        let mut changed = records.clone();
        let events = &mut changed.subscribers[who].events;
        let messages: Vec<usize> = (0..events.len()).filter(|at| is_message(&events[*at])).collect();
        let at = messages[random.random_range(0..messages.len())];
        match change % 3 {
            0 => drop(events.remove(at)),
            1 => events.insert(at, events[at].clone()),
            _ => {
                let Event::Message { id, .. } = &mut events[at].1 else { unreachable!("a message") };
                id.push('x');
            }
        }
        assert!(!check(&changed).is_empty(), "change {change} at event {at} of subscriber {who} is not seen");
    }
}

#[test]
fn nothing_is_lost_doubled_or_out_of_order_whatever_breaks() {
    let (seed, seconds) = (seed(), Report::seconds(RUN.as_secs()));
    println!("seed {seed}, {} s", seconds.as_secs());
    let mut cluster = Cluster::start(3, 2, 2);
    let start = Instant::now();
    for number in 0.. {
        let left = seconds.saturating_sub(start.elapsed());
        if left.is_zero() {
            break;
        }
        let end = Instant::now() + left.min(RUN);
        let report = run(&mut cluster, CAST, number, seed.wrapping_add(number), |faults| {
            while Instant::now() < end {
                faults.make_one()?;
            }
            Ok(Vec::new())
        });
        judge(&report, &cluster, &format!("seed {seed}, run {number}"));
        assert_eq!(report.lost(), 0, "the checker has missed what is lost");
        assert!(report.figures.refusals.contains_key("banned"), "nobody was banned: this tests no ban");
        the_checker_would_have_seen(&report.records, seed);
    }
    cluster.forget();
}

/// The primary of a group dies, or stands still, under load: what it had not given to its replica is lost,
/// and told; all else goes on.
#[test]
fn a_fail_over_under_load_is_survived() {
    let (seed, seconds) = (seed(), Report::seconds(RUN_WATCHED.as_secs()));
    println!("seed {seed}, {} s", seconds.as_secs());
    let mut cluster = Cluster::start_watched(2, 1, 1);
    let end = Instant::now() + seconds;
    let report = run(&mut cluster, CAST, 0, seed, |faults| {
        // Two at least, however short the time.
        let mut losses = faults.make(Fault::KillPrimary)?;
        losses.extend(faults.make(Fault::PausePrimary)?);
        while Instant::now() < end {
            losses.extend(faults.make_one_in_group()?);
        }
        Ok(losses)
    });
    judge(&report, &cluster, &format!("seed {seed}"));
    cluster.forget();
}

/// Redis comes back with what it had some time ago. What was acknowledged since is lost; but everybody is
/// told, and nobody takes the new past for the old one.
#[test]
fn a_lost_tail_is_told() {
    let seed = seed();
    println!("seed {seed}");
    let mut cluster = Cluster::start(2, 1, 1);
    let report = run(&mut cluster, CAST, 0, seed, |faults| (0..LOSSES).map(|_| faults.lose_tail()).collect());
    judge(&report, &cluster, &format!("seed {seed}"));
    assert!(report.lost() > 0, "no tail was lost: this tests nothing");
    let listeners = report.records.subscribers.iter().filter(|one| one.channel.starts_with("m_"));
    let resets =
        listeners.flat_map(|one| &one.events).filter(|(_, event)| matches!(event, Event::Reset { .. }));
    assert!(resets.count() > 0, "nobody who stayed was told");
    cluster.forget();
}
