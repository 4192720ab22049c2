//! The one file: what is built, run and compared, and what is tolerated. Its fields are its
//! documentation; `bench/README.md` has an example that is complete.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::metric::Metric;
use super::statistics::Plan;
use super::words::Words;

/// The file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where revisions are laid out and built, below the repository's root. Kept between runs.
    #[serde(default = "directory")]
    pub directory: PathBuf,
    /// Time for each build command, in seconds.
    #[serde(default = "build_timeout_s")]
    pub build_timeout_s: u64,
    /// Instructions of pure cases.
    pub counted: Option<Counted>,
    /// Whole programs, run in turn.
    #[serde(default)]
    pub paired: Vec<Paired>,
}

/// Cases that do the same each time, under callgrind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// A revision without this path has no cases.
    pub when: Option<String>,
    /// What builds them; run in the revision's source, with `CARGO_TARGET_DIR` set to `{build}`.
    #[serde(default)]
    pub build: Vec<Words>,
    /// What prints the cases' names, a line each.
    pub list: Words,
    /// What repeats `{case}` so often: `{iterations}`.
    pub run: Words,
    /// What is put before `run`, and writes its count behind `summary:` or `totals:` into `{out}`.
    #[serde(default = "callgrind")]
    pub counter: Words,
    /// Few and many iterations: one iteration costs the difference of the counts over theirs.
    pub iterations: [u64; 2],
    /// By how much a case may count more: 0.01 is 1 %.
    pub tolerance: f64,
    /// Time for one count, in seconds.
    #[serde(default = "timeout_s")]
    pub timeout_s: u64,
    /// What is different for single cases.
    #[serde(default)]
    pub case: Vec<CaseSettings>,
}

/// What is different for one case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseSettings {
    /// Which.
    pub name: String,
    /// Few and many iterations.
    pub iterations: Option<[u64; 2]>,
    /// By how much it may count more.
    pub tolerance: Option<f64>,
}

/// A command that is run of both revisions in turn.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paired {
    /// Its name.
    pub name: String,
    /// A revision without this path is not run.
    pub when: Option<String>,
    /// What builds it.
    #[serde(default)]
    pub build: Vec<Words>,
    /// What builds the tools that both revisions are measured with: run for the head alone, found
    /// under `{tools}`.
    #[serde(default)]
    pub tools: Vec<Words>,
    /// What is run. `{source}`, `{build}` and `{tools}` are folders, `{run}` the number of the pair
    /// (from 0). If `{report}` occurs, that file is read; else what the command prints is the report.
    pub command: Words,
    /// Its environment, besides; with the same places.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Pointer to a flag in the report that says the run is not to be believed: its pair is run anew.
    pub invalid: Option<String>,
    /// Pairs from one look to the next.
    #[serde(default = "pairs")]
    pub pairs: usize,
    /// Pairs at most, while it cannot be told.
    #[serde(default = "pairs_max")]
    pub pairs_max: usize,
    /// How sure to be, all looks together.
    #[serde(default = "confidence")]
    pub confidence: f64,
    /// Time for one run, in seconds.
    #[serde(default = "timeout_s")]
    pub timeout_s: u64,
    /// What is compared.
    pub metric: Vec<Metric>,
}

fn directory() -> PathBuf {
    "target/bench-check".into()
}

fn build_timeout_s() -> u64 {
    3_600
}

fn timeout_s() -> u64 {
    600
}

fn pairs() -> usize {
    8
}

fn pairs_max() -> usize {
    24
}

fn confidence() -> f64 {
    0.95
}

fn callgrind() -> Words {
    Words::split("valgrind --tool=callgrind --callgrind-out-file={out}")
}

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is not of this form.
    #[error("{}: {error}", path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// What the parser says.
        error: Box<toml::de::Error>,
    },
    /// It asks for what cannot be.
    #[error("{place}: {rule}")]
    Rule {
        /// Where.
        place: String,
        /// What must hold.
        rule: String,
    },
    /// There is nothing of that name.
    #[error("there is nothing named {name:?}; there are: {names}")]
    Unknown {
        /// Asked for.
        name: String,
        /// What there is.
        names: String,
    },
}

impl Config {
    /// Reads the file and checks it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::Read { path: path.into(), error })?;
        let config: Config = toml::from_str(&text)
            .map_err(|error| ConfigError::Form { path: path.into(), error: Box::new(error) })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let inside = self.directory.is_relative() && !self.directory.as_os_str().is_empty();
        hold(inside, "directory", "a path below the repository's root")?;
        if let Some(counted) = &self.counted {
            counted.check()?;
        }
        for (index, paired) in self.paired.iter().enumerate() {
            let place = format!("paired {:?}", paired.name);
            let twice = self.paired[..index].iter().any(|other| other.name == paired.name);
            hold(!twice && paired.name != "counted", &place, "the name is taken")?;
            paired.check(&place)?;
        }
        Ok(())
    }

    /// Leaves out whatever is not named; with no names, nothing.
    ///
    /// # Errors
    /// There is nothing of that name.
    pub fn keep_only(&mut self, names: &[String]) -> Result<(), ConfigError> {
        let mut known: Vec<&str> = self.paired.iter().map(|paired| paired.name.as_str()).collect();
        known.extend(self.counted.is_some().then_some("counted"));
        if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(ConfigError::Unknown { name: name.clone(), names: known.join(", ") });
        }
        if !names.is_empty() {
            self.counted.take_if(|_| !names.iter().any(|name| name == "counted"));
            self.paired.retain(|paired| names.contains(&paired.name));
        }
        Ok(())
    }

    /// Looks after so many pairs first, in all paired runs.
    ///
    /// # Errors
    /// So few can tell nothing.
    pub fn set_pairs(&mut self, pairs: usize) -> Result<(), ConfigError> {
        for paired in &mut self.paired {
            paired.pairs = pairs;
            paired.pairs_max = paired.pairs_max.max(pairs);
        }
        self.check()
    }

    /// Time for each build command.
    #[must_use]
    pub fn build_timeout(&self) -> Duration {
        Duration::from_secs(self.build_timeout_s)
    }
}

impl Counted {
    fn check(&self) -> Result<(), ConfigError> {
        let place = "counted";
        hold(!self.list.is_empty() && !self.run.is_empty(), place, "list and run must name programs")?;
        let full = self.run.mentions("case") && self.run.mentions("iterations");
        hold(full, place, "run must have the places {case} and {iterations}")?;
        hold(self.counter.mentions("out"), place, "counter must have the place {out}")?;
        check_counts(self.iterations, self.tolerance, place)?;
        for case in &self.case {
            let (iterations, tolerance) = self.of(&case.name);
            check_counts(iterations, tolerance, &format!("counted case {:?}", case.name))?;
        }
        Ok(())
    }

    /// Iterations and tolerance of a case.
    #[must_use]
    pub fn of(&self, name: &str) -> ([u64; 2], f64) {
        let case = self.case.iter().find(|case| case.name == name);
        let iterations = case.and_then(|case| case.iterations).unwrap_or(self.iterations);
        (iterations, case.and_then(|case| case.tolerance).unwrap_or(self.tolerance))
    }
}

impl Paired {
    fn check(&self, place: &str) -> Result<(), ConfigError> {
        hold(!self.name.is_empty(), place, "it needs a name")?;
        hold(!self.command.is_empty(), place, "command must name a program")?;
        hold(!self.metric.is_empty(), place, "it needs a metric")?;
        for metric in &self.metric {
            check_tolerance(metric.tolerance, place)?;
        }
        hold(self.pairs >= 1 && self.pairs <= self.pairs_max, place, "1 <= pairs <= pairs_max")?;
        hold((0.5..1.0).contains(&self.confidence), place, "confidence is 0.5 to below 1")?;
        let pairs_min = self.plan().pairs_min();
        let rule = format!(
            "with this confidence and {} looks, pairs must be {pairs_min} or more",
            self.plan().looks()
        );
        hold(self.pairs >= pairs_min, place, &rule)
    }

    /// When to look.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan { pairs: self.pairs, pairs_max: self.pairs_max, confidence: self.confidence }
    }
}

fn check_counts([few, many]: [u64; 2], tolerance: f64, place: &str) -> Result<(), ConfigError> {
    hold(few < many, place, "iterations are [few, many], few < many")?;
    check_tolerance(tolerance, place)
}

fn check_tolerance(tolerance: f64, place: &str) -> Result<(), ConfigError> {
    hold((0.0..10.0).contains(&tolerance), place, "a tolerance is a share: 0.05 is 5 %")
}

fn hold(holds: bool, place: &str, rule: &str) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::Rule { place: place.into(), rule: rule.into() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTED: &str =
        "[counted]\nlist = 'l'\nrun = 'r {case} {iterations}'\niterations = [1, 3]\ntolerance = 0.01\n";
    const PAIRED: &str =
        "[[paired]]\nname = 'p'\ncommand = 'c'\nmetric = [{ name = 'm', sum = '/x', tolerance = 0.05 }]\n";

    fn check(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn files_that_cannot_be_obeyed() {
        let table = [
            (String::new(), ""),
            (format!("{COUNTED}{PAIRED}"), ""),
            ("directory = '/x'".into(), "directory: a path below the repository's root"),
            ("speed = 1".into(), "unknown field `speed`"),
            (COUNTED.replace("[1, 3]", "[3, 3]"), "counted: iterations are [few, many], few < many"),
            (COUNTED.replace("{case}", "x"), "counted: run must have the places {case} and {iterations}"),
            (format!("{COUNTED}counter = 'perf'"), "counted: counter must have the place {out}"),
            (
                format!("{COUNTED}[[counted.case]]\nname = 'a'\niterations = [5, 1]"),
                "counted case \"a\": iterations are [few, many], few < many",
            ),
            (PAIRED.replace("0.05", "5"), ""),
            (PAIRED.replace("0.05", "50"), "paired \"p\": a tolerance is a share: 0.05 is 5 %"),
            (PAIRED.replace("'c'", "''"), "paired \"p\": command must name a program"),
            (PAIRED.replace("name = 'p'", "name = 'counted'"), "paired \"counted\": the name is taken"),
            (format!("{PAIRED}{PAIRED}"), "paired \"p\": the name is taken"),
            (format!("{PAIRED}pairs = 30"), "paired \"p\": 1 <= pairs <= pairs_max"),
            (
                format!("{PAIRED}pairs = 5"),
                "paired \"p\": with this confidence and 5 looks, pairs must be 8 or more",
            ),
        ];
        for (text, expected) in table {
            let found = check(&text).map(|_| String::new()).unwrap_or_else(|error| error);
            assert!(
                found.starts_with(expected) && found.is_empty() == expected.is_empty(),
                "{text}\n{found}"
            );
        }
    }

    #[test]
    fn a_case_may_differ() {
        let text = format!("{COUNTED}[[counted.case]]\nname = 'slow'\niterations = [1, 2]");
        let counted = check(&text).unwrap().counted.unwrap();
        assert_eq!(counted.of("slow"), ([1, 2], 0.01));
        assert_eq!(counted.of("other"), ([1, 3], 0.01));
    }

    #[test]
    fn parts_can_be_left_out() {
        let all = check(&format!("{COUNTED}{PAIRED}")).unwrap();
        for (names, counted, paired) in [(vec![], true, 1), (vec!["counted"], true, 0), (vec!["p"], false, 1)]
        {
            let mut config = all.clone();
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            config.keep_only(&names).unwrap();
            assert_eq!((config.counted.is_some(), config.paired.len()), (counted, paired), "{names:?}");
        }
        let error = all.clone().keep_only(&["q".into()]).unwrap_err();
        assert_eq!(error.to_string(), "there is nothing named \"q\"; there are: p, counted");
    }

    #[test]
    fn the_projects_own_file_is_in_order() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("check.toml");
        Config::read(&path).unwrap();
    }

    #[test]
    fn the_readmes_examples_are_in_order() {
        let readme = include_str!("../../README.md");
        let examples: Vec<&str> =
            readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert_eq!(examples.len(), 2);
        for text in examples.iter().copied().map(str::to_owned).chain([examples.concat()]) {
            check(&text).unwrap();
        }
    }
}
