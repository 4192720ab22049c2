//! One fault at a time, out of a seed: made, kept for a while, mended; then everybody has to recover.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::board::Board;
use super::cluster::Cluster;
use super::proxy::{Proxy, Trouble, Way};

/// Longest time in which everybody recovers; only a broken server reaches it. Less than the 30 s after
/// which a worker looks again by itself: that may not be what helps.
pub const RECOVERY: Duration = crate::PATIENCE;
/// Longest time for which a fault waits for something to happen meanwhile.
const MEANWHILE: Duration = Duration::from_secs(8);
/// A worker is taken for dead after this many milliseconds: pauses are shorter and longer.
const SHORT_MS: std::ops::Range<u64> = 100..4_000;
const LONG_MS: std::ops::Range<u64> = 5_500..8_000;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A worker ends by kill -9, and is started again later.
    KillWorker,
    /// A worker stands still for less time than it is taken for dead after.
    PauseWorkerShortly,
    /// For more.
    PauseWorkerLong,
    /// A dispatcher ends by kill -9, and is started again.
    KillDispatcher,
    /// A worker's connections to Redis end.
    Cut,
    /// They end in the middle of a message.
    CutHalfway,
    /// They are slow.
    Delay,
    /// Nothing goes through them, one way or both.
    Stall,
    /// Redis ends by kill -9, and is started over what it kept.
    KillRedis,
    /// Redis stands still.
    PauseRedis,
    /// Redis ends everybody's connections.
    HangUp,
    /// Redis forgets the scripts that it was given.
    ForgetScripts,
    /// Redis has no memory left for anything new.
    OutOfMemory,
    /// Redis takes no writes at all: it has not the replicas that it was told to have.
    RefuseWrites,
    /// The primary of a group ends by kill -9; a sentinel makes the replica the primary; the other one
    /// comes back as its replica.
    KillPrimary,
    /// The primary stands still until the replica is made the primary, and then goes on.
    PausePrimary,
}

/// All of them, the cheap ones more often.
const FAULTS: &[Fault] = &[
    Fault::KillWorker,
    Fault::KillWorker,
    Fault::PauseWorkerShortly,
    Fault::PauseWorkerShortly,
    Fault::PauseWorkerLong,
    Fault::KillDispatcher,
    Fault::Cut,
    Fault::Cut,
    Fault::Cut,
    Fault::CutHalfway,
    Fault::CutHalfway,
    Fault::CutHalfway,
    Fault::Delay,
    Fault::Stall,
    Fault::Stall,
    Fault::KillRedis,
    Fault::KillRedis,
    Fault::PauseRedis,
    Fault::HangUp,
    Fault::ForgetScripts,
    Fault::OutOfMemory,
    Fault::RefuseWrites,
];

/// Those of a group that a sentinel watches.
const GROUP_FAULTS: &[Fault] = &[
    Fault::KillWorker,
    Fault::PauseWorkerShortly,
    Fault::KillDispatcher,
    Fault::KillPrimary,
    Fault::KillPrimary,
    Fault::PausePrimary,
];

/// Who makes them.
pub struct Faults<'a> {
    /// The system.
    pub cluster: &'a mut Cluster,
    /// What all know.
    pub board: &'a Board,
    /// What is decided by.
    pub random: StdRng,
}

impl Faults<'_> {
    /// Makes one; an error where not everybody recovers.
    ///
    /// # Errors
    /// Who does not.
    pub fn make_one(&mut self) -> Result<(), String> {
        let fault = FAULTS[self.random.random_range(0..FAULTS.len())];
        self.make(fault).map(drop)
    }

    /// Makes one in a group. Returns the ticks between which the store may have lost something.
    ///
    /// # Errors
    /// Who does not recover.
    pub fn make_one_in_group(&mut self) -> Result<Vec<u64>, String> {
        let fault = GROUP_FAULTS[self.random.random_range(0..GROUP_FAULTS.len())];
        self.make(fault)
    }

    /// Makes this one. Returns the ticks between which the store may have lost something.
    ///
    /// # Errors
    /// Who does not recover.
    pub fn make(&mut self, fault: Fault) -> Result<Vec<u64>, String> {
        let worker = self.random.random_range(0..self.cluster.workers.len());
        println!("@{} {fault:?}, worker {worker}", self.board.tick());
        self.board.fault(&format!("{fault:?}"));
        let mut losses = Vec::new();
        match fault {
            Fault::KillWorker => {
                self.cluster.workers[worker].kill();
                self.while_others_go_on();
                self.cluster.workers[worker].restart();
            }
            Fault::PauseWorkerShortly | Fault::PauseWorkerLong => {
                let range = if fault == Fault::PauseWorkerLong { LONG_MS } else { SHORT_MS };
                self.cluster.workers[worker].role.process.pause();
                self.lasts(range);
                self.cluster.workers[worker].role.process.resume();
            }
            Fault::KillDispatcher => {
                let number = self.random.random_range(0..self.cluster.dispatchers.len());
                self.cluster.dispatchers[number].process.kill();
                self.lasts(0..1_000);
                self.cluster.restart_dispatcher(number);
            }
            Fault::Cut | Fault::CutHalfway | Fault::Delay | Fault::Stall => self.spoil(fault, worker),
            Fault::KillRedis => {
                self.cluster.store.single().process.kill();
                self.lasts(0..4_000);
                self.cluster.store.single().restart();
            }
            Fault::PauseRedis => {
                self.cluster.store.single().process.pause();
                self.lasts(1_000..6_000);
                self.cluster.store.single().process.resume();
            }
            Fault::HangUp => self.command("CLIENT KILL TYPE pubsub"),
            Fault::ForgetScripts => self.command("SCRIPT FLUSH"),
            Fault::OutOfMemory => self.refused_while("maxmemory", "1"),
            Fault::RefuseWrites => self.refused_while("min-replicas-to-write", "1"),
            Fault::KillPrimary | Fault::PausePrimary => losses = self.fail_over(fault == Fault::KillPrimary),
        }
        self.recovered(&format!("{fault:?} of worker {worker}"))?;
        Ok(losses)
    }

    /// The primary dies or stands still until the other one is it; then there are two again. What it
    /// had acknowledged and the replica had not got is lost: from the one tick until the other.
    fn fail_over(&mut self, kill: bool) -> Vec<u64> {
        let board = self.board;
        let group = self.cluster.store.group();
        let old = group.primary();
        let begun = board.tick();
        if kill {
            group.server(old).process.kill();
        } else {
            group.server(old).process.pause();
        }
        let dead = board.tick();
        group.wait_for_primary(1 - old);
        if kill {
            group.server(old).restart();
            group.wait_until_whole();
            return vec![begun, dead, board.tick()];
        }
        group.server(old).process.resume();
        // Until it is told so, it takes itself for the primary.
        group.wait_until_whole();
        vec![begun, board.tick()]
    }

    /// Redis comes back with what it had some time ago: messages acknowledged since are lost. A worker
    /// may be cut off meanwhile, so that it learns of it when the others have gone on. Returns when.
    ///
    /// # Errors
    /// Who does not recover.
    pub fn lose_tail(&mut self) -> Result<u64, String> {
        let worker = self.random.random_range(0..self.cluster.workers.len());
        let cut_off: bool = self.random.random();
        println!("@{} lost tail, worker {worker} cut off: {cut_off}", self.board.tick());
        self.board.fault("LostTail");
        self.cluster.copy_data();
        self.recovered("a copy")?;
        self.lasts(0..2_000);
        if cut_off {
            self.proxy(worker).trouble(Trouble::Cut);
        }
        let (board, mut lost) = (self.board, 0);
        self.cluster.put_back(|| lost = board.tick());
        if cut_off {
            self.while_others_go_on();
            self.lasts(0..2_000);
            self.proxy(worker).heal();
        }
        self.recovered("a lost tail")?;
        Ok(lost)
    }

    fn command(&mut self, command: &str) {
        let answer = self.cluster.store.single().ask(command);
        assert!(!answer.starts_with('-'), "{command}: {answer}");
    }

    /// A setting of Redis that makes it refuse, for longer than a worker may be silent or less.
    fn refused_while(&mut self, setting: &str, value: &str) {
        self.command(&format!("CONFIG SET {setting} {value}"));
        self.lasts(500..8_000);
        self.command(&format!("CONFIG SET {setting} 0"));
    }

    /// Something is wrong with a worker's way to Redis.
    fn spoil(&mut self, fault: Fault, worker: usize) {
        let random = &mut self.random;
        let trouble = match fault {
            Fault::CutHalfway => {
                let way = if random.random() { Way::ToServer } else { Way::ToClient };
                Trouble::CutAfter(way, random.random_range(1..4_000))
            }
            Fault::Delay => Trouble::Delay(Duration::from_millis(random.random_range(10..300))),
            Fault::Stall => {
                let to_server: bool = random.random();
                Trouble::Stall { to_server, to_client: !to_server || random.random() }
            }
            _ => Trouble::Cut,
        };
        self.proxy(worker).trouble(trouble);
        if self.random.random() {
            self.while_others_go_on();
        } else {
            self.lasts(0..7_000);
        }
        // What was stalled may also be lost altogether.
        if fault == Fault::Stall && self.random.random() {
            self.proxy(worker).trouble(Trouble::Cut);
        }
        self.proxy(worker).heal();
    }

    /// A worker's way to Redis.
    fn proxy(&self, worker: usize) -> &Proxy {
        self.cluster.workers[worker].proxy.as_ref().expect("a way through a proxy")
    }

    /// The fault's own length.
    fn lasts(&mut self, milliseconds: std::ops::Range<u64>) {
        std::thread::sleep(Duration::from_millis(self.random.random_range(milliseconds)));
    }

    /// Until every room has a message begun since.
    fn while_others_go_on(&self) {
        let since = self.board.tick();
        self.board.wait(MEANWHILE, |state| state.acknowledged.iter().all(|begun| *begun > since));
    }

    /// Waits until everybody can speak and everybody hears it.
    ///
    /// # Errors
    /// Who cannot, or does not.
    pub fn recovered(&mut self, from: &str) -> Result<(), String> {
        let since = self.board.tick();
        let well = self.board.wait(RECOVERY, |state| {
            state.acknowledged.iter().all(|begun| *begun > since)
                && state.seen.iter().all(|(_, begun)| *begun > since)
        });
        let dead = self.cluster.dead();
        if !dead.is_empty() {
            return Err(format!("after {from}: ended by themselves: {dead:?}"));
        }
        if well {
            return Ok(());
        }
        let (rooms, listeners) = self.board.change(|state| {
            let behind = |(number, begun): (usize, u64)| (begun <= since).then_some(number);
            let rooms: Vec<usize> =
                state.acknowledged.iter().copied().enumerate().filter_map(behind).collect();
            let seen = state.seen.iter().map(|(_, begun)| *begun).enumerate();
            (rooms, seen.filter_map(behind).collect::<Vec<_>>())
        });
        Err(format!(
            "not recovered from {from}: since @{since} nobody can speak in rooms {rooms:?}, listeners {listeners:?} hear nothing"
        ))
    }
}
