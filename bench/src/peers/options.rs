//! What is asked for: the command line of `peers`. Pure.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::PossibleValuesParser;

use super::kinds::Kind;
use super::servers::{self, SERVERS, Server};

/// Rounds of a whole comparison: enough for a median, few enough for an hour.
pub const ROUNDS: u32 = 3;

/// Runs the same loads against this project's server, others, and a floor, and says how they compare.
///
/// The servers run on core 0 and the clients on core 1. Every round runs all servers, every second round in
/// reversed order, and only ratios within a round are compared. Results go to bench/peers/results and
/// docs/PEERS.md, unless only some servers are run, or with --quick.
#[derive(Debug, Parser)]
#[command(name = "peers")]
pub struct Options {
    /// Only these kinds of run
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND,…")]
    pub only: Vec<Kind>,
    /// Only these servers, and the floor that the kind is measured against
    #[arg(long, value_delimiter = ',', value_name = "NAME,…", value_parser = names())]
    pub servers: Vec<String>,
    /// How often all is run [default: 3, with --quick 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: Option<u32>,
    /// Small runs that show that everything works; nothing is written
    #[arg(long)]
    pub quick: bool,
    /// Write the tables of docs/PEERS.md again from the kept results, and measure nothing
    #[arg(long, conflicts_with_all = ["only", "servers", "rounds", "quick"])]
    pub tables: bool,
    /// The load generator [default: the program `loadgen` beside this one]
    #[arg(long, value_name = "FILE")]
    pub loadgen: Option<PathBuf>,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(SERVERS.iter().map(|server| server.name))
}

impl Options {
    /// The kinds of run asked for, in the page's order.
    #[must_use]
    pub fn kinds(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| self.only.is_empty() || self.only.contains(kind)).collect()
    }

    /// The servers asked for, in the table's order, always with the kind's yardstick.
    #[must_use]
    pub fn servers(&self, kind: Kind) -> Vec<&'static Server> {
        let asked = |server: &&Server| {
            self.servers.is_empty()
                || self.servers.iter().any(|name| name == server.name)
                || server.name == kind.yardstick()
        };
        SERVERS.iter().filter(asked).collect()
    }

    /// How many rounds.
    #[must_use]
    pub fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { ROUNDS })
    }

    /// Whether the results are kept: a table of a part of the servers would replace one of all.
    #[must_use]
    pub fn keeps(&self) -> bool {
        !self.quick && self.servers.is_empty()
    }

    /// The command that makes the same results of this kind again.
    #[must_use]
    pub fn command(&self, kind: Kind) -> String {
        let mut arguments = format!("--only {} --rounds {}", kind.name(), self.rounds());
        if self.quick {
            arguments.push_str(" --quick");
        }
        if !self.servers.is_empty() {
            arguments.push_str(" --servers ");
            arguments.push_str(&self.servers.join(","));
        }
        format!("make peers ARGS='{arguments}'")
    }
}

/// Who runs in this round (the first is 1), in which order: every second round is reversed, so that what
/// drifts in one direction during a round does not favour the same servers every time.
#[must_use]
pub fn order(servers: &[&'static Server], round: u32) -> Vec<&'static Server> {
    let mut order = servers.to_vec();
    if round.is_multiple_of(2) {
        order.reverse();
    }
    order
}

/// The titles of servers by name; a name that is no longer known stands for itself.
#[must_use]
pub fn title(name: &str) -> &str {
    servers::named(name).map_or(name, |server| server.title)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Options {
        Options::try_parse_from(format!("peers {line}").split_whitespace())
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn servers(line: &str, kind: Kind) -> String {
        let names: Vec<_> = options(line).servers(kind).iter().map(|server| server.name).collect();
        names.join(" ")
    }

    #[test]
    fn everything_is_run_and_kept_unless_less_is_asked_for() {
        let all = options("");
        assert_eq!((all.kinds(), all.rounds(), all.keeps()), (Kind::ALL.to_vec(), ROUNDS, true));
        assert_eq!(all.servers(Kind::Idle).len(), SERVERS.len());
        for (line, rounds, keeps) in [
            ("--quick", 1, false),
            ("--quick --rounds 2", 2, false),
            ("--rounds 9 --only idle", 9, true),
            ("--servers bun", ROUNDS, false),
        ] {
            assert_eq!((options(line).rounds(), options(line).keeps()), (rounds, keeps), "{line}");
        }
    }

    #[test]
    fn kinds_and_servers_stand_in_the_tables_order_and_the_yardstick_is_always_there() {
        assert_eq!(options("--only saturate,fanout").kinds(), [Kind::Fanout, Kind::Saturate]);
        for (line, kind, expected) in [
            ("--servers bun,floor", Kind::Fanout, "floor bun"),
            ("--servers socketio --servers bun", Kind::Idle, "floor bun socketio"),
            ("--servers floor,bun", Kind::Saturate, "floor floor-batch bun"),
        ] {
            assert_eq!(servers(line, kind), expected, "{line}");
        }
    }

    #[test]
    fn what_is_unknown_or_contradictory_is_refused() {
        for line in ["--only all", "--servers nobody", "--rounds 0", "--tables --quick"] {
            assert!(Options::try_parse_from(format!("peers {line}").split_whitespace()).is_err(), "{line}");
        }
    }

    #[test]
    fn every_second_round_is_reversed() {
        let servers = options("--servers bun,ws").servers(Kind::Fanout);
        let names = |round| order(&servers, round).iter().map(|server| server.name).collect::<Vec<_>>();
        assert_eq!(names(1), ["floor", "bun", "ws"]);
        assert_eq!(names(2), ["ws", "bun", "floor"]);
        assert_eq!(names(3), names(1));
    }

    #[test]
    fn the_command_of_a_table_repeats_it() {
        for (line, expected) in [
            ("--rounds 5", "--only idle --rounds 5"),
            (
                "--only idle,fanout --servers bun,ws --quick",
                "--only idle --rounds 1 --quick --servers bun,ws",
            ),
        ] {
            assert_eq!(options(line).command(Kind::Idle), format!("make peers ARGS='{expected}'"));
        }
    }
}
