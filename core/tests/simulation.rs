//! A seeded simulation of many sessions over a few rooms, on one to three shards, with slow and
//! resuming subscribers, full queues, lost publications, refusals and channels that lose their
//! past, checked against a model: order, no hole, nothing twice, each answer once, nothing left
//! behind. One process, no threads, virtual time.
//!
//! A failure prints its seed and its last events; `CHATUP_TEST_SEED=n` runs that one again.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

#[path = "simulation/client.rs"]
mod client;
#[path = "simulation/connection.rs"]
mod connection;
#[path = "simulation/ledger.rs"]
mod ledger;
#[path = "simulation/links.rs"]
mod links;
#[path = "simulation/model.rs"]
mod model;
#[path = "simulation/random.rs"]
mod random;
#[path = "simulation/record.rs"]
mod record;
#[path = "simulation/settings.rs"]
mod settings;
mod support;
#[path = "simulation/turn.rs"]
mod turn;
#[path = "simulation/witness.rs"]
mod witness;
#[path = "simulation/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use chatup_core::names::UserName;

use record::{Happened, Record};
use world::World;

/// Runs of a test run.
const SEEDS: std::ops::Range<u64> = 0..2_000;
/// Most people of a run.
const PEOPLE_MAX: usize = 40;

fn run(seed: u64, tokens: &[(UserName, String)], traced: bool) -> (World, std::thread::Result<()>) {
    let mut world = World::new(seed, tokens, traced);
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    (world, result)
}

#[test]
fn every_session_is_given_what_the_model_says() {
    let name = |one| format!("user {one}");
    let tokens: Vec<(UserName, String)> = (0..PEOPLE_MAX)
        .map(|one| (UserName::new(&name(one)).unwrap(), support::rules::token(&name(one), 1_000_000)))
        .collect();
    let only = std::env::var("CHATUP_TEST_SEED").ok().map(|seed| seed.parse::<u64>().expect("a number"));
    let seeds = only.map_or(SEEDS, |seed| seed..seed + 1);
    let mut sum = Record::new(false);
    for seed in seeds {
        let (world, result) = run(seed, &tokens, false);
        if let Err(panic) = result {
            println!("seed {seed} failed; again, with its last events:");
            let (world, _) = run(seed, &tokens, true);
            world.record.print_events();
            println!("CHATUP_TEST_SEED={seed}");
            resume_unwind(panic);
        }
        sum.add(&world.record);
    }
    println!("what happened, over all runs:");
    sum.print_counts();
    for happened in Happened::ALL {
        assert!(only.is_some() || sum.of(*happened) > 0, "{happened:?} never happened: a vacuous test");
    }
}
