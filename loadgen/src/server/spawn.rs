//! Starts ChatUp itself: one process or several side by side, each with a broker of its own.

use std::fs::{self, DirBuilder};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Deserialize;

use crate::cli::Options;
use crate::door::Door;
use crate::limits::PROCESS_WITHIN;
use crate::machine;
use crate::plan::Sizes;
use crate::scenario::Shape;

/// Descriptors of a server's process that are not for its clients, at most.
const SERVER_DESCRIPTORS_APART: u64 = 256;
/// The part of its descriptors that an all-in-one keeps for its dispatcher: a quarter, at most so many.
const DISPATCHER_DESCRIPTORS_MAX: u64 = 4_096;

/// Most server processes that are started.
const SERVERS_MAX: u32 = 1_000;

/// Servers that end with this.
#[derive(Debug)]
pub struct Servers {
    children: Vec<Child>,
    /// Where they are.
    pub doors: Vec<Door>,
    /// What their tokens are signed with.
    pub secret: String,
    folder: PathBuf,
}

/// What the program prints when it is ready.
#[derive(Deserialize)]
struct Ready {
    worker: String,
}

/// How many server processes so many clients take.
#[must_use]
pub fn needed(clients: u32, shape: &Shape) -> u32 {
    let descriptors = machine::descriptors();
    let apart = SERVER_DESCRIPTORS_APART + (descriptors / 4).min(DISPATCHER_DESCRIPTORS_MAX);
    let room = descriptors.saturating_sub(apart).max(1);
    let (clients, publishers) = (u64::from(clients), u64::from(shape.publishers_about));
    let passers = u64::from(shape.aside.passers);
    let most = |servers: u64| match &shape.sizes {
        // Whole channels go to one server (see Plan::place).
        Sizes::Even(channels) if u64::from(*channels) >= servers => {
            let channels = u64::from(*channels);
            channels.div_ceil(servers) * (clients.div_ceil(channels) + publishers.div_ceil(channels))
        }
        // Each channel has its publishers at each server.
        _ => (clients + passers).div_ceil(servers) + publishers,
    };
    let enough = (1..=u64::from(SERVERS_MAX)).find(|servers| most(*servers) <= room);
    enough.map_or(SERVERS_MAX, |servers| u32::try_from(servers).unwrap_or(SERVERS_MAX))
}

/// The server's program.
fn program(options: &Options) -> Result<PathBuf, String> {
    if let Some(program) = &options.server_bin {
        return if program.is_file() {
            Ok(program.clone())
        } else {
            Err(format!("there is no program {}", program.display()))
        };
    }
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("chatup"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|folder| folder.join("chatup"));
    beside.into_iter().chain(in_path).find(|program| program.is_file()).ok_or_else(|| {
        "the program chatup is neither beside this one nor in the path: cargo build --release -p chatup, \
         or --server-bin FILE"
            .to_owned()
    })
}

impl Servers {
    /// Starts so many.
    ///
    /// # Errors
    /// Why one did not start, in words.
    pub fn start(options: &Options, number: u32, secret: String) -> Result<Servers, String> {
        let program = program(options)?;
        let folder = std::env::temp_dir().join(format!("loadgen-{}", std::process::id()));
        // For nobody else to read: the secret is in it.
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| format!("{}: {error}", folder.display()))?;
        let key = folder.join("secret");
        fs::write(&key, &secret).map_err(|error| format!("{}: {error}", key.display()))?;
        let mut servers = Servers { children: Vec::new(), doors: Vec::new(), secret, folder };
        for server in 0..number {
            servers.start_one(options, &program, &key, server)?;
        }
        Ok(servers)
    }

    fn start_one(
        &mut self,
        options: &Options,
        program: &Path,
        key: &Path,
        number: u32,
    ) -> Result<(), String> {
        let mut command = Command::new(program);
        command.args(["--print", "json", "--log", "warn", "--dispatcher-port", "0", "--worker-port", "0"]);
        command.args(["--algorithm", "HS256", "--shards", &options.shards.to_string()]);
        command.arg("--key-file").arg(key);
        if let Some(cores) = cores(&options.server_cores, number, options.shards) {
            command.args(["--cores", &cores]);
        }
        if options.protocol.is_pushstream() {
            command.args(["--set", "pushstream.enabled=true"]);
        }
        for setting in &options.server_set {
            command.args(["--set", setting]);
        }
        // Its own group: Ctrl-C is for the leading process, which ends the servers in order.
        command.process_group(0);
        // All threads of the server are to stay on these cores: what starts them hands its own on.
        let own = sched_getaffinity(None).map_err(|error| error.to_string())?;
        if !options.server_cores.is_empty() {
            let mut cores = CpuSet::new();
            options
                .server_cores
                .iter()
                .filter(|core| **core < CpuSet::MAX_CPU)
                .for_each(|core| cores.set(*core));
            sched_setaffinity(None, &cores)
                .map_err(|error| format!("--server-cores {:?}: {error}", options.server_cores))?;
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        sched_setaffinity(None, &own).map_err(|error| error.to_string())?;
        let mut child = child.map_err(|error| format!("{}: {error}", program.display()))?;
        let out = child.stdout.take();
        self.children.push(child);
        let (first, line) = crossbeam_channel::bounded(1);
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = out.map(|out| BufReader::new(out).read_line(&mut line));
            if matches!(read, Some(Ok(_))) {
                let _ = first.send(line);
            }
        });
        let line = line.recv_timeout(PROCESS_WITHIN).unwrap_or_default();
        let ready: Ready = serde_json::from_str(&line)
            .map_err(|_| format!("{} did not start: it says why above", program.display()))?;
        let authority = ready.worker.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let address = authority.parse().map_err(|_| format!("a worker at {authority}"))?;
        let path = String::new();
        self.doors.push(Door { authority, address, dispatcher: false, path, subscribers: None });
        Ok(())
    }

    /// Process ids.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.children.iter().map(Child::id).collect()
    }
}

/// The cores of the `number`-th server with so many shards.
fn cores(given: &[usize], number: u32, shards: u32) -> Option<String> {
    let all = if given.is_empty() { machine::cores() } else { given.to_vec() };
    if all.is_empty() {
        return None;
    }
    let first = (number * shards) as usize;
    let own = (0..(shards as usize).min(all.len())).map(|shard| all[(first + shard) % all.len()].to_string());
    Some(own.collect::<Vec<_>>().join(","))
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &self.children {
            if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        let until = Instant::now() + PROCESS_WITHIN;
        for child in &mut self.children {
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
