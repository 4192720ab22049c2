//! What is kept of a comparison: one file a kind of run, one line a run, so that a change is easy to read.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Error;
use super::kinds::{Figures, Kind};
use super::report::Report;

/// All runs of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// How they were made.
    pub made: Made,
    /// In the order in which they were run.
    pub runs: Vec<Run>,
}

/// How results were made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// The command that made them.
    pub command: String,
    /// What loadgen was asked for.
    pub load: String,
    /// When the first run began, in UTC.
    pub started: String,
    /// The machine and its kernel, in words.
    pub machine: String,
    /// The servers' versions, by name.
    pub versions: BTreeMap<String, String>,
}

/// One run of one server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Which round; the first is 1.
    pub round: u32,
    /// The server's name.
    pub server: String,
    /// Why its figures cannot be believed, or are missing; empty where all is well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
    /// What was measured.
    pub figures: Figures,
}

impl Results {
    /// Notes the time and the machine, once.
    pub fn note(&mut self, report: &Report) {
        if self.made.started.is_empty() {
            self.made.started.clone_from(&report.started);
        }
        if let (true, Some(machine)) = (self.made.machine.is_empty(), report.machines.first()) {
            self.made.machine = format!(
                "{}, {} cores, {} GiB, Linux {}",
                machine.processor.trim(),
                machine.cores,
                machine.memory_bytes.div_ceil(1 << 30),
                machine.kernel.trim()
            );
        }
    }

    /// As a file: everything about one run on one line.
    ///
    /// # Errors
    /// None is known: all of it can be written as JSON.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let made = serde_json::to_string_pretty(&self.made)?.replace('\n', "\n  ");
        let mut text = format!("{{\n  \"made\": {made},\n  \"runs\": [");
        for (at, run) in self.runs.iter().enumerate() {
            let separator = if at == 0 { "" } else { "," };
            let _ = write!(text, "{separator}\n    {}", serde_json::to_string(run)?);
        }
        text.push_str("\n  ]\n}\n");
        Ok(text)
    }

    /// Reads what was kept of this kind; `None` where nothing was.
    ///
    /// # Errors
    /// The file cannot be read, or is of another form.
    pub fn read(folder: &Path, kind: Kind) -> Result<Option<Self>, Error> {
        let path = folder.join(format!("{}.json", kind.name()));
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
        serde_json::from_str(&text).map(Some).map_err(|error| Error::Form { path, error })
    }

    /// Keeps them instead of what was kept of this kind.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, folder: &Path, kind: Kind) -> Result<(), Error> {
        let path = folder.join(format!("{}.json", kind.name()));
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
        let text = self.to_json().map_err(|error| Error::Form { path: path.clone(), error })?;
        fs::write(&path, text).map_err(Error::file(path))
    }
}

/// A figure as it is kept: six digits say more than any run can.
#[must_use]
pub fn rounded(figures: Figures) -> Figures {
    let round = |figure: f64| format!("{figure:.5e}").parse().unwrap_or(figure);
    figures.into_iter().map(|(name, figure)| (name, round(figure))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::report::Machine;
    use super::*;

    #[test]
    fn what_is_kept_reads_back_and_has_a_line_a_run() {
        let run = |round, server: &str| Run {
            round,
            server: server.to_owned(),
            doubts: Vec::new(),
            figures: rounded(Figures::from([("cpu_us".to_owned(), 1.0 / 3.0)])),
        };
        let mut results = Results { runs: vec![run(1, "floor"), run(1, "bun")], ..Results::default() };
        results.runs[1].doubts.push("why".to_owned());
        results.made.versions.insert("bun".to_owned(), "Bun 1".to_owned());
        let text = results.to_json().unwrap();
        assert_eq!(serde_json::from_str::<Results>(&text).unwrap(), results);
        assert!(
            text.contains("\n    {\"round\":1,\"server\":\"floor\",\"figures\":{\"cpu_us\":0.333333}},\n")
        );
        let empty = Results::default();
        assert_eq!(serde_json::from_str::<Results>(&empty.to_json().unwrap()).unwrap(), empty);
    }

    #[test]
    fn the_first_report_tells_time_and_machine() {
        let mut results = Results::default();
        for started in ["first", "second"] {
            results.note(&Report {
                started: started.to_owned(),
                machines: vec![Machine {
                    processor: "A processor ".to_owned(),
                    cores: 2,
                    memory_bytes: (24 << 30) - 100,
                    kernel: "7".to_owned(),
                }],
                ..Report::default()
            });
        }
        assert_eq!(results.made.started, "first");
        assert_eq!(results.made.machine, "A processor, 2 cores, 24 GiB, Linux 7");
    }
}
