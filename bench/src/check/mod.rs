//! `bench-check`: is the head slower than the base? Knows nothing of this project: what is built,
//! run, compared and allowed stands in one file.
//!
//! Layout, in the order of a run:
//! - [`config`], [`words`]: the file, and commands with places in them
//! - [`revision`]: what git knows, laid out in two slots
//! - [`process`]: commands run to their end
//! - [`counted`]: instructions of pure cases, which repeat exactly
//! - [`paired`], [`metric`], [`statistics`]: runs of both revisions in turn, and what they tell
//! - [`report`], [`table`]: what was found, as JSON and for people

pub mod config;
pub mod counted;
pub mod metric;
pub mod paired;
pub mod process;
pub mod report;
pub mod revision;
pub mod statistics;
pub mod table;
pub mod words;

use std::path::{Path, PathBuf};
use std::time::Duration;

use config::Config;
use process::{Command, ProcessError};
use report::Report;
use revision::{Repository, Revision, Slot};
use words::{Places, Words};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file.
    pub config: PathBuf,
    /// The revision to compare with.
    pub base: String,
    /// The revision to judge.
    pub head: String,
    /// Pairs before the first look, instead of what the file says.
    pub pairs: Option<usize>,
    /// Only these: `counted`, or names of paired runs. All, if empty.
    pub only: Vec<String>,
}

/// Why nothing could be said.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The file.
    #[error("{0}")]
    Config(#[from] config::ConfigError),
    /// A revision.
    #[error("{0}")]
    Revision(#[from] revision::RevisionError),
    /// A command.
    #[error("{0}")]
    Process(#[from] ProcessError),
    /// Instructions could not be counted.
    #[error("{0}")]
    Counted(#[from] counted::CountedError),
    /// A paired run told nothing.
    #[error("{0}")]
    Paired(#[from] paired::PairedError),
}

/// Where progress is told, a line at a time.
pub type Tell = dyn Fn(&str) + Sync;

/// One of the two revisions, laid out.
#[derive(Debug)]
pub struct Side {
    /// Where.
    pub slot: Slot,
    /// What.
    pub revision: Revision,
}

impl Side {
    /// As messages name it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.slot.name, self.revision)
    }

    /// Whether it has this file; all have no file in particular.
    #[must_use]
    pub fn has(&self, when: Option<&str>) -> bool {
        when.is_none_or(|path| self.slot.source.join(path).exists())
    }

    /// The places of its commands. `tools` is where the tools that both are measured with were built.
    #[must_use]
    pub fn places(&self, tools: &Path) -> Places {
        Places::default()
            .with("source", &self.slot.source.to_string_lossy())
            .with("build", &self.slot.build.to_string_lossy())
            .with("tools", &tools.to_string_lossy())
    }

    /// A command of this side.
    #[must_use]
    pub fn command(&self, words: Vec<String>, timeout: Duration, log: &str) -> Command {
        Command {
            who: self.name(),
            words,
            directory: self.slot.source.clone(),
            environment: vec![("CARGO_TARGET_DIR".into(), self.slot.build.clone().into_os_string())],
            timeout,
            log: self.slot.logs.join(log),
            ends_leftovers: true,
        }
    }
}

/// Compares the two revisions.
///
/// # Errors
/// What was wrong with the file, a revision, or a command.
pub fn run(options: &Options, tell: &Tell) -> Result<Report, CheckError> {
    let mut config = Config::read(&options.config)?;
    config.keep_only(&options.only)?;
    if let Some(pairs) = options.pairs {
        config.set_pairs(pairs)?;
    }
    let repository = Repository::find(&config.directory)?;
    let _lock = repository.lock()?;
    // Both before anything is laid out: the work tree may change meanwhile.
    let base = repository.resolve(&options.base)?;
    let head = if options.head == options.base { base.clone() } else { repository.resolve(&options.head)? };
    let base = Side { slot: repository.lay_out("base", &base)?, revision: base };
    let head = Side { slot: repository.lay_out("head", &head)?, revision: head };

    build(&base, &config, false, tell)?;
    build(&head, &config, true, tell)?;
    let mut report = Report::new(&base.revision, &head.revision);
    if let Some(counted) = &config.counted {
        report.counted = counted::run(counted, &base, &head, tell)?;
    }
    for paired in &config.paired {
        report.paired.push(paired::run(paired, &base, &head, tell)?);
    }
    report.conclude();
    Ok(report)
}

/// Builds what the runs need of one revision; with the tools, for the head.
fn build(side: &Side, config: &Config, tools: bool, tell: &Tell) -> Result<(), CheckError> {
    let mut commands: Vec<&Words> = Vec::new();
    if let Some(counted) = config.counted.as_ref().filter(|counted| side.has(counted.when.as_deref())) {
        commands.extend(&counted.build);
    }
    for paired in &config.paired {
        if side.has(paired.when.as_deref()) {
            commands.extend(&paired.build);
        }
        if tools {
            commands.extend(&paired.tools);
        }
    }
    let mut built: Vec<&Words> = Vec::new();
    for words in commands {
        if built.contains(&words) {
            continue;
        }
        built.push(words);
        let log = format!("build-{}", built.len());
        let mut command =
            side.command(words.fill(&side.places(&side.slot.build)), config.build_timeout(), &log);
        // A compiler's cache may have started a server that the next build wants.
        command.ends_leftovers = false;
        tell(&format!("{}: {}", side.name(), command.shown()));
        command.run()?;
    }
    Ok(())
}
