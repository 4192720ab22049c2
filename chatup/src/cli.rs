//! The command line: what can be asked of the program, and how it is written.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};

use crate::commands::import_nginx::ImportNginxArgs;
use crate::config::{FlagSetting, Flags, Role};
use crate::durations::{admin_lifetime_s, ban_s, lifetime_s};
use crate::printed::Format;

const LONG_ABOUT: &str = "\
Chat for live events: rooms from two people to a hundred thousand viewers.

Without a command, worker and dispatcher run in this one process, with keys for trying out
unless a key is configured. Settings come from a file, over these from the environment
(CHATUP_WORKER_PORT sets worker.port, and so on), and over these from flags; `chatup config`
shows them all.";

const AFTER_HELP: &str = "\
Examples:
  chatup                                   start, and print where to chat
  chatup --config chatup.toml              start with the settings of a file
  chatup token --name Ada                  make a token for a user
  chatup token admin --ban Bob --room lobby --for 30s
  chatup config > chatup.toml              begin a settings file";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "chatup",
    version,
    about = "Chat for live events",
    long_about = LONG_ABOUT,
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What to do; nothing: all in one.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to run all in one.
    #[command(flatten)]
    pub start: StartFlags,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a worker alone: it holds the clients' connections
    Worker {
        /// Settings.
        #[command(flatten)]
        source: SourceFlags,
        /// Settings of both roles.
        #[command(flatten)]
        serve: ServeFlags,
        /// Settings of workers.
        #[command(flatten)]
        worker: WorkerFlags,
        /// With which keys.
        #[command(flatten)]
        demo: DemoFlags,
    },
    /// Run a dispatcher alone: it hands each client a worker
    Dispatcher {
        /// Settings.
        #[command(flatten)]
        source: SourceFlags,
        /// Settings of both roles.
        #[command(flatten)]
        serve: ServeFlags,
        /// Settings of dispatchers.
        #[command(flatten)]
        dispatcher: DispatcherFlags,
        /// With which keys.
        #[command(flatten)]
        demo: DemoFlags,
    },
    /// Run a Redis, workers and dispatchers here, for trying out a cluster and its faults
    Cluster(ClusterArgs),
    /// Make a token: for a user, or to post and ban
    Token(TokenArgs),
    /// Show the settings with their meaning, or check a settings file
    Config(ConfigArgs),
    /// Carry an Nginx configuration with the PushStream module over: settings, and a site that proxies
    ImportNginx(ImportNginxArgs),
}

/// Whether to use the keys for trying out.
#[derive(Clone, Debug, Default, Args)]
pub struct DemoFlags {
    /// Use the keys for trying out, as all in one does; a dispatcher hands out tokens to its page
    #[arg(long)]
    pub demo: bool,
    /// Directory of these keys [default: $XDG_STATE_HOME/chatup or ~/.local/state/chatup]
    #[arg(long, value_name = "DIR", requires = "demo")]
    pub state_dir: Option<PathBuf>,
}

/// `chatup cluster`.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Workers
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: u16,
    /// Dispatchers
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub dispatchers: u16,
    /// Port of the first dispatcher, the others' follow; 0 for any free ones
    #[arg(long, value_name = "PORT", default_value_t = 8000)]
    pub dispatcher_port: u16,
    /// A Redis that runs already; else one is started, with its data in the state directory
    #[arg(long, value_name = "URL")]
    pub redis_url: Option<String>,
    /// Directory of the keys for trying out [default: $XDG_STATE_HOME/chatup or ~/.local/state/chatup]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Any setting, for all of them, such as --set history.size=500. Repeatable
    #[arg(long, value_name = "TABLE.KEY=VALUE", value_parser = key_and_value)]
    pub set: Vec<(String, String)>,
}

/// All flags of the all-in-one.
#[derive(Clone, Debug, Default, Args)]
pub struct StartFlags {
    /// Settings.
    #[command(flatten)]
    pub settings: SettingFlags,
    /// Directory of the keys for trying out [default: $XDG_STATE_HOME/chatup or ~/.local/state/chatup]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// How to say on standard output that it is ready
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub print: Format,
}

/// All flags that change settings.
#[derive(Clone, Debug, Default, Args)]
pub struct SettingFlags {
    /// Any setting.
    #[command(flatten)]
    pub source: SourceFlags,
    /// Those of both roles.
    #[command(flatten)]
    pub serve: ServeFlags,
    /// Those of workers.
    #[command(flatten)]
    pub worker: WorkerFlags,
    /// Those of dispatchers.
    #[command(flatten)]
    pub dispatcher: DispatcherFlags,
}

/// Where settings come from.
#[derive(Clone, Debug, Default, Args)]
pub struct SourceFlags {
    /// Settings file (TOML) [env: CHATUP_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Any setting, such as --set history.size=500; lists are comma separated. Repeatable
    #[arg(long, value_name = "TABLE.KEY=VALUE", value_parser = key_and_value)]
    pub set: Vec<(String, String)>,
}

/// Settings of both roles.
#[derive(Clone, Debug, Default, Args)]
pub struct ServeFlags {
    /// IP address to listen on (worker.listen, dispatcher.listen)
    #[arg(long, value_name = "IP")]
    pub listen: Option<String>,
    /// File with the key that tokens are verified with (auth.key_file)
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<String>,
    /// Algorithm that tokens may be signed with: HS256, RS256, ES256 or EdDSA (auth.algorithms).
    /// Repeatable
    #[arg(long, value_name = "NAME")]
    pub algorithm: Vec<String>,
    /// What to log: error, warn, info, debug or trace, also by part (log.filter)
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
}

/// Settings of workers.
#[derive(Clone, Debug, Default, Args)]
pub struct WorkerFlags {
    /// Port of the worker, 0 for any free one (worker.port)
    #[arg(long, value_name = "PORT")]
    pub worker_port: Option<String>,
    /// Threads that hold connections, 0 for one a core (worker.shards)
    #[arg(long, value_name = "NUMBER")]
    pub shards: Option<String>,
    /// Cores to use, such as 2,3 (worker.cores)
    #[arg(long, value_name = "CORES")]
    pub cores: Option<String>,
}

/// Settings of dispatchers.
#[derive(Clone, Debug, Default, Args)]
pub struct DispatcherFlags {
    /// Port of the dispatcher, 0 for any free one (dispatcher.port)
    #[arg(long, value_name = "PORT")]
    pub dispatcher_port: Option<String>,
}

/// `chatup token`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct TokenArgs {
    /// For an admin instead.
    #[command(subcommand)]
    pub admin: Option<TokenCommand>,
    /// The user's name
    #[arg(long, required = true)]
    pub name: Option<String>,
    /// More for everyone in the room to see, such as '{"color":"red"}'
    #[arg(long, value_name = "JSON", default_value = "", hide_default_value = true)]
    pub public: String,
    /// Time to live: a number and s, m, h or d
    #[arg(long, value_name = "TIME", default_value = "12h", value_parser = lifetime_s)]
    pub expires: u64,
    /// With which key.
    #[command(flatten)]
    pub key: SigningFlags,
}

/// `chatup token admin`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token that posts, bans or unbans, to be sent there once; or one that reads
    Admin(AdminArgs),
}

/// What an admin's token orders.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("orders").required(true).args(["post", "ban", "unban", "read"]))]
pub struct AdminArgs {
    /// Post what a file says: a JSON array of {"channel", "msg", …}; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub post: Option<String>,
    /// Ban this user from --room; or, without --room, whom a file says: a JSON array of {"name",
    /// "channel", "expire"}; - reads standard input
    #[arg(long, value_name = "NAME|FILE")]
    pub ban: Option<String>,
    /// Lift the ban of this user in --room
    #[arg(long, value_name = "NAME", requires = "room")]
    pub unban: Option<String>,
    /// Read /bans/ROOM and /workers, as "Authorization: Bearer TOKEN"
    #[arg(long)]
    pub read: bool,
    /// The room to ban from
    #[arg(long, conflicts_with_all = ["post", "read"])]
    pub room: Option<String>,
    /// How long the ban lasts: a number and s, m, h or d; for ever if not given
    #[arg(long = "for", value_name = "TIME", requires = "room", conflicts_with = "unban", value_parser = ban_s)]
    pub for_s: Option<u64>,
    /// Time until which the token must be used: a number and s, m, h or d; at most 24h
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = admin_lifetime_s)]
    pub expires: u64,
    /// With which key.
    #[command(flatten)]
    pub key: SigningFlags,
}

/// With which key to sign, and for which settings.
#[derive(Clone, Debug, Default, Args)]
pub struct SigningFlags {
    /// Private key (PEM), or the secret for HS256 [default: the key for trying out]
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Directory of the keys for trying out [default: $XDG_STATE_HOME/chatup or ~/.local/state/chatup]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// The server's settings, for its audiences.
    #[command(flatten)]
    pub source: SourceFlags,
}

/// What has no say where one file is checked.
const OTHER_SOURCES: [&str; 11] = [
    "effective",
    "config",
    "set",
    "listen",
    "key_file",
    "algorithm",
    "log",
    "worker_port",
    "shards",
    "cores",
    "dispatcher_port",
];

/// `chatup config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Check a settings file, and the key that it names
    #[arg(long, value_name = "FILE", conflicts_with_all = OTHER_SOURCES)]
    pub check: Option<PathBuf>,
    /// Show what file, environment and flags come to
    #[arg(long)]
    pub effective: bool,
    /// What the settings are for
    #[arg(long, value_enum, default_value = "all")]
    pub role: Role,
    /// Settings.
    #[command(flatten)]
    pub settings: SettingFlags,
}

impl SettingFlags {
    /// As settings.
    #[must_use]
    pub fn flags(&self) -> Flags {
        let mut flags = self.source.flags();
        self.serve.add_to(&mut flags, Role::AllInOne);
        self.worker.add_to(&mut flags);
        self.dispatcher.add_to(&mut flags);
        flags
    }
}

impl SourceFlags {
    /// As settings.
    #[must_use]
    pub fn flags(&self) -> Flags {
        let set = |(key, value): &(String, String)| FlagSetting {
            flag: "--set",
            key: key.clone(),
            value: value.clone(),
        };
        Flags { config: self.config.clone(), settings: self.set.iter().map(set).collect() }
    }
}

impl ServeFlags {
    /// Adds them to the settings of this role.
    pub fn add_to(&self, flags: &mut Flags, role: Role) {
        if role != Role::Dispatcher {
            add(flags, "--listen", "worker.listen", self.listen.as_deref());
        }
        if role != Role::Worker {
            add(flags, "--listen", "dispatcher.listen", self.listen.as_deref());
        }
        add(flags, "--key-file", "auth.key_file", self.key_file.as_deref());
        let algorithms = (!self.algorithm.is_empty()).then(|| self.algorithm.join(","));
        add(flags, "--algorithm", "auth.algorithms", algorithms.as_deref());
        add(flags, "--log", "log.filter", self.log.as_deref());
    }
}

impl WorkerFlags {
    /// Adds them to the settings.
    pub fn add_to(&self, flags: &mut Flags) {
        add(flags, "--worker-port", "worker.port", self.worker_port.as_deref());
        add(flags, "--shards", "worker.shards", self.shards.as_deref());
        add(flags, "--cores", "worker.cores", self.cores.as_deref());
    }
}

impl DispatcherFlags {
    /// Adds them to the settings.
    pub fn add_to(&self, flags: &mut Flags) {
        add(flags, "--dispatcher-port", "dispatcher.port", self.dispatcher_port.as_deref());
    }
}

fn add(flags: &mut Flags, flag: &'static str, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        flags.settings.push(FlagSetting { flag, key: key.to_owned(), value: value.to_owned() });
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_owned(), value.to_owned())),
        None => Err("must be table.key=value".to_owned()),
    }
}
