//! Which workers are alive, out of what Redis says. No I/O; time is an argument.
//!
//! A worker is given up only by somebody who has watched it, without a pause, for as long as it may be
//! silent: after Redis was away, everybody looks dead to whoever only compares times.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chatup_core::exchange::{WorkerId, WorkerRecord};
use redis::Value;
use serde::{Deserialize, Serialize};

use super::keys::Lease;
use super::reply::{Misread, array, lease, number, text};
use crate::limits::{HEARTBEAT_MS, ROSTER_FRESH_MS, WORKER_EXPIRY_MS};

/// A worker as Redis keeps it.
#[derive(Serialize, Deserialize)]
struct Stored {
    id: String,
    host: String,
    connections: u32,
    draining: bool,
}

/// A worker's record as Redis keeps it.
pub(crate) fn stored(record: &WorkerRecord) -> String {
    let stored = Stored {
        id: record.id.to_string(),
        host: record.host.clone(),
        connections: record.connections,
        draining: record.draining,
    };
    serde_json::to_string(&stored).unwrap_or_default()
}

fn read_record(text: &str) -> Option<WorkerRecord> {
    let Stored { id, host, connections, draining } = serde_json::from_str(text).ok()?;
    Some(WorkerRecord { id: u128::from_str_radix(&id, 16).ok().map(WorkerId)?, host, connections, draining })
}

/// What Redis says of all workers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Roster {
    now_ms: u64,
    workers: Vec<(Lease, u64, Option<WorkerRecord>)>,
    /// Leases that have ended, whose people may still be there.
    pub(crate) dying: Vec<Lease>,
}

impl Roster {
    pub(crate) fn read(value: Value) -> Result<Roster, Misread> {
        let mut values = array(value)?.into_iter();
        let mut next = || values.next().ok_or(Misread("a roster"));
        let (now, listed, dying) = (next()?, next()?, next()?);
        let mut workers = Vec::new();
        let mut listed = array(listed)?.into_iter();
        while let (Some(of), Some(beat), Some(record)) = (listed.next(), listed.next(), listed.next()) {
            workers.push((lease(of)?, number(beat)?, read_record(&text(record)?)));
        }
        let dying = array(dying)?.into_iter().map(lease).collect::<Result<_, _>>()?;
        Ok(Roster { now_ms: number(now)?, workers, dying })
    }
}

/// What has been seen of the workers.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// Each lease's last beat, and since when it has been the last.
    watched: HashMap<Lease, (u64, Instant)>,
    /// The workers last known to be alive.
    alive: Vec<WorkerRecord>,
    /// Whose each lease is.
    leases: HashMap<Lease, WorkerId>,
    /// When Redis last said so, unless something here has changed it since.
    seen: Option<Instant>,
    up_since: Option<Instant>,
}

impl Registry {
    /// Redis can be asked.
    pub(crate) fn up(&mut self, now: Instant) {
        self.up_since = Some(now);
    }

    /// Redis cannot be asked: what it said is kept, but nobody is being watched.
    pub(crate) fn down(&mut self) {
        self.up_since = None;
        self.seen = None;
        self.watched.clear();
    }

    /// A worker of this process has changed.
    pub(crate) fn changed(&mut self) {
        self.seen = None;
    }

    /// Whether what is known is so new that Redis need not be asked again.
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        let fresh = Duration::from_millis(ROSTER_FRESH_MS);
        self.seen.is_some_and(|seen| now.saturating_duration_since(seen) < fresh)
    }

    /// The workers alive, as far as is known.
    pub(crate) fn alive(&self) -> Vec<WorkerRecord> {
        self.alive.clone()
    }

    /// Whose a lease is, if it was in what Redis last said.
    pub(crate) fn worker_of(&self, lease: Lease) -> Option<WorkerId> {
        self.leases.get(&lease).copied()
    }

    /// Takes what Redis says. Returns the leases that have been silent for too long, each with its last
    /// beat.
    pub(crate) fn see(&mut self, roster: &Roster, now: Instant) -> Vec<(Lease, u64)> {
        self.seen = Some(now);
        self.up_since.get_or_insert(now);
        let expiry = Duration::from_millis(WORKER_EXPIRY_MS);
        let mut dead = Vec::new();
        let mut watched = HashMap::new();
        for (lease, beat, _) in &roster.workers {
            let since = match self.watched.get(lease) {
                Some((before, since)) if before == beat => *since,
                _ => now,
            };
            watched.insert(*lease, (*beat, since));
            if now.saturating_duration_since(since) > expiry {
                dead.push((*lease, *beat));
            }
        }
        self.watched = watched;
        let known =
            |(lease, _, record): &(Lease, u64, Option<WorkerRecord>)| Some((*lease, record.as_ref()?.id));
        self.leases = roster.workers.iter().filter_map(known).collect();
        // Just after a pause, whoever was alive before it has not had the time to say so again.
        let grace = Duration::from_millis(2 * HEARTBEAT_MS);
        let pause_over = self.up_since.is_some_and(|since| now.saturating_duration_since(since) > grace);
        let was_alive = |record: &WorkerRecord| self.alive.iter().any(|known| known.id == record.id);
        self.alive = roster
            .workers
            .iter()
            .filter_map(|(_, beat, record)| Some((beat, record.as_ref()?)))
            .filter(|(beat, record)| {
                **beat + WORKER_EXPIRY_MS > roster.now_ms || (!pause_over && was_alive(record))
            })
            .map(|(_, record)| record.clone())
            .collect();
        self.alive.sort_by_key(|record| record.id);
        dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: u128) -> WorkerRecord {
        WorkerRecord { id: WorkerId(id), host: format!("http://{id}"), connections: 1, draining: false }
    }

    fn roster(now_ms: u64, beats: &[(Lease, u64)]) -> Roster {
        let workers = beats.iter().map(|(id, beat)| (*id, *beat, Some(record((*id).into())))).collect();
        Roster { now_ms, workers, dying: Vec::new() }
    }

    #[test]
    fn a_worker_is_given_up_only_after_being_watched_for_long_enough() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut registry = Registry::default();
        registry.up(start);
        let ids = |registry: &Registry| registry.alive().iter().map(|one| one.id.0).collect::<Vec<_>>();
        // Worker 1 beats, worker 2 does not, worker 3 was dead before anybody looked.
        let beats = |beat| [(1, beat), (2, 100_000), (3, 1)];
        assert_eq!(registry.see(&roster(100_000, &beats(100_000)), start), []);
        assert_eq!(ids(&registry), [1, 2]);
        assert_eq!(registry.see(&roster(105_000, &beats(105_000)), at(5_000)), []);
        assert_eq!(ids(&registry), [1], "no client is sent to one that is silent");
        assert_eq!(registry.see(&roster(105_001, &beats(105_001)), at(5_001)), [(2, 100_000), (3, 1)]);
        // Redis was away for a minute: all look dead, none is.
        registry.down();
        assert_eq!(ids(&registry), [1], "the last known ones");
        registry.up(at(65_000));
        assert_eq!(registry.see(&roster(165_000, &[(1, 105_001)]), at(65_000)), []);
        assert_eq!(ids(&registry), [1], "it has not had the time to beat");
        assert_eq!(registry.see(&roster(169_000, &[(1, 105_001)]), at(69_000)), []);
        assert_eq!(ids(&registry), [] as [u128; 0], "now it has");
        assert_eq!(registry.see(&roster(170_001, &[(1, 105_001)]), at(70_001)), [(1, 105_001)]);
    }

    #[test]
    fn records_go_and_come_back() {
        let one = WorkerRecord { draining: true, ..record(u128::MAX) };
        assert_eq!(read_record(&stored(&one)), Some(one));
        assert_eq!(read_record("{}"), None);
    }
}
