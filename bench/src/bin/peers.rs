//! This project's server side by side with others: `make peers`. What is compared and how:
//! `chatup_bench::peers`, and the page that it writes, docs/PEERS.md.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::{env, fs, io};

use chatup_bench::peers::Error;
use chatup_bench::peers::kinds::Kind;
use chatup_bench::peers::options::{Options, order};
use chatup_bench::peers::process::{INTERRUPTED, allow_descriptors};
use chatup_bench::peers::results::{Made, Results, Run};
use chatup_bench::peers::round::Places;
use chatup_bench::peers::table;
use clap::Parser;

fn main() -> ExitCode {
    let options = Options::parse();
    match compare(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Interrupted) => {
            eprintln!("peers: ended by hand; nothing is written");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(options: &Options) -> Result<(), Error> {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (kept, page) = (bench.join("peers/results"), bench.join("../docs/PEERS.md"));
    if options.tables {
        for kind in Kind::ALL {
            if let Some(results) = Results::read(&kept, kind)? {
                table::write(&page, kind, &results)?;
            }
        }
        return Ok(());
    }
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed))
        .map_err(|error| Error::System("Ctrl-C cannot be listened for", io::Error::other(error)))?;
    allow_descriptors()?;
    let places = places(options, bench)?;
    let compared = rounds(options, &places);
    let _ = fs::remove_dir_all(&places.scratch);
    for (kind, results) in compared? {
        println!("\n## {}\n\n{}", kind.name(), table::markdown(kind, &results));
        if options.keeps() {
            results.write(&kept, kind)?;
            table::write(&page, kind, &results)?;
        }
    }
    Ok(())
}

fn places(options: &Options, bench: &Path) -> Result<Places, Error> {
    let this =
        env::current_exe().map_err(|error| Error::System("this program's own place is unknown", error))?;
    let programs = this.parent().map_or_else(PathBuf::new, Path::to_owned);
    let loadgen = options.loadgen.clone().unwrap_or_else(|| programs.join("loadgen"));
    let scratch = env::temp_dir().join(format!("chatup-peers-{}", std::process::id()));
    fs::create_dir_all(&scratch).map_err(Error::file(&scratch))?;
    Ok(Places { peers: bench.join("peers"), loadgen, programs, scratch })
}

/// All rounds of all kinds; a server that fails is missing from that round, and said so.
fn rounds(options: &Options, places: &Places) -> Result<BTreeMap<Kind, Results>, Error> {
    let mut compared = BTreeMap::new();
    let mut versions = BTreeMap::new();
    for kind in options.kinds() {
        let load = kind.arguments(options.quick).to_owned();
        let made = Made { command: options.command(kind), load, ..Made::default() };
        for server in options.servers(kind) {
            if !versions.contains_key(server.name) {
                versions.insert(server.name.to_owned(), places.install(server)?);
            }
        }
        compared.insert(kind, Results { made, runs: Vec::new() });
    }
    for round in 1..=options.rounds() {
        for (kind, results) in &mut compared {
            for server in order(&options.servers(*kind), round) {
                results.made.versions.insert(server.name.to_owned(), versions[server.name].clone());
                let run = match places.run(server, *kind, options.quick, round) {
                    Ok((run, report)) => {
                        results.note(&report);
                        run
                    }
                    Err(Error::Interrupted) => return Err(Error::Interrupted),
                    Err(error) => {
                        eprintln!("peers: {}: {error}", server.name);
                        let doubts = vec!["the run failed".to_owned()];
                        Run { round, server: server.name.to_owned(), doubts, ..Run::default() }
                    }
                };
                eprintln!("round {round}, {}, {}", kind.name(), line(&run));
                results.runs.push(run);
            }
        }
    }
    Ok(compared)
}

/// A run on one line.
fn line(run: &Run) -> String {
    let figures: Vec<String> = run.figures.iter().map(|(name, figure)| format!("{name} {figure}")).collect();
    format!("{}: {}; {}", run.server, figures.join(", "), run.doubts.join("; "))
}
