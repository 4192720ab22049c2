//! What this machine allows: descriptors, ports, cores.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::{CONNECTIONS_PER_PROCESS_MAX, DESCRIPTORS_APART};
use crate::report::model::Machine;

/// Ports that the system hands out where it does not say which (Linux's default).
const PORTS: u64 = 28_232;

/// Raises this process's limit of descriptors as far as it goes; what it is then.
#[must_use]
pub fn descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Most connections of one process.
#[must_use]
pub fn connections_per_process() -> u64 {
    descriptors().saturating_sub(DESCRIPTORS_APART).clamp(1, CONNECTIONS_PER_PROCESS_MAX)
}

/// Connections that one source address can have to one address and port.
#[must_use]
pub fn ports_per_source() -> u64 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = range.split_whitespace().filter_map(|end| end.parse::<u64>().ok());
    match (ends.next(), ends.next()) {
        (Some(first), Some(last)) if last >= first => last - first + 1,
        _ => PORTS,
    }
}

/// The `number`-th loopback address to connect from: 127.0.0.2 and on.
#[must_use]
pub fn loopback_source(number: u32) -> IpAddr {
    // All of 127.0.0.0/8 is this machine; a million of it is enough.
    Ipv4Addr::from(0x7f00_0002 + number % 1_000_000).into()
}

/// This machine, for the report.
#[must_use]
pub fn describe() -> Machine {
    let line = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let memory_kib = line("/proc/meminfo", "MemTotal").trim_end_matches("kB").trim().parse::<u64>();
    let word = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    Machine {
        host: word("/proc/sys/kernel/hostname"),
        processor: line("/proc/cpuinfo", "model name"),
        cores: u32::try_from(cores().len()).unwrap_or(0),
        memory_bytes: memory_kib.unwrap_or(0) * 1_024,
        kernel: word("/proc/sys/kernel/osrelease"),
    }
}

/// Cores that this program may use.
#[must_use]
pub fn cores() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

/// Memory that the kernel uses for its own structures, in bytes.
#[must_use]
pub fn kernel_bytes() -> i64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Slab:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse::<i64>().unwrap_or(0) * 1_024
}
