//! The program: from the command line to the exit status.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{CommandFactory, Parser};
use crossbeam_channel::Receiver;

use crate::cli::{Cli, Command, Options, OutputArgs, ReportArgs};
use crate::coordinator::{Run, RunError, interrupts};
use crate::generator;
use crate::machine;
use crate::protocol::Kind;
use crate::protocol::pushstream::Mode;
use crate::report::model::{self, FORMAT};
use crate::report::{self, Report};
use crate::scenario::{FIGURES, Scenario, TIMES};
use crate::units::Rate;

/// It could not be done.
const FAILED: u8 = 1;
/// Wrong usage.
const USAGE: u8 = 2;
/// A limit of `--fail-if` was crossed.
const CROSSED: u8 = 3;
/// Ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Runs the program with its command line.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let status = match cli.command {
        Some(Command::Generate) => match generator::run() {
            Ok(()) => Ok(0),
            Err(error) => Err(error.to_string()),
        },
        Some(Command::Schema) => {
            print!("{}", report::schema::schema());
            Ok(0)
        }
        Some(Command::Report(arguments)) => show(&arguments),
        None => load(&cli.run),
    };
    match status {
        Ok(status) => ExitCode::from(status),
        Err(why) => {
            eprintln!("loadgen: {why}");
            ExitCode::from(FAILED)
        }
    }
}

fn show(arguments: &ReportArgs) -> Result<u8, String> {
    let reports = arguments.files.iter().map(|path| report::read(path).map_err(|error| error.to_string()));
    let mut reports = reports.collect::<Result<Vec<_>, _>>()?;
    let merged = match reports.len() {
        1 => reports.remove(0),
        _ => report::merge(reports).map_err(|error| error.to_string())?,
    };
    hand_over(&merged, &arguments.output)
}

fn load(options: &Options) -> Result<u8, String> {
    let shape = match options.scenario.shape(options) {
        Ok(shape) => shape,
        Err(why) => {
            eprintln!("error: {why}\n\n{}", Cli::command().render_usage());
            return Ok(USAGE);
        }
    };
    if let Some(Err(why)) = options.output.fail_if.as_ref().map(|limits| limits.check_names(TIMES, FIGURES)) {
        eprintln!("error: {why}");
        return Ok(USAGE);
    }
    let interrupts: Receiver<()> = interrupts()?;
    let empty = empty_report(options);
    let mut run = Run::start(options, &shape, empty, interrupts).map_err(|error| error.to_string())?;
    let ended = options.scenario.run(&mut run);
    if let Err(RunError::Impossible(why)) = ended {
        return Err(why);
    }
    let report = run.finish();
    let all_in = report.clients.connected == report.clients.asked;
    let crossed = hand_over(&report, &options.output)?;
    Ok(match (report.verdict.interrupted, all_in, crossed) {
        (true, _, _) => INTERRUPTED,
        (false, false, _) => FAILED,
        (false, true, crossed) => crossed,
    })
}

/// Shows and writes a report; the exit status.
fn hand_over(report: &Report, output: &OutputArgs) -> Result<u8, String> {
    if !output.quiet || output.output.is_empty() {
        print!("{}", report::text(report));
    }
    for file in &output.output {
        report::write(report, file).map_err(|error| error.to_string())?;
    }
    let crossed = output.fail_if.as_ref().map(|limits| limits.crossed(report)).unwrap_or_default();
    for crossed in &crossed {
        eprintln!("failed: {crossed}");
    }
    Ok(if crossed.is_empty() { 0 } else { CROSSED })
}

fn empty_report(options: &Options) -> Report {
    Report {
        format: FORMAT,
        tool: format!("loadgen {}", env!("CARGO_PKG_VERSION")),
        started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        scenario: options.scenario.name().to_owned(),
        settings: settings(options),
        machines: vec![machine::describe()],
        measured_s: 0.0,
        verdict: model::Verdict::default(),
        clients: model::Clients::default(),
        messages: model::Messages::default(),
        deliveries: model::Deliveries::default(),
        latency: model::Distribution::default(),
        times: BTreeMap::new(),
        timeline: Vec::new(),
        server: Vec::new(),
        generator: model::Generator::default(),
        steps: Vec::new(),
        figures: BTreeMap::new(),
        notes: Vec::new(),
    }
}

/// What was asked for, as flags.
fn settings(options: &Options) -> BTreeMap<String, String> {
    let time = |time: std::time::Duration| humantime::format_duration(time).to_string();
    let mut settings: BTreeMap<String, String> = [
        ("clients", options.clients.to_string()),
        ("size", options.size.to_string()),
        ("connect-rate", options.connect_rate.to_string()),
        ("duration", time(options.duration)),
        ("warmup", time(options.warmup)),
        ("protocol", options.protocol.named().0.to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    let mut more = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            settings.insert(name.to_owned(), value);
        }
    };
    more("channels", options.channels.map(|channels| channels.to_string()));
    more("publishers", options.publishers.map(|publishers| publishers.to_string()));
    more(
        "rate",
        options.rate.as_ref().map(|rate| match rate {
            Rate::PerSecond(per_s) => per_s.to_string(),
            Rate::Highest(goal) => format!("@p{}={}", goal.percentile, time(goal.within)),
        }),
    );
    let cores = |cores: &[usize]| {
        let cores: Vec<String> = cores.iter().map(ToString::to_string).collect();
        (!cores.is_empty()).then(|| cores.join(","))
    };
    more("server-cores", cores(&options.server_cores));
    more("client-cores", cores(&options.client_cores));
    more("deflate", options.deflate.then(String::new));
    let polls = options.protocol == Kind::PushStream(Mode::Polling);
    more("poll-interval", polls.then(|| time(options.poll_interval)));
    let set = &options.server_set;
    more("server-set", (!set.is_empty()).then(|| set.join(" ")));
    match options.scenario {
        Scenario::Chat => {
            more("zipf", Some(options.zipf.to_string()));
            more("talkers", Some(options.talkers.to_string()));
        }
        Scenario::Churn => {
            more("lifetime", Some(time(options.lifetime)));
            more("stay", Some(options.stay.to_string()));
        }
        Scenario::Connect => more("handshakes", Some(options.handshakes.to_string())),
        Scenario::ReconnectStorm => more("spread", Some(time(options.spread))),
        Scenario::Slow => {
            more("slow-share", Some(options.slow_share.to_string()));
            more("slow-rate", Some(options.slow_rate.to_string()));
        }
        Scenario::Fairness => {
            more("crowd-share", Some(options.crowd_share.to_string()));
            more("crowd-rate", Some(options.crowd_rate.to_string()));
            more("flood-rate", Some(options.flood_rate.to_string()));
            more("handshakes", Some(options.handshakes.to_string()));
        }
        Scenario::Saturate => {
            more("step", Some(time(options.step)));
            more("precision", Some(options.precision.to_string()));
        }
        Scenario::Fanout | Scenario::Idle => {}
    }
    settings
}
