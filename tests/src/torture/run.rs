//! A whole run: clients, faults, the end, the verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::bans::Operator;
use super::board::{Board, Figures};
use super::checker::{Rule, Violation, check};
use super::cluster::{Cluster, WINDOW};
use super::faults::{Faults, RECOVERY};
use super::presence::wait_for_counts;
use super::publisher::Publisher;
use super::record::{Event, Outcome, Records, Subscriber};
use super::subscriber::{Listener, Manner, read_everything};

/// Who takes part.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    /// Rooms.
    pub rooms: usize,
    /// Who speaks, in each room.
    pub publishers: usize,
    /// Who listens, in each room.
    pub subscribers: usize,
}

/// Violations of one kind that are shown.
const SHOWN_MAX: usize = 3;
/// Pause before the last reader tries again.
const PAUSE: Duration = Duration::from_millis(100);

/// What came of it.
pub struct Report {
    /// Everything written down.
    pub records: Records,
    /// What is in no record.
    pub figures: Figures,
    /// What is wrong.
    pub violations: Vec<String>,
}

/// Names rooms and publishers of one run apart from those of another on the same system.
fn rooms(run: u64, cast: Cast) -> Vec<String> {
    (0..cast.rooms).map(|room| format!("run{run}-{room}")).collect()
}

/// Runs clients while `faults` has its way with the system; then mends, waits, and checks. `run` is the
/// run's number on this system.
///
/// # Panics
/// A client does.
pub fn run(
    cluster: &mut Cluster,
    cast: Cast,
    run: u64,
    seed: u64,
    faults: impl FnOnce(&mut Faults<'_>) -> Result<Vec<u64>, String>,
) -> Report {
    let mut random = StdRng::seed_from_u64(seed);
    let rooms = rooms(run, cast);
    let board = Board::new(cluster.addresses.clone(), cast.rooms, cast.rooms * cast.subscribers);
    let signer = cluster.signer();
    // The last one of each room is banned now and then.
    let victims = cast.rooms * cast.publishers..cast.rooms * (cast.publishers + 1);
    let names: Vec<String> = (0..victims.end).map(|number| format!("p{number}")).collect();
    let tokens: Vec<String> = names.iter().map(|name| signer.user(name)).collect();
    let (last_token, sitter_token) = (signer.user("last"), signer.user("sitter"));
    let mut records = Records { window: WINDOW, ..Records::default() };
    let mut violations = Vec::new();
    std::thread::scope(|scope| {
        let mut listeners = Vec::new();
        for (number, room) in rooms.iter().enumerate() {
            for listener in listeners_of(&board, (number, room), cast, &mut random) {
                listeners.push(scope.spawn(move || listener.run()));
            }
        }
        let mut publishers = Vec::new();
        for (number, (name, token)) in names.iter().zip(&tokens).enumerate() {
            let room = number % cast.rooms;
            let own = StdRng::seed_from_u64(random.random());
            let publisher = Publisher::new(&board, (room, &rooms[room]), name, token, own);
            publishers.push(scope.spawn(move || publisher.run()));
        }
        let sitters: Vec<_> = rooms
            .iter()
            .enumerate()
            .map(|(number, room)| {
                let own = StdRng::seed_from_u64(random.random());
                let sitter = Publisher::new(&board, (number, room), "sitter", &sitter_token, own);
                scope.spawn(move || sitter.sit())
            })
            .collect();
        let mut operators = Vec::new();
        for (room, name) in rooms.iter().zip(&names[victims]) {
            let random = StdRng::seed_from_u64(random.random());
            let (name, signer) = (name.clone(), signer.clone());
            let operator = Operator { board: &board, room, name, signer, random };
            operators.push(scope.spawn(move || operator.run()));
        }
        // Whatever fails here, the others must be told to stop, or the scope never ends.
        let stop = StopAtEnd(&board);
        let own = StdRng::seed_from_u64(random.random());
        let mut making = Faults { cluster, board: &board, random: own };
        match making.recovered("the start").and_then(|()| faults(&mut making)) {
            Ok(losses) => records.losses = losses,
            Err(error) => violations.push(error),
        }
        board.be_quiet();
        for publisher in publishers {
            publisher.join().expect("a publisher");
        }
        for operator in operators {
            operator.join().expect("an operator");
        }
        let last: Vec<String> = rooms
            .iter()
            .enumerate()
            .map(|(number, room)| {
                let own = StdRng::seed_from_u64(random.random());
                let mut publisher = Publisher::new(&board, (number, room), "last", &last_token, own);
                publisher.say(1).remove(0)
            })
            .collect();
        let heard = board.wait(RECOVERY, |state| {
            state.seen.iter().all(|(room, begun)| *begun >= super::publisher::begun_of(&last[*room]))
        });
        if !heard {
            violations.push("not everybody hears the last message".to_owned());
        }
        for (room, last) in rooms.iter().zip(&last) {
            for (channel, until) in [(format!("m_{room}"), Some(last.as_str())), (format!("e_{room}"), None)]
            {
                match read_in_the_end(&board, room, &channel, until, &mut random) {
                    Ok(reader) => records.subscribers.push(reader),
                    Err(error) => violations.push(format!("the last reader of {channel}: {error}")),
                }
            }
        }
        // All who speak have left but one; who listens to comings and goings only is no viewer.
        violations.extend(wait_for_counts(&board, &rooms, (cast.subscribers, 1), &mut random));
        drop(stop);
        for sitter in sitters {
            sitter.join().expect("a sitter");
        }
        for listener in listeners {
            records.subscribers.extend(listener.join().expect("a listener"));
        }
        violations.extend(wait_for_counts(&board, &rooms, (0, 0), &mut random));
    });
    (records.attempts, records.bans) = (board.take_attempts(), board.take_bans());
    violations.extend(shown(&check(&records), &records));
    Report { records, figures: board.figures(), violations }
}

/// Reads a channel's history, as soon as that goes: the last fault may not be over everywhere.
fn read_in_the_end(
    board: &Board,
    room: &str,
    channel: &str,
    until: Option<&str>,
    random: &mut StdRng,
) -> Result<Subscriber, String> {
    let (since, mut failed) = (Instant::now(), None);
    loop {
        match read_everything(board, room, channel, until, random, &mut failed) {
            Err(_) if since.elapsed() < RECOVERY => std::thread::sleep(PAUSE),
            result => return result,
        }
    }
}

/// One fault may break a promise many times: the first few of each kind tell enough.
fn shown(found: &[Violation], records: &Records) -> Vec<String> {
    let mut by_rule: BTreeMap<Rule, Vec<&Violation>> = BTreeMap::new();
    for violation in found {
        by_rule.entry(violation.rule).or_default().push(violation);
    }
    let of_one = by_rule.into_iter().flat_map(|(rule, all)| {
        let more = all.len().saturating_sub(SHOWN_MAX);
        let more = (more > 0).then(|| format!("{rule:?}: {more} more"));
        all.into_iter().take(SHOWN_MAX).map(|violation| violation.shown(records)).chain(more)
    });
    of_one.collect()
}

struct StopAtEnd<'a>(&'a Board);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Those of a room: some stay, some are restless; and one who listens to comings and goings.
fn listeners_of<'a>(
    board: &'a Board,
    (number, room): (usize, &'a str),
    cast: Cast,
    random: &mut StdRng,
) -> Vec<Listener<'a>> {
    let mut listeners = Vec::new();
    for of_room in 0..=cast.subscribers {
        let events = of_room == cast.subscribers;
        let manner = Manner { restless: of_room % 2 == 1, impatient: of_room % 4 >= 2 };
        let place = of_room * cast.rooms + number;
        let (kind, place) = if events { ("e", None) } else { ("m", Some(place)) };
        let name = format!("{kind}{number}.{of_room} {manner:?}");
        let own = Subscriber { name, channel: format!("{kind}_{room}"), events: Vec::new() };
        let random = StdRng::seed_from_u64(random.random());
        listeners.push(Listener::new(board, place, (number, room), own, manner, random));
    }
    listeners
}

impl Report {
    /// The figures in one line each.
    #[must_use]
    pub fn figures(&self) -> String {
        let is_acknowledged = |outcome: &Outcome| matches!(outcome, Outcome::Acknowledged { .. });
        let attempts = &self.records.attempts;
        let acknowledged: BTreeSet<_> = attempts
            .iter()
            .filter(|attempt| is_acknowledged(&attempt.outcome))
            .map(|attempt| (&attempt.channel, &attempt.key))
            .collect();
        let unknown = attempts.iter().filter(|attempt| attempt.outcome == Outcome::Unknown).count();
        let count = |wished: fn(&Event) -> bool| {
            let events = self.records.subscribers.iter().flat_map(|subscriber| &subscriber.events);
            events.filter(|(_, event)| wished(event)).count()
        };
        let deliveries = count(|event| matches!(event, Event::Message { .. }));
        let resumed =
            count(|event| matches!(event, Event::Subscribed { asked: Some(_), recovered: true, .. }));
        format!(
            "messages acknowledged: {}, attempts: {} ({unknown} unknown), deliveries: {deliveries}, \
             resumed: {resumed}, told of a loss: {}, bans: {}\nfaults: {:?}\nrefusals: {:?}\nviolations: {}",
            acknowledged.len(),
            attempts.len(),
            self.told(),
            self.records.bans.len(),
            self.figures.faults,
            self.figures.refusals,
            self.violations.len(),
        )
    }

    /// How often somebody was told that something may be missing.
    #[must_use]
    pub fn told(&self) -> usize {
        let told = |event: &Event| {
            let not_recovered = matches!(event, Event::Subscribed { asked: Some(_), recovered: false, .. });
            not_recovered || matches!(event, Event::Reset { .. } | Event::Gap { .. })
        };
        let events = self.records.subscribers.iter().flat_map(|subscriber| &subscriber.events);
        events.filter(|(_, event)| told(event)).count()
    }

    /// Acknowledged messages that the last readers do not find.
    #[must_use]
    pub fn lost(&self) -> usize {
        let readers = self.records.subscribers.iter().filter(|one| one.name == super::record::LAST_READER);
        let mut there: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for reader in readers {
            let of = there.entry(&reader.channel).or_default();
            of.extend(reader.events.iter().filter_map(|(_, event)| match event {
                Event::Message { id, .. } => Some(id.as_str()),
                _ => None,
            }));
        }
        let attempts = self.records.attempts.iter();
        let lost = attempts.filter(|attempt| match &attempt.outcome {
            Outcome::Acknowledged { position, .. } => {
                there.get(attempt.channel.as_str()).is_none_or(|ids| !ids.contains(position.id.as_str()))
            }
            _ => false,
        });
        lost.count()
    }

    /// Seconds as told by the environment, or so many.
    #[must_use]
    pub fn seconds(by_default: u64) -> Duration {
        let told = std::env::var("CHATUP_TEST_TORTURE_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
        Duration::from_secs(told.unwrap_or(by_default))
    }
}
