//! Compares two revisions of a project: `bench-check --base main --head HEAD`.
//!
//! Exit status: 0 if nothing is worse than is tolerated, 1 if something is, 2 if that could not be
//! found out, 130 if interrupted.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use chatup_bench::check::table::table;
use chatup_bench::check::{Options, process, run};
use clap::Parser;

/// Is the head slower than the base?
///
/// A revision is anything that git knows; WORK, the work tree as it is; or REV+FILE, a revision
/// with a patch applied.
#[derive(Parser)]
#[command(name = "bench-check", version)]
struct Arguments {
    /// What is built, run and compared, and what is tolerated.
    #[arg(long, default_value = "bench/check.toml")]
    config: PathBuf,
    /// The revision to compare with.
    #[arg(long, default_value = "HEAD")]
    base: String,
    /// The revision to judge.
    #[arg(long, default_value = "WORK")]
    head: String,
    /// Pairs before the first look of each paired run, instead of what the file says.
    #[arg(long)]
    pairs: Option<usize>,
    /// Write the report as JSON.
    #[arg(long)]
    output: Option<PathBuf>,
    /// Only this: `counted`, or the name of a paired run. May be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// The counted cases alone: a minute, and as sure as ever of what they cover.
    #[arg(long, conflicts_with = "only")]
    quick: bool,
    /// Do not tell what is being done.
    #[arg(long, short)]
    quiet: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let interrupted = ctrlc::set_handler(|| {
        process::end_all();
        std::process::exit(130);
    });
    if let Err(error) = interrupted {
        eprintln!("bench-check: interruptions cannot be caught: {error}");
    }
    match check(&arguments) {
        Ok(regression) => ExitCode::from(u8::from(regression)),
        Err(error) => {
            eprintln!("bench-check: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether there is a regression; or, to be read, why that is not known.
fn check(arguments: &Arguments) -> Result<bool, String> {
    let options = Options {
        config: arguments.config.clone(),
        base: arguments.base.clone(),
        head: arguments.head.clone(),
        pairs: arguments.pairs,
        only: if arguments.quick { vec!["counted".into()] } else { arguments.only.clone() },
    };
    let quiet = arguments.quiet;
    let report = run(&options, &move |line| {
        if !quiet {
            eprintln!("bench-check: {line}");
        }
    })
    .map_err(|error| error.to_string())?;
    // Whoever closed the pipe does not want it.
    let _ = std::io::stdout().write_all(table(&report).as_bytes());
    if let Some(path) = &arguments.output {
        let text = serde_json::to_string_pretty(&report).unwrap_or_default() + "\n";
        fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(report.regression)
}
