//! Instructions of pure cases. They repeat exactly, so that one count tells, whatever else the
//! machine does meanwhile: counts are taken on all cores at once.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::config::Counted;
use super::process::ProcessError;
use super::report::CountedCase;
use super::statistics::{Estimate, Verdict, judge};
use super::{Side, Tell};

/// Why instructions could not be counted.
#[derive(Debug, thiserror::Error)]
pub enum CountedError {
    /// A command failed.
    #[error("{0}")]
    Process(#[from] ProcessError),
    /// A file of a command's cannot be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The counter left no count.
    #[error("{}: there is no line that begins with `summary:` or `totals:` and has a number", .0.display())]
    NoCount(PathBuf),
    /// More iterations cost no more: whatever was measured, it was not they.
    #[error("{who}: {case}: {few} instructions for few iterations, {many} for many")]
    NoWork {
        /// Whose.
        who: String,
        /// Of which case.
        case: String,
        /// Counted with few.
        few: u64,
        /// Counted with many.
        many: u64,
    },
}

/// Counts all cases of both revisions.
///
/// # Errors
/// A command failed, or what it left makes no sense.
pub fn run(
    config: &Counted,
    base: &Side,
    head: &Side,
    tell: &Tell,
) -> Result<Vec<CountedCase>, CountedError> {
    let (in_base, in_head) = (cases(config, base)?, cases(config, head)?);
    // In the head's order; what is gone, last.
    let mut names: Vec<&String> = in_head.iter().collect();
    names.extend(in_base.iter().filter(|name| !in_head.contains(name)));
    let mut tasks: Vec<(&Side, &str)> = Vec::new();
    for name in &names {
        tasks.extend(in_base.contains(name).then_some((base, name.as_str())));
        tasks.extend(in_head.contains(name).then_some((head, name.as_str())));
    }
    tell(&format!("counted: {} counts of {} cases", 2 * tasks.len(), names.len()));
    let counts = in_parallel(&tasks, |(side, case)| count_iteration(config, side, case))?;
    let of = |side: &Side, case: &str| {
        let place = tasks.iter().position(|(one, name)| one.slot.name == side.slot.name && *name == case)?;
        counts.get(place).copied()
    };
    Ok(names.iter().map(|name| compare(name, of(base, name), of(head, name), config.of(name).1)).collect())
}

fn cases(config: &Counted, side: &Side) -> Result<Vec<String>, CountedError> {
    if !side.has(config.when.as_deref()) {
        return Ok(Vec::new());
    }
    let words = config.list.fill(&side.places(&side.slot.build));
    let command = side.command(words, Duration::from_secs(config.timeout_s), "list");
    command.run()?;
    let text = read(&command.output())?;
    let mut seen = BTreeSet::new();
    let names = text.lines().map(str::trim).filter(|line| !line.is_empty() && seen.insert(*line));
    Ok(names.map(str::to_owned).collect())
}

fn compare(case: &str, base: Option<f64>, head: Option<f64>, tolerance: f64) -> CountedCase {
    let ratio = base.zip(head).map(|(base, head)| head / base);
    let verdict = match (base, ratio) {
        (_, Some(ratio)) => judge(Estimate { median: ratio, low: ratio, high: ratio }, tolerance),
        (None, None) => Verdict::OnlyInHead,
        (Some(_), None) => Verdict::OnlyInBase,
    };
    CountedCase { case: case.into(), base, head, ratio, tolerance, verdict }
}

/// Instructions of one iteration.
fn count_iteration(config: &Counted, side: &Side, case: &str) -> Result<f64, CountedError> {
    let ([fewer, more], _) = config.of(case);
    let (few, many) = (count(config, side, case, fewer)?, count(config, side, case, more)?);
    if many <= few {
        return Err(CountedError::NoWork { who: side.name(), case: case.into(), few, many });
    }
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let (instructions, iterations) = ((many - few) as f64, (more - fewer) as f64);
    Ok(instructions / iterations)
}

fn count(config: &Counted, side: &Side, case: &str, iterations: u64) -> Result<u64, CountedError> {
    let log = format!("counted-{}-{iterations}", super::paired::file_name(case));
    let out = side.slot.logs.join(&log).with_added_extension("callgrind");
    let places = side
        .places(&side.slot.build)
        .with("case", case)
        .with("iterations", &iterations.to_string())
        .with("out", &out.to_string_lossy());
    let words = [config.counter.fill(&places), config.run.fill(&places)].concat();
    side.command(words, Duration::from_secs(config.timeout_s), &log).run()?;
    let text = read(&out)?;
    // It is large, and all that counts of it is one line.
    let _ = fs::remove_file(&out);
    total(&text).ok_or(CountedError::NoCount(out))
}

/// The count in what callgrind writes.
fn total(text: &str) -> Option<u64> {
    let rest = text
        .lines()
        .find_map(|line| line.strip_prefix("summary:").or_else(|| line.strip_prefix("totals:")))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn read(path: &Path) -> Result<String, CountedError> {
    // Callgrind writes symbols as it finds them: not all are UTF-8.
    let bytes = fs::read(path).map_err(|error| CountedError::Read { path: path.into(), error })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Does all tasks, as many at once as there are cores; the results in the tasks' order.
fn in_parallel<T: Copy + Sync, R: Send, E: Send>(
    tasks: &[T],
    work: impl Fn(T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = thread::available_parallelism().map_or(1, usize::from).min(tasks.len());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(task) = tasks.get(place) else { return };
                    let result = work(*task);
                    if result.is_err() {
                        // Nobody begins another.
                        next.store(tasks.len(), Ordering::Relaxed);
                    }
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((place, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_callgrind_writes() {
        let table = [
            ("# callgrind format\nevents: Ir\nsummary: 123456\nfn=(1) main\ntotals: 9\n", Some(123_456)),
            ("events: Ir Dr\ntotals: 77 8\n", Some(77)),
            ("events: Ir\n", None),
            ("summary:\n", None),
        ];
        for (text, expected) in table {
            assert_eq!(total(text), expected, "{text}");
        }
    }

    #[test]
    fn a_case_of_one_revision_is_no_failure() {
        let table = [
            (Some(100.0), Some(102.0), Verdict::Worse),
            (Some(100.0), Some(100.5), Verdict::Same),
            (Some(102.0), Some(100.0), Verdict::Better),
            (None, Some(100.0), Verdict::OnlyInHead),
            (Some(100.0), None, Verdict::OnlyInBase),
        ];
        for (base, head, expected) in table {
            assert_eq!(compare("x", base, head, 0.01).verdict, expected, "{base:?} {head:?}");
        }
    }

    #[test]
    fn tasks_keep_their_order_and_an_error_is_told() {
        let tasks: Vec<u32> = (0..50).collect();
        let doubled = in_parallel(&tasks, |task| Ok::<u32, ()>(task * 2)).unwrap();
        assert_eq!(doubled, tasks.iter().map(|task| task * 2).collect::<Vec<u32>>());
        assert_eq!(in_parallel(&tasks, |task| if task == 7 { Err(task) } else { Ok(()) }), Err(7));
        assert_eq!(in_parallel(&[] as &[u32], |_| Ok::<u32, ()>(1)), Ok(vec![]));
    }
}
