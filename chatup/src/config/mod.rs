//! The settings: where they come from, what they may be, and what is wrong with them if they are.
//!
//! File under environment under flags; each value keeps the place where it was set, and every error
//! begins with it. Nothing here reads the environment of the process: it is an argument.
//!
//! Layout: [`tables`] has the settings, `keys` their names, `file` and `environment` their
//! sources, `layer` lays these over one another, [`check`] holds the rules, `material` gets the
//! key, [`place`] and [`error`] say what is wrong where.

pub mod check;
mod environment;
pub mod error;
mod file;
mod keys;
mod layer;
mod material;
pub mod place;
pub mod pushstream;
pub mod relay;
pub mod tables;
mod url;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use environment::variable;
pub use error::{ConfigError, Problem};
pub use layer::Places;
pub use place::Place;
pub use pushstream::PushStream;
pub use tables::{Config, Io, Redis, Secret, SlowSubscriber, StatsFrom, TokenAlgorithm};

pub(crate) use material::read_capped;

use layer::{Entry, Layers};

/// All settings with their defaults and what they mean, as a settings file.
pub const TEMPLATE: &str = include_str!("defaults.toml");

/// What the settings are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Worker and dispatcher in one process.
    #[value(name = "all")]
    AllInOne,
    /// A worker alone.
    Worker,
    /// A dispatcher alone.
    Dispatcher,
    /// A command that starts neither.
    #[value(skip)]
    Tool,
}

impl Role {
    /// Whether a worker runs.
    #[must_use]
    pub fn has_worker(self) -> bool {
        matches!(self, Role::AllInOne | Role::Worker)
    }

    /// Whether a key must be configured: demo keys are of use only to a cluster of one process.
    #[must_use]
    pub fn needs_key(self) -> bool {
        matches!(self, Role::Worker | Role::Dispatcher)
    }
}

impl Role {
    /// Whether it is one process of several, which share everything through Redis.
    #[must_use]
    pub fn needs_redis(self) -> bool {
        matches!(self, Role::Worker | Role::Dispatcher)
    }
}

/// What the command line says about settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// The settings file.
    pub config: Option<PathBuf>,
    /// Single settings.
    pub settings: Vec<FlagSetting>,
}

/// One setting on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagSetting {
    /// The flag, as it is written: `--set`, `--shards`.
    pub flag: &'static str,
    /// `table.key`, which may be wrong where the flag is `--set`.
    pub key: String,
    /// The value; lists are comma separated.
    pub value: String,
}

/// Settings that hold, and where each was set.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Where they were set.
    pub places: Places,
}

impl Loaded {
    /// Gathers the settings from file, environment and flags, and checks them.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn load(
        role: Role,
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Loaded, ConfigError> {
        let environment = environment::read(environment, role)?;
        let mut layers = Layers::new();
        if let Some(path) = flags.config.as_ref().or(environment.config.as_ref()) {
            layers.lay(file::read(path)?)?;
        }
        layers.lay(environment.entries)?;
        layers.lay(flags.settings.iter().map(FlagSetting::entry).collect::<Result<_, _>>()?)?;
        if let Some(announced) = environment.announced {
            layers.lay(announced.entry(&layers)?.into_iter().collect())?;
        }
        Loaded::checked(role, layers)
    }

    /// The settings of one file alone.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn from_file(role: Role, path: &Path) -> Result<Loaded, ConfigError> {
        let mut layers = Layers::new();
        layers.lay(file::read(path)?)?;
        Loaded::checked(role, layers)
    }

    fn checked(role: Role, layers: Layers) -> Result<Loaded, ConfigError> {
        let Layers { values, places } = layers;
        let config: Config = values
            .try_into()
            .map_err(|error| ConfigError::new(Place::Default, Problem::Syntax(error.message().to_owned())))?;
        match config.check(role) {
            Ok(()) => Ok(Loaded { config, places }),
            Err(error) => Err(places.locate(error)),
        }
    }
}

impl FlagSetting {
    fn entry(&self) -> Result<Entry, ConfigError> {
        let place = Place::Flag(self.flag.to_owned());
        let Some(key) = keys::find(&self.key) else {
            let suggestion = keys::suggest(&self.key);
            return Err(ConfigError::new(place, Problem::UnknownKey { key: self.key.clone(), suggestion }));
        };
        match keys::parse(key, &self.value) {
            Ok(value) => Ok(Entry { key, value, place }),
            Err(broken) => Err(ConfigError::new(place, broken)),
        }
    }
}
