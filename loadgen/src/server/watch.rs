//! CPU time and memory of processes, from /proc.

use std::fs;

use crate::report::model::ServerProcess;

/// The processes that are watched.
#[derive(Debug, Default)]
pub struct Watch {
    processes: Vec<ServerProcess>,
    began_ns: Vec<u64>,
}

/// When memory is looked at.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    /// Before the clients come.
    Before,
    /// With all of them in, before the load.
    Connected,
    /// At the end.
    End,
}

impl Watch {
    /// Of these processes and their children.
    ///
    /// # Errors
    /// One of them is not there.
    pub fn new(pids: &[u32]) -> Result<Watch, String> {
        let mut all: Vec<u32> = Vec::new();
        for pid in pids {
            if cpu_ns(*pid).is_none() {
                return Err(format!("there is no process {pid}"));
            }
            all.push(*pid);
        }
        let mut next = 0;
        while let Some(pid) = all.get(next).copied() {
            let children = children(pid);
            all.extend(children.into_iter().filter(|child| !all.contains(child)).collect::<Vec<_>>());
            next += 1;
        }
        let processes: Vec<ServerProcess> = all
            .iter()
            .map(|pid| ServerProcess { pid: *pid, name: name(*pid), ..ServerProcess::default() })
            .collect();
        let began_ns = vec![0; processes.len()];
        Ok(Watch { processes, began_ns })
    }

    /// Whether there is nothing to watch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    /// Looks at the memory.
    pub fn memory(&mut self, moment: Moment) {
        for process in &mut self.processes {
            let bytes = resident_bytes(process.pid).unwrap_or(0);
            match moment {
                Moment::Before => process.resident_before_bytes = bytes,
                Moment::Connected => process.resident_connected_bytes = bytes,
                Moment::End => process.resident_end_bytes = bytes,
            }
        }
    }

    /// CPU time counts from here.
    pub fn begin(&mut self) {
        for (process, began_ns) in self.processes.iter().zip(&mut self.began_ns) {
            *began_ns = cpu_ns(process.pid).unwrap_or(0);
        }
    }

    /// CPU time counts until here; the seconds of all.
    #[allow(clippy::cast_precision_loss, reason = "a time within days")]
    pub fn end(&mut self) -> f64 {
        for (process, began_ns) in self.processes.iter_mut().zip(&self.began_ns) {
            let used_ns = cpu_ns(process.pid).unwrap_or(*began_ns).saturating_sub(*began_ns);
            process.cpu_s = used_ns as f64 / 1e9;
        }
        self.processes.iter().map(|process| process.cpu_s).sum()
    }

    /// Those that are gone.
    #[must_use]
    pub fn gone(&self) -> Vec<u32> {
        self.processes.iter().map(|process| process.pid).filter(|pid| cpu_ns(*pid).is_none()).collect()
    }

    /// What was seen.
    #[must_use]
    pub fn processes(&self) -> &[ServerProcess] {
        &self.processes
    }
}

/// CPU time of all threads that are there, in nanoseconds: the scheduler's own account, which is
/// finer than the ticks of /proc/PID/stat.
fn cpu_ns(pid: u32) -> Option<u64> {
    // One that has ended and is not waited for still has its entries.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    if after_name.trim_start().starts_with(['Z', 'X']) {
        return None;
    }
    let mut all = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let Ok(text) = fs::read_to_string(task.ok()?.path().join("schedstat")) else { continue };
        all += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(all)
}

/// Memory in use, in bytes. `smaps_rollup` counts pages; the sums in `status` may lag behind.
fn resident_bytes(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    let line = rollup.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("Rss:")));
    let kib = match line {
        Some(line) => line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?,
        None => {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?
        }
    };
    Some(kib * 1_024)
}

fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_there_and_uses_something() {
        let mut watch = Watch::new(&[std::process::id()]).expect("we are there");
        watch.memory(Moment::Before);
        watch.begin();
        let spent: u64 = (0..1_000_000).fold(0, |sum, i| std::hint::black_box(sum ^ i));
        std::hint::black_box(spent);
        watch.end();
        let process = &watch.processes()[0];
        assert!(process.resident_before_bytes > 0);
        assert!(!process.name.is_empty());
        assert!(watch.gone().is_empty());
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        // Above the largest that Linux gives out.
        assert_eq!(Watch::new(&[4_194_305]).expect_err("not there"), "there is no process 4194305");
    }
}
