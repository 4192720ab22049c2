//! What the host must allow, checked before anything starts; each lack in one line that says what
//! to change.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::{DESCRIPTORS_RESERVED, LOCKED_BYTES_MIN, LOCKED_BYTES_PER_SHARD};
use crate::ring::Ring;
use crate::settings::IoChoice;

/// What the host does not allow.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// io_uring is forbidden.
    #[error(
        "io_uring is not allowed here ({0}): set sysctl kernel.io_uring_disabled=0, and in a container \
         allow io_uring_setup, io_uring_enter and io_uring_register in its seccomp profile"
    )]
    RingForbidden(std::io::Error),
    /// There is no io_uring, or an old one.
    #[error("this kernel's io_uring is missing or too old ({0}): Linux 6.1 or newer is needed")]
    RingTooOld(std::io::Error),
    /// Too little memory may be locked.
    #[error(
        "only {has} bytes of memory may be locked and {shards} shards need {needs}: \
         set ulimit -l {kib} (LimitMEMLOCK={needs} in a systemd unit), or start fewer shards"
    )]
    LockedMemory {
        /// The limit, in bytes.
        has: u64,
        /// What is needed, in bytes.
        needs: u64,
        /// The same in KiB, as `ulimit -l` counts.
        kib: u64,
        /// Shards.
        shards: u16,
    },
    /// Too few descriptors for anything.
    #[error(
        "only {0} descriptors are allowed: set ulimit -n (LimitNOFILE= in a systemd unit) to at least 1024"
    )]
    Descriptors(u64),
}

/// What the host allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Whether io_uring serves the sockets; else epoll does.
    pub io_uring: bool,
    /// How many connections the descriptors allow.
    pub connections: u64,
}

/// Checks everything; raises the soft limit of descriptors to the hard one.
///
/// # Errors
/// The first lack. Without io_uring only if it was asked for by name.
pub fn check(shards: u16, io: IoChoice) -> Result<Allowed, PreflightError> {
    let io_uring = match (io, check_io_uring(shards)) {
        (IoChoice::Epoll, _) => false,
        (_, Ok(())) => true,
        (IoChoice::IoUring, Err(error)) => return Err(error),
        (IoChoice::Auto, Err(error)) => {
            tracing::warn!("no io_uring, so epoll serves the sockets: {error}");
            false
        }
    };
    Ok(Allowed { io_uring, connections: check_descriptors(raise_descriptors())? })
}

fn check_io_uring(shards: u16) -> Result<(), PreflightError> {
    let locked = raise_locked(LOCKED_BYTES_PER_SHARD * u64::from(shards));
    match try_a_ring() {
        Ok(()) => {}
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES)) => {
            return Err(PreflightError::RingForbidden(error));
        }
        // Said below, with what to set.
        Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => {}
        Err(error) => return Err(PreflightError::RingTooOld(error)),
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    check_locked(locked, may_lock_anything(&status), shards)
}

/// Makes a ring as a shard would and waits on it: a sandbox may allow the one call and not the others.
/// On a thread of its own, since a ring is its thread's.
fn try_a_ring() -> std::io::Result<()> {
    let tried = std::thread::Builder::new()
        .name("ring-check".into())
        .spawn(|| Ring::new().and_then(|mut ring| ring.wait(Some(Duration::ZERO))))?;
    tried.join().unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()))
}

fn check_locked(has: u64, unlimited: bool, shards: u16) -> Result<(), PreflightError> {
    let needs = if unlimited { LOCKED_BYTES_MIN } else { LOCKED_BYTES_PER_SHARD * u64::from(shards) };
    if has >= needs {
        return Ok(());
    }
    Err(PreflightError::LockedMemory { has, needs, kib: needs / 1024, shards })
}

/// Whether `/proc/self/status` shows CAP_IPC_LOCK among the effective capabilities.
fn may_lock_anything(status: &str) -> bool {
    const CAP_IPC_LOCK: u32 = 14;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    bits & (1 << CAP_IPC_LOCK) != 0
}

/// Raises the limit of locked memory as far as is needed and allowed.
fn raise_locked(needs: u64) -> u64 {
    let limit = getrlimit(Resource::Memlock);
    if limit.current.is_some_and(|current| current < needs) {
        let maximum = limit.maximum.map(|maximum| maximum.max(needs));
        // Only a privileged process may raise the hard limit; any may go up to it.
        let privileged = setrlimit(Resource::Memlock, Rlimit { current: Some(needs), maximum });
        if privileged.is_err() {
            let _ = setrlimit(Resource::Memlock, Rlimit { current: limit.maximum, maximum: limit.maximum });
        }
    }
    getrlimit(Resource::Memlock).current.unwrap_or(u64::MAX)
}

fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn check_descriptors(has: u64) -> Result<u64, PreflightError> {
    if has < 1_024 { Err(PreflightError::Descriptors(has)) } else { Ok(has - DESCRIPTORS_RESERVED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lack_is_one_line_that_says_what_to_change() {
        let error = check_locked(65_536, false, 4).unwrap_err().to_string();
        assert_eq!(
            error,
            "only 65536 bytes of memory may be locked and 4 shards need 4194304: \
             set ulimit -l 4096 (LimitMEMLOCK=4194304 in a systemd unit), or start fewer shards"
        );
        assert!(check_locked(65_536, true, 4).is_err(), "glommio looks at no capability");
        assert!(check_locked(LOCKED_BYTES_MIN, true, 4).is_ok());
        assert!(check_locked(8 << 20, false, 8).is_ok());
        assert!(check_descriptors(100).unwrap_err().to_string().contains("ulimit -n"));
        assert_eq!(check_descriptors(20_000).unwrap(), 20_000 - DESCRIPTORS_RESERVED);
    }

    #[test]
    fn the_capability_is_read_from_the_kernels_own_words() {
        assert!(may_lock_anything("Name:\tx\nCapEff:\t000001ffffffffff\n"));
        assert!(!may_lock_anything("Name:\tx\nCapEff:\t0000000000000000\n"));
        assert!(!may_lock_anything(""));
    }
}
