//! `chatup cluster`: a Redis, workers and dispatchers on this machine, each a process of its own, for
//! trying out what becomes of a chat when one of them dies. Whatever dies is started again.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{CommandError, Environment, demo_keys};
use crate::cli::ClusterArgs;
use crate::state;

/// Longest wait for Redis and for each process to be ready, in milliseconds.
const READY_MS_MAX: u64 = 15_000;
/// Pause before what has died is started again, in milliseconds.
const RESTART_MS: u64 = 1_000;
/// Longest wait for a process to end in order, in milliseconds; then it is killed.
const END_MS_MAX: u64 = 10_000;
/// How often to look whether something has come about, in milliseconds.
const LOOK_MS: u64 = 50;

/// A process of the cluster, and how to start it again.
struct Member {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
}

/// Runs until told to stop.
pub(super) fn run(arguments: &ClusterArgs, environment: &Environment) -> Result<(), CommandError> {
    let variable = |name: &str| {
        environment.iter().find(|(variable, _)| variable == name).map(|(_, value)| value.clone())
    };
    let directory = state::directory(arguments.state_dir.as_deref(), variable)?;
    // Made now, by one: all of them use the same.
    demo_keys(arguments.state_dir.as_deref(), environment)?;
    let stopping = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stopping);
    ctrlc::set_handler(move || told.store(true, Ordering::SeqCst))
        .map_err(|error| CommandError::Cluster(format!("signals cannot be caught: {error}")))?;

    let (mut redis, mut others) = (None, Vec::new());
    let end_redis = Arc::new(AtomicBool::new(false));
    let result = start_all(arguments, &directory, (&stopping, &end_redis), &mut redis, &mut others);
    if result.is_err() {
        stopping.store(true, Ordering::SeqCst);
    }
    let join = |thread: JoinHandle<()>| {
        if thread.join().is_err() {
            eprintln!("a process of the cluster was not ended in order");
        }
    };
    others.into_iter().for_each(join);
    // The others told it that they end.
    end_redis.store(true, Ordering::SeqCst);
    redis.into_iter().for_each(join);
    result
}

/// Starts everything, each process under a thread of its own, and says where it is.
fn start_all(
    arguments: &ClusterArgs,
    directory: &Path,
    (stopping, end_redis): (&Arc<AtomicBool>, &Arc<AtomicBool>),
    redis_thread: &mut Option<JoinHandle<()>>,
    threads: &mut Vec<JoinHandle<()>>,
) -> Result<(), CommandError> {
    let cluster_error = |text: &str| CommandError::Cluster(text.to_owned());
    let redis_url = match &arguments.redis_url {
        Some(url) => url.clone(),
        None => {
            let port = free_port()?;
            let redis = redis_member(directory, port)?;
            *redis_thread = Some(supervise(redis, Arc::clone(end_redis), Arc::clone(stopping), None));
            wait_for(stopping, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(()))
                .ok_or_else(|| cluster_error("redis-server does not become ready"))?;
            format!("redis://127.0.0.1:{port}")
        }
    };

    let this = std::env::current_exe()?;
    let (ready, addresses) = mpsc::channel();
    let roles =
        [("worker", arguments.workers, 0), ("dispatcher", arguments.dispatchers, arguments.dispatcher_port)];
    let mut wanted = 0;
    for (role, count, first_port) in roles {
        for number in 1..=count {
            let port = if first_port == 0 { free_port()? } else { first_port + number - 1 };
            let mut own = vec![
                role.to_owned(),
                "--demo".to_owned(),
                format!("--state-dir={}", directory.display()),
                format!("--set=redis.url={redis_url}"),
                format!("--set={role}.port={port}"),
            ];
            if role == "worker" {
                own.push("--shards=1".to_owned());
            }
            own.extend(arguments.set.iter().map(|(key, value)| format!("--set={key}={value}")));
            let member = Member { name: format!("{role} {number}"), program: this.clone(), arguments: own };
            threads.push(supervise(member, Arc::clone(stopping), Arc::clone(stopping), Some(ready.clone())));
            wanted += 1;
        }
    }
    drop(ready);
    let mut found = Vec::new();
    let complete = wait_for(stopping, || {
        found.extend(addresses.try_iter());
        (found.len() >= wanted).then_some(())
    });
    match complete {
        Some(()) => print(&redis_url, &mut found),
        // Told to stop meanwhile is no fault.
        None if threads.iter().all(|thread| !thread.is_finished()) && stopping.load(Ordering::SeqCst) => {
            Ok(())
        }
        None => Err(cluster_error("not every process became ready; what they say stands above")),
    }
}

/// A Redis that keeps what it is told, in the state directory.
fn redis_member(directory: &Path, port: u16) -> Result<Member, CommandError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let program =
        std::env::split_paths(&path).map(|folder| folder.join("redis-server")).find(|path| path.is_file());
    let program = program.ok_or_else(|| {
        CommandError::Cluster(
            "redis-server is missing: apt-get install redis-server, or give --redis-url for one that runs"
                .to_owned(),
        )
    })?;
    let data = directory.join("cluster-redis");
    std::fs::create_dir_all(&data)?;
    let arguments = [
        "--port",
        &port.to_string(),
        "--bind",
        "127.0.0.1",
        "--appendonly",
        "yes",
        "--loglevel",
        "warning",
        "--dir",
        &data.display().to_string(),
    ];
    let arguments = arguments.iter().map(|&one| one.to_owned()).collect();
    Ok(Member { name: "redis".to_owned(), program, arguments })
}

/// A port that is free now. It could be taken before it is used: then the process says so.
fn free_port() -> Result<u16, CommandError> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

type Ready = mpsc::Sender<(String, String, u32)>;

/// Keeps a process running until told to stop; tells once where it is. Where it cannot be kept running,
/// all are stopped.
fn supervise(
    member: Member,
    stopping: Arc<AtomicBool>,
    all: Arc<AtomicBool>,
    ready: Option<Ready>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut ready = ready;
        while !stopping.load(Ordering::SeqCst) {
            let spawned = Command::new(&member.program)
                .args(&member.arguments)
                .stdin(Stdio::null())
                // Ctrl+C is for this process, which ends the others in their order.
                .process_group(0)
                .stdout(if member.name == "redis" { Stdio::null() } else { Stdio::piped() })
                .spawn();
            let mut child = match spawned {
                Ok(child) => child,
                Err(error) => {
                    eprintln!("{} cannot be started: {error}", member.name);
                    all.store(true, Ordering::SeqCst);
                    return;
                }
            };
            let started = Instant::now();
            tell_address(&member.name, &mut child, &mut ready);
            let ended = loop {
                match child.try_wait() {
                    Ok(Some(status)) => break status.to_string(),
                    Err(error) => break error.to_string(),
                    Ok(None) if stopping.load(Ordering::SeqCst) => return end(&mut child),
                    Ok(None) => std::thread::sleep(Duration::from_millis(LOOK_MS)),
                }
            };
            if stopping.load(Ordering::SeqCst) {
                return;
            }
            if started.elapsed() < Duration::from_millis(RESTART_MS) && ready.is_some() {
                // It says itself why; trying on would not help.
                eprintln!("{} ended at once: {ended}", member.name);
                all.store(true, Ordering::SeqCst);
                return;
            }
            eprintln!("{} ended ({ended}); it is started again", member.name);
            std::thread::sleep(Duration::from_millis(RESTART_MS));
        }
    })
}

/// Reads the line in which a process says where it is; goes on reading, so that it is never held up.
fn tell_address(name: &str, child: &mut Child, ready: &mut Option<Ready>) {
    let Some(out) = child.stdout.take() else { return };
    let (name, pid) = (name.to_owned(), child.id());
    let ready = Arc::new(Mutex::new(ready.take()));
    let mut lines = BufReader::new(out).lines();
    std::thread::spawn(move || {
        while let Some(Ok(line)) = lines.next() {
            if !line.starts_with("ChatUp ") {
                continue;
            }
            let address =
                line.split_once(": ").map_or("", |(_, rest)| rest.split(' ').next().unwrap_or(rest));
            match ready.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(ready) => drop(ready.send((name.clone(), address.to_owned(), pid))),
                None => eprintln!("{name} is back: pid {pid}"),
            }
        }
    });
}

/// Ends a process in order, or else by force.
fn end(child: &mut Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
    let patience = Duration::from_millis(if asked { END_MS_MAX } else { 0 });
    let since = Instant::now();
    while since.elapsed() < patience {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(LOOK_MS));
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn wait_for<T>(stopping: &AtomicBool, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(READY_MS_MAX) && !stopping.load(Ordering::SeqCst) {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(LOOK_MS));
    }
    None
}

fn print(redis_url: &str, found: &mut [(String, String, u32)]) -> Result<(), CommandError> {
    found.sort();
    let mut out = std::io::stdout().lock();
    writeln!(out, "ChatUp cluster over {redis_url}")?;
    for (name, address, pid) in found.iter() {
        writeln!(out, "  {name:13} pid {pid:<8} {address}")?;
    }
    let pages: Vec<&str> = found
        .iter()
        .filter(|(name, ..)| name.starts_with("dispatcher"))
        .map(|(_, url, _)| url.as_str())
        .collect();
    if let Some(page) = pages.first() {
        writeln!(
            out,
            "Open {page} in one window and {} in another, and chat.",
            pages.last().unwrap_or(page)
        )?;
    }
    writeln!(
        out,
        "End any process with kill -9: it is started again, and the chat goes on. Stop all with Ctrl+C."
    )?;
    Ok(out.flush()?)
}
