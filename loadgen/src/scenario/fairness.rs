//! `fairness`: what does a huge room, a flood in one, or a burst of handshakes cost the others? Many
//! small rooms, the bystanders', hear their messages all the time: at first nothing else happens,
//! then the huge room is published to, then a small one is flooded, then connections are made and
//! closed again. The latency is the bystanders' alone; the report is of the three parts in which
//! something else happens, and each of them is held against the first.

use super::{Shape, count_from_zero, part, usual};
use crate::cli::Options;
use crate::control::{ASIDE, Load};
use crate::coordinator::{Outcome, Run, RunError};
use crate::limits::PASSERS_MAX;
use crate::plan::{Aside, Publishers, Sizes, evenly};

/// Most rooms of bystanders if nothing else is said.
const CHANNELS: u32 = 100;
/// Bystanders of a room if nothing else is said and these are not too many rooms.
const CLIENTS_PER_CHANNEL: u32 = 5;
/// Messages a second in all their rooms if nothing else is said: one a room is enough to see a room
/// that waits, and few enough to be no load of their own.
const RATE_PER_S: f64 = 100.0;
/// Clients of the flooded room. Few, so that it is the number of messages that is the burden: with
/// many it would be the huge room once more.
const FLOOD_CLIENTS: u32 = 5;
/// Those who flood it: each may have only so many messages unanswered, and one alone would be held
/// up by its own answers.
const FLOOD_PUBLISHERS: u32 = 8;

/// Names of the parts, which the figures bear too.
const QUIET: &str = "quiet";
const CROWD: &str = "crowd";
const FLOOD: &str = "flood";
const HANDSHAKES: &str = "handshakes";

pub(super) fn shape(options: &Options) -> Result<Shape, String> {
    let apart = part(options, options.crowd_share);
    let bystanders = options.clients - apart.min(options.clients);
    if bystanders == 0 {
        return Err("--crowd-share must leave bystanders: it is they whose latency is measured".to_owned());
    }
    if apart <= FLOOD_CLIENTS {
        return Err(format!(
            "--crowd-share of --clients {} is {apart}: it must be more than the {FLOOD_CLIENTS} who listen to \
             the flood",
            options.clients
        ));
    }
    let channels = options.channels.unwrap_or((bystanders / CLIENTS_PER_CHANNEL).clamp(1, CHANNELS));
    if channels > bystanders {
        return Err(format!(
            "--channels {channels} are more rooms than there are bystanders ({bystanders} of --clients {}): \
             none may be empty",
            options.clients
        ));
    }
    let mut ends = evenly(bystanders, channels);
    ends.extend([options.clients - FLOOD_CLIENTS, options.clients]);
    // As many as come in a second: one that is not ready by then shows that the server takes fewer.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to PASSERS_MAX")]
    let passers = options.handshakes.ceil().clamp(1.0, f64::from(PASSERS_MAX)) as u32;
    let publishers = options.publishers.unwrap_or(1);
    Ok(Shape {
        sizes: Sizes::Given(ends),
        publishers: Publishers::Apart(publishers),
        publishers_about: publishers.saturating_mul(channels).saturating_add(1 + FLOOD_PUBLISHERS),
        aside: Aside { publishers: vec![1, FLOOD_PUBLISHERS], passers, processes: 0 },
        comers: 0,
        slow: 0,
        resumes: false,
    })
}

/// What happens in each part, by its name.
fn parts(options: &Options) -> [(&'static str, Load); 4] {
    let mut quiet = usual(options);
    if options.rate.is_none() {
        quiet.per_s = RATE_PER_S;
    }
    let aside =
        |crowd_per_s, flood_per_s| Load { aside_per_s: vec![crowd_per_s, flood_per_s], ..quiet.clone() };
    [
        (QUIET, quiet.clone()),
        (CROWD, aside(options.crowd_rate, 0.0)),
        (FLOOD, aside(0.0, options.flood_rate)),
        (HANDSHAKES, Load { connects_per_s: options.handshakes, ..quiet.clone() }),
    ]
}

pub(super) fn run(run: &mut Run<'_>) -> Result<(), RunError> {
    run.connect()?;
    let mut quiet: Option<Outcome> = None;
    let mut loaded: Option<Outcome> = None;
    let mut ended = Ok(());
    for (name, load) in parts(run.options) {
        let mut outcome = match run.load(name, load) {
            // What is known by then is told.
            Err(RunError::Interrupted) if quiet.is_some() => {
                ended = Err(RunError::Interrupted);
                break;
            }
            other => other?,
        };
        note(run, name, &mut outcome);
        match (&quiet, &mut loaded) {
            (None, _) => quiet = Some(outcome),
            (_, None) => loaded = Some(outcome),
            (_, Some(loaded)) => loaded.append(outcome)?,
        }
    }
    match (quiet, loaded) {
        (Some(quiet), Some(loaded)) => {
            run.adopt(loaded);
            run.add_faults(&quiet.sum.counted);
            run.doubt(quiet.doubts);
            count_from_zero(run, &["connects_total", "connects_due_total", "connects_without_a_slot_total"]);
        }
        (Some(only), None) | (None, Some(only)) => run.adopt(only),
        (None, None) => {}
    }
    ended
}

/// Notes the figures of one part, and names what is its own.
#[allow(clippy::cast_precision_loss, reason = "figures for a person")]
fn note(run: &mut Run<'_>, name: &str, outcome: &mut Outcome) {
    let figures = &mut run.report.figures;
    let sum = &mut outcome.sum;
    if sum.latency.count > 0 {
        let p99_us = sum.latency.p99_us as f64;
        figures.insert(format!("p50_{name}_us"), sum.latency.p50_us as f64);
        figures.insert(format!("p99_{name}_us"), p99_us);
        let quiet_us = figures.get("p99_quiet_us").copied().unwrap_or(0.0);
        if name != QUIET && quiet_us > 0.0 {
            figures.insert(format!("p99_{name}_ratio"), p99_us / quiet_us);
        }
    }
    if let Some(aside) = sum.times.remove(ASIDE) {
        if outcome.measured_s > 0.0 {
            figures.insert(format!("{name}_deliveries_per_s"), aside.count as f64 / outcome.measured_s);
        }
        sum.times.insert(name.to_owned(), aside);
    }
    let counted = |name: &str| sum.counted.figures.get(name).copied().unwrap_or(0.0);
    if name == HANDSHAKES && outcome.measured_s > 0.0 {
        // They are made in the warm-up too.
        let all_s = outcome.measured_s + run.options.warmup.as_secs_f64();
        figures.insert("connects_per_s".to_owned(), counted("connects_total") / all_s);
    }
    if counted("connects_without_a_slot_total") > 0.0 {
        let why = "connections were due while as many as come in a second were on their way: the server takes \
                   fewer --handshakes";
        outcome.doubts.push(why.to_owned());
    }
    for why in &mut outcome.doubts {
        *why = format!("{name}: {why}");
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    fn options(arguments: &str) -> Options {
        let all = ["loadgen", "fairness"].into_iter().chain(arguments.split_whitespace());
        Cli::try_parse_from(all).expect("good flags").run
    }

    /// Clients of each of the bystanders' rooms, of the huge room and of the flooded one.
    fn rooms(shape: &Shape) -> (Vec<u32>, u32, u32) {
        let Sizes::Given(ends) = &shape.sizes else { panic!("sizes are given: {shape:?}") };
        let starts = std::iter::once(&0).chain(ends);
        let mut rooms: Vec<u32> = ends.iter().zip(starts).map(|(end, start)| end - start).collect();
        let flooded = rooms.pop().expect("a flooded room");
        let huge = rooms.pop().expect("a huge room");
        (rooms, huge, flooded)
    }

    #[test]
    fn rooms_have_their_sizes() {
        for (arguments, channels, bystanders, crowd, passers) in [
            ("", 100, 500, 495, 1_000),
            ("--clients 100k", 100, 50_000, 49_995, 1_000),
            ("--clients 200 --handshakes 0.5", 20, 100, 95, 1),
            ("--clients 200 --crowd-share 90% --handshakes 99.5", 4, 20, 175, 100),
            ("--clients 7 --crowd-share 86% --handshakes 1m", 1, 1, 1, PASSERS_MAX),
            ("--clients 12 --channels 6", 6, 6, 1, 1_000),
            ("--clients 1k --channels 7 --crowd-share 0.4", 7, 600, 395, 1_000),
        ] {
            let shape = shape(&options(arguments)).expect(arguments);
            let (rooms, huge, flooded) = rooms(&shape);
            assert_eq!((rooms.len(), huge, flooded), (channels, crowd, 5), "{arguments}");
            assert_eq!(rooms.iter().sum::<u32>(), bystanders, "{arguments}");
            let (least, most) = (rooms.iter().min().expect("rooms"), rooms.iter().max().expect("rooms"));
            assert!(*least > 0 && most - least <= 1, "{arguments}: {rooms:?}");
            assert_eq!(shape.aside.passers, passers, "{arguments}");
            assert_eq!(shape.aside.publishers.len(), 2, "{arguments}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_said() {
        for (arguments, said) in [
            ("--crowd-share 0", "is 0: it must be more than the 5 who listen to the flood"),
            ("--crowd-share 100%", "must leave bystanders"),
            ("--clients 1", "must leave bystanders"),
            ("--clients 10", "--clients 10 is 5"),
            ("--clients 6 --crowd-share 99%", "must leave bystanders"),
            ("--clients 12 --channels 7", "more rooms than there are bystanders (6 of --clients 12)"),
            ("--rate @p99=10ms", "loadgen saturate, not fairness"),
        ] {
            let options = options(arguments);
            let why = options.scenario.shape(&options).expect_err(arguments);
            assert!(why.contains(said), "{arguments}: {why}");
        }
        for arguments in ["--crowd-share 101%", "--crowd-rate 0", "--flood-rate -1", "--handshakes none"] {
            let all = ["loadgen", "fairness"].into_iter().chain(arguments.split_whitespace());
            assert!(Cli::try_parse_from(all).is_err(), "{arguments}");
        }
    }

    #[test]
    fn each_part_has_its_own_burden_and_the_same_bystanders() {
        let rates = |arguments: &str| {
            parts(&options(arguments)).map(|(name, load)| {
                let aside = [0, 1].map(|place| load.aside_per_s.get(place).copied().unwrap_or(0.0));
                (name, load.per_s, aside, load.connects_per_s)
            })
        };
        assert_eq!(
            rates(""),
            [
                ("quiet", 100.0, [0.0, 0.0], 0.0),
                ("crowd", 100.0, [5.0, 0.0], 0.0),
                ("flood", 100.0, [0.0, 2_000.0], 0.0),
                ("handshakes", 100.0, [0.0, 0.0], 1_000.0),
            ]
        );
        let given = rates("--rate 7 --crowd-rate 1 --flood-rate 9k --handshakes 20");
        assert!(given.iter().all(|(_, per_s, ..)| *per_s == 7.0), "{given:?}");
        assert_eq!((given[1].2, given[2].2, given[3].3), ([1.0, 0.0], [0.0, 9_000.0], 20.0));
    }
}
