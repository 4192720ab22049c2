//! One run: a server is started on its core, loadgen runs against it from the other, the server is ended,
//! and the figures are read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::Error;
use super::kinds::Kind;
use super::process::{Program, free_port};
use super::report::Report;
use super::results::{Run, rounded};
use super::servers::Server;

/// The core of the servers.
const SERVER_CORE: usize = 0;
/// The core of the clients.
const CLIENT_CORE: usize = 1;
/// How long a server may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// How long bringing what a server needs may take.
const INSTALL_WITHIN: Duration = Duration::from_secs(600);

/// Where things are.
#[derive(Debug)]
pub struct Places {
    /// `bench/peers`.
    pub peers: PathBuf,
    /// The load generator.
    pub loadgen: PathBuf,
    /// The folder of this crate's programs.
    pub programs: PathBuf,
    /// A folder for what is written meanwhile.
    pub scratch: PathBuf,
}

impl Places {
    fn script(&self, server: &Server, word: &str) -> Command {
        let mut command = Command::new(self.peers.join(server.folder).join("run"));
        command.arg(word).env("BIN", &self.programs);
        command
    }

    /// Brings what a server needs, and says its version.
    ///
    /// # Errors
    /// It cannot be brought.
    pub fn install(&self, server: &Server) -> Result<String, Error> {
        let log = self.scratch.join("install.log");
        for word in ["install", "version"] {
            let mut script = Program::start(self.script(server, word), None, &log)?;
            let status = script.wait(INSTALL_WITHIN)?;
            if !status.success() {
                return Err(script.failed(status.to_string()));
            }
        }
        Ok(fs::read_to_string(&log).map_err(Error::file(&log))?.trim().to_owned())
    }

    /// Runs a kind of load against a server.
    ///
    /// # Errors
    /// The server or loadgen failed, or all is to end.
    pub fn run(&self, server: &Server, kind: Kind, quick: bool, round: u32) -> Result<(Run, Report), Error> {
        let folder = self.scratch.join("server");
        let output = self.scratch.join("report.json");
        // The last run's report must not be taken for this one's, nor its server's files.
        let _ = fs::remove_dir_all(&folder);
        let _ = fs::remove_file(&output);
        fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        let port = free_port()?;
        let running = self.start(server, port, &folder)?;
        let mut loadgen = Command::new(&self.loadgen);
        loadgen.args(kind.arguments(quick).split(' ')).args(server.target(port, &folder));
        loadgen.args(["--quiet", "--client-cores", &CLIENT_CORE.to_string()]);
        // It looks at the children of this process, too.
        loadgen.args(["--pid", &running.pid().to_string()]).arg("--output").arg(&output);
        let mut loadgen = Program::start(loadgen, None, &self.scratch.join("loadgen.log"))?;
        let status = loadgen.wait(kind.limit())?;
        // Without a report there is nothing to say; with one, what it says goes for more than the status.
        if !output.exists() {
            return Err(loadgen.failed(status.to_string()));
        }
        drop(running);
        let report = read(&output)?;
        let mut doubts = report.verdict.reasons.clone();
        if doubts.is_empty() && report.clients.connected < report.clients.asked {
            doubts.push("not all clients got in".to_owned());
        }
        let figures = rounded(kind.figures(&report));
        Ok((Run { round, server: server.name.to_owned(), doubts, figures }, report))
    }

    fn start(&self, server: &Server, port: u16, folder: &Path) -> Result<Program, Error> {
        let mut command = self.script(server, "start");
        command.args(server.arguments).env("PORT", port.to_string()).env("DIR", folder);
        let mut program = Program::start(command, Some(SERVER_CORE), &self.scratch.join("server.log"))?;
        program.wait_ready(port, server.ready_path(), READY_WITHIN)?;
        Ok(program)
    }
}

fn read(path: &Path) -> Result<Report, Error> {
    let text = fs::read_to_string(path).map_err(Error::file(path))?;
    serde_json::from_str(&text).map_err(|error| Error::Form { path: path.to_owned(), error })
}
