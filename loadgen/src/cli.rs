//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{ArgAction, Args, Parser, Subcommand};

use crate::limits::{CLIENTS_MAX, SIZE_BYTES_MAX, SIZE_BYTES_MIN};
use crate::protocol::Kind;
use crate::report::{FailIf, OutputFile};
use crate::scenario::Scenario;
use crate::units::{Rate, count, duration, per_second, rate, share};

const LONG_ABOUT: &str = "\
Capacity tests for ChatUp and other WebSocket servers: as many clients as asked for, messages at
times fixed beforehand (an open model), every delivery checked.

Latency counts from the moment a message was due, so a server that stalls cannot hide it. A run in
which this program was itself the limit is marked as invalid.";

const AFTER_HELP: &str = "\
Examples:
  loadgen --clients 100k --spawn                       start servers here, fan out to 100,000
  loadgen chat --clients 20k --channels 500 --rate 200 --dispatcher http://127.0.0.1:8000
  loadgen --protocol plain --url 'ws://127.0.0.1:9000/ws/{channel}' --clients 1k --rate 50
  loadgen saturate --clients 1k --rate @p99=100ms --spawn --output result.html
  loadgen --spawn --duration 30s --fail-if 'p99>200ms,lost>0'
  loadgen report host1.json host2.json --output both.html

Exit status: 0 done; 1 it could not be done, or not all clients got in; 2 wrong usage; 3 a limit of
--fail-if was crossed; 130 ended by Ctrl-C, with a report. docs/LOADGEN.md has the scenarios.";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "loadgen",
    version,
    about = "Capacity tests: as many clients as asked for, every delivery checked",
    long_about = LONG_ABOUT,
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// Something else than a run.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// A run.
    #[command(flatten)]
    pub run: Options,
}

/// Something else than a run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a report in another form, or merge those of several hosts that ran at the same time
    Report(ReportArgs),
    /// Print the JSON schema of reports
    Schema,
    /// A process that holds connections, started by a run
    #[command(hide = true)]
    Generate,
}

/// `loadgen report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Reports in JSON
    #[arg(required = true, value_name = "FILE.json")]
    pub files: Vec<PathBuf>,
    /// How to hand it over.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// How to hand a report over.
#[derive(Clone, Debug, Args)]
pub struct OutputArgs {
    /// Write the report to a file, by its ending: .json, .html, .txt or .hlog. Repeatable
    #[arg(long, short, value_name = "FILE", value_parser = OutputFile::parse)]
    pub output: Vec<OutputFile>,
    /// Exit with 3 if one of these holds, such as 'p99>200ms,lost>0'
    #[arg(long, value_name = "LIMITS", value_parser = FailIf::parse)]
    pub fail_if: Option<FailIf>,
    /// No progress; and no report on standard output if it is written to a file
    #[arg(long, short)]
    pub quiet: bool,
}

/// A run.
#[derive(Clone, Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "flags")]
pub struct Options {
    /// What to do
    #[arg(value_enum, default_value_t = Scenario::Fanout)]
    pub scenario: Scenario,

    /// Subscribers
    #[arg(long, short, value_parser = clients, default_value = "1k", help_heading = "Load")]
    pub clients: u32,
    /// Channels (rooms) that they are spread over [default: 1; chat: 1 for 100 clients; fairness:
    /// 1 for 5 bystanders, at most 100]
    #[arg(long, value_parser = clients, help_heading = "Load")]
    pub channels: Option<u32>,
    /// Connections a channel that publish, besides the subscribers [default: 1; saturate: 16]
    #[arg(long, value_parser = clients, help_heading = "Load")]
    pub publishers: Option<u32>,
    /// Messages a second, all channels together [default: 10; fairness: 100]; or a goal, as
    /// @p99=100ms, for the highest rate that keeps it
    #[arg(long, short, value_parser = rate, help_heading = "Load")]
    pub rate: Option<Rate>,
    /// Length of a message's text, in bytes
    #[arg(long, value_parser = size, default_value = "120", help_heading = "Load")]
    pub size: u32,
    /// Connections made a second
    #[arg(long, value_parser = per_second, default_value = "5k", help_heading = "Load")]
    pub connect_rate: f64,
    /// Measured time
    #[arg(long, short, value_parser = some_time, default_value = "10s", help_heading = "Load")]
    pub duration: Duration,
    /// Load before that, which is not measured
    #[arg(long, value_parser = duration, default_value = "1s", help_heading = "Load")]
    pub warmup: Duration,
    /// Longest wait after that for what has not arrived
    #[arg(long, value_parser = duration, default_value = "5s", help_heading = "Load")]
    pub drain: Duration,
    /// Decides whatever is left to chance [default: drawn]
    #[arg(long, help_heading = "Load")]
    pub seed: Option<u64>,

    /// Dispatcher to join through, as http://host:port
    #[arg(long, value_name = "URL", help_heading = "Target", conflicts_with_all = ["worker", "url", "spawn"])]
    pub dispatcher: Option<String>,
    /// Worker to connect to, as http://host:port; several that share nothing each get a part of the
    /// clients and every message. Repeatable
    #[arg(long, value_name = "URL", help_heading = "Target", conflicts_with_all = ["url", "spawn"])]
    pub worker: Vec<String>,
    /// WebSocket of any server, as ws://host:port/path/{channel}
    #[arg(long, value_name = "URL", help_heading = "Target", conflicts_with = "spawn")]
    pub url: Option<String>,
    /// Where the subscribers of each --worker go instead, as http://host:port: a proxy in front of it.
    /// Publishers go to the worker itself. Repeatable
    #[arg(long, value_name = "URL", help_heading = "Target", requires = "worker")]
    pub subscribers: Vec<String>,
    /// Start the server here, and end it afterwards
    #[arg(long, help_heading = "Target")]
    pub spawn: bool,
    /// What is spoken
    #[arg(long, value_enum, default_value_t = Kind::Native, help_heading = "Target")]
    pub protocol: Kind,
    /// Server processes to start [default: as many as the descriptors of the clients take]
    #[arg(long, requires = "spawn", value_parser = RangedU64ValueParser::<u32>::new().range(1..=1_000), help_heading = "Target")]
    pub workers: Option<u32>,
    /// Shards of each
    #[arg(long, requires = "spawn", value_parser = RangedU64ValueParser::<u32>::new().range(1..=1_024), default_value = "1", help_heading = "Target")]
    pub shards: u32,
    /// Cores of the server, in turn
    #[arg(long, requires = "spawn", value_delimiter = ',', value_name = "CORES", help_heading = "Target")]
    pub server_cores: Vec<usize>,
    /// The server's program [default: chatup beside this one, or in the path]
    #[arg(long, value_name = "FILE", env = "CHATUP_BIN", help_heading = "Target")]
    pub server_bin: Option<PathBuf>,
    /// A setting of the server, such as history.size=0. Repeatable
    #[arg(long, requires = "spawn", value_name = "TABLE.KEY=VALUE", help_heading = "Target")]
    pub server_set: Vec<String>,
    /// A process of the server, whose CPU and memory are to be measured, children included.
    /// Repeatable
    #[arg(long, value_name = "PID", action = ArgAction::Append, help_heading = "Target")]
    pub pid: Vec<u32>,
    /// Have messages compressed (permessage-deflate), each by itself
    #[arg(long, help_heading = "Target")]
    pub deflate: bool,
    /// pushstream-polling: time from an answer to the next poll
    #[arg(long, value_parser = some_time, default_value = "1s", value_name = "TIME", help_heading = "Target")]
    pub poll_interval: Duration,
    /// Private key (PEM) or secret that publishers' tokens are signed with
    #[arg(long, value_name = "FILE", help_heading = "Target")]
    pub key_file: Option<PathBuf>,
    /// Tokens for publishers, one a line
    #[arg(long, value_name = "FILE", conflicts_with = "key_file", help_heading = "Target")]
    pub tokens: Option<PathBuf>,

    /// Processes that hold connections [default: as many as the descriptors take]
    #[arg(long, value_parser = RangedU64ValueParser::<u32>::new().range(1..=1_000), help_heading = "Generator")]
    pub processes: Option<u32>,
    /// Source addresses [default: 127.0.0.2 and on for a target on loopback]
    #[arg(long, value_delimiter = ',', value_name = "IPS", help_heading = "Generator")]
    pub source: Vec<IpAddr>,
    /// Cores of these processes, in turn
    #[arg(long, value_delimiter = ',', value_name = "CORES", help_heading = "Generator")]
    pub client_cores: Vec<usize>,

    /// chat: exponent of Zipf's law for the sizes of rooms
    #[arg(long, value_parser = zipf, default_value = "1", value_name = "S", help_heading = "Scenarios")]
    pub zipf: f64,
    /// chat: share of the clients that speak
    #[arg(long, value_parser = share, default_value = "1%", value_name = "SHARE", help_heading = "Scenarios")]
    pub talkers: f64,
    /// churn: mean stay of a client
    #[arg(long, value_parser = duration, default_value = "10s", value_name = "TIME", help_heading = "Scenarios")]
    pub lifetime: Duration,
    /// churn: share of the clients that stay all the time
    #[arg(long, value_parser = share, default_value = "10%", value_name = "SHARE", help_heading = "Scenarios")]
    pub stay: f64,
    /// connect, fairness: connections a second
    #[arg(long, value_parser = per_second, default_value = "1k", value_name = "RATE", help_heading = "Scenarios")]
    pub handshakes: f64,
    /// reconnect-storm: spread of the clients' return after the cut
    #[arg(long, value_parser = duration, default_value = "0s", value_name = "TIME", help_heading = "Scenarios")]
    pub spread: Duration,
    /// slow: share of the clients that are slow
    #[arg(long, value_parser = share, default_value = "10%", value_name = "SHARE", help_heading = "Scenarios")]
    pub slow_share: f64,
    /// slow: bytes a second that each of them reads; 0: none
    #[arg(long, value_parser = count, default_value = "0", value_name = "BYTES", help_heading = "Scenarios")]
    pub slow_rate: u64,
    /// fairness: share of the clients that are no bystanders: the huge room, and five that listen to
    /// the flood
    #[arg(long, value_parser = share, default_value = "50%", value_name = "SHARE", help_heading = "Scenarios")]
    pub crowd_share: f64,
    /// fairness: messages a second in the huge room, in its part of the run
    #[arg(long, value_parser = per_second, default_value = "5", value_name = "RATE", help_heading = "Scenarios")]
    pub crowd_rate: f64,
    /// fairness: messages a second in the flooded room, in its part of the run
    #[arg(long, value_parser = per_second, default_value = "2k", value_name = "RATE", help_heading = "Scenarios")]
    pub flood_rate: f64,
    /// saturate: measured time of each step
    #[arg(long, value_parser = some_time, default_value = "3s", value_name = "TIME", help_heading = "Scenarios")]
    pub step: Duration,
    /// saturate: how near to each other the last rates tried are
    #[arg(long, value_parser = share, default_value = "5%", value_name = "SHARE", help_heading = "Scenarios")]
    pub precision: f64,

    /// How to hand the report over.
    #[command(flatten)]
    pub output: OutputArgs,
}

fn clients(text: &str) -> Result<u32, String> {
    let clients = count(text)?;
    u32::try_from(clients)
        .ok()
        .filter(|clients| (1..=CLIENTS_MAX).contains(&u64::from(*clients)))
        .ok_or_else(|| format!("must be 1 to {CLIENTS_MAX}"))
}

fn some_time(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time.is_zero() { Err("must be more than no time".to_owned()) } else { Ok(time) }
}

fn size(text: &str) -> Result<u32, String> {
    let bytes = count(text)?;
    u32::try_from(bytes)
        .ok()
        .filter(|bytes| (SIZE_BYTES_MIN..=SIZE_BYTES_MAX).contains(&u64::from(*bytes)))
        .ok_or_else(|| format!("must be {SIZE_BYTES_MIN} to {SIZE_BYTES_MAX} bytes"))
}

fn zipf(text: &str) -> Result<f64, String> {
    let exponent = text.parse::<f64>().ok().filter(|exponent| (0.0..=10.0).contains(exponent));
    exponent.ok_or_else(|| "must be a number from 0 (all alike) to 10".to_owned())
}
