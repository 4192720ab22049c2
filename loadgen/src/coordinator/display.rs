//! What is shown while a run goes on: one line that changes on a terminal, a plain line now and then
//! elsewhere, nothing if so wished. It fits into 80 columns: a longer one would leave its first part
//! behind on the terminal each time it changes.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock::{SECOND_NS, now_ns, seconds};
use crate::control::Progress;
use crate::report::humane;

/// Time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// Columns of the line, those of the spinner in front of it left out.
const COLUMNS: usize = 78;

/// What is shown.
pub(super) struct Display {
    place: Place,
    speed: Speed,
}

/// Where it is shown.
enum Place {
    Quiet,
    Terminal(ProgressBar),
    Lines(Instant),
}

impl Display {
    pub(super) fn new(quiet: bool) -> Display {
        let place = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Place::Quiet,
            (false, false) => Place::Lines(Instant::now()),
            (false, true) => Place::terminal(),
        };
        Display { place, speed: Speed::default() }
    }

    /// Something worth a line of its own.
    pub(super) fn say(&self, line: &str) {
        match &self.place {
            Place::Quiet => {}
            Place::Terminal(bar) => bar.println(line),
            Place::Lines(_) => eprintln!("{line}"),
        }
    }

    /// How it stands with each process.
    pub(super) fn show(&mut self, what: &str, standing: &[Progress]) {
        let all = together(standing);
        let rates = self.speed.look(&all, now_ns());
        match &mut self.place {
            Place::Quiet => {}
            Place::Terminal(bar) => bar.set_message(line(what, &all, rates)),
            Place::Lines(last) if last.elapsed() < LINE_EVERY => {}
            Place::Lines(last) => {
                *last = Instant::now();
                eprintln!("{}", line(what, &all, rates));
            }
        }
    }
}

impl Place {
    fn terminal() -> Place {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Place::Terminal(bar)
    }
}

/// Messages and deliveries a second, between two looks.
#[derive(Default)]
struct Speed {
    at_ns: u64,
    sent: u64,
    received: u64,
    rates: (f64, f64),
}

impl Speed {
    #[allow(clippy::cast_precision_loss, reason = "for a person")]
    fn look(&mut self, all: &Progress, now_ns: u64) -> (f64, f64) {
        let since_ns = now_ns - self.at_ns;
        if since_ns > SECOND_NS / 2 {
            let per_s = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds(since_ns);
            self.rates = (per_s(all.sent, self.sent), per_s(all.received, self.received));
            (self.at_ns, self.sent, self.received) = (now_ns, all.sent, all.received);
        }
        self.rates
    }
}

/// All processes' counts, and the worst of their latencies.
fn together(standing: &[Progress]) -> Progress {
    let mut all = Progress::default();
    for one in standing {
        all.connected += one.connected;
        all.sent += one.sent;
        all.received += one.received;
        all.failed += one.failed;
        all.disconnected += one.disconnected;
        all.latency_us.0 = all.latency_us.0.max(one.latency_us.0);
        all.latency_us.1 = all.latency_us.1.max(one.latency_us.1);
    }
    all
}

/// How it stands, in at most [`COLUMNS`].
fn line(what: &str, all: &Progress, (sent_per_s, received_per_s): (f64, f64)) -> String {
    // With what is left out first if there is no room for all: the lower, the sooner.
    let mut parts = vec![(5, what.to_owned()), (4, format!("{} in", humane::count(all.connected)))];
    for (count, word) in [(all.failed, "failed tries"), (all.disconnected, "disconnected")] {
        if count > 0 {
            parts.push((3, format!("{} {word}", humane::count(count))));
        }
    }
    if all.sent > 0 {
        parts.push((0, format!("{}/s sent", humane::short(sent_per_s))));
        parts.push((1, format!("{}/s received", humane::short(received_per_s))));
    }
    if received_per_s > 0.0 {
        #[allow(clippy::cast_precision_loss, reason = "for a person")]
        let (p50, p99) = (all.latency_us.0 as f64, all.latency_us.1 as f64);
        parts.push((2, format!("p50 {} p99 {}", humane::time(p50), humane::time(p99))));
    }
    let joined =
        |parts: &[(u8, String)]| parts.iter().map(|(_, part)| part.as_str()).collect::<Vec<_>>().join(" · ");
    while joined(&parts).chars().count() > COLUMNS
        && let Some(least) = (0..parts.len()).min_by_key(|place| parts[*place].0)
        && parts.len() > 1
    {
        parts.remove(least);
    }
    joined(&parts).chars().take(COLUMNS).collect()
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Place::Terminal(bar) = &self.place {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fits_and_what_went_wrong_stays_in_it() {
        let usual = Progress {
            connected: 100_000,
            sent: 1_000,
            received: 1_000_000,
            latency_us: (12_400, 112_400),
            ..Progress::default()
        };
        let failing = Progress { failed: 12_345, disconnected: 100_000, ..usual.clone() };
        for (what, all, rates, expected) in [
            ("idle", &Progress { connected: 1, ..Progress::default() }, (0.0, 0.0), "idle · 1 in"),
            (
                "fanout",
                &usual,
                (340.0, 340_000.0),
                "fanout · 100,000 in · 340/s sent · 340k/s received · p50 12.4 ms p99 112 ms",
            ),
            (
                "huge room, and everything",
                &usual,
                (1_020_000.0, 1_020_000.0),
                "huge room, and everything · 100,000 in · p50 12.4 ms p99 112 ms",
            ),
            (
                "handshakes",
                &failing,
                (340.0, 340_000.0),
                "handshakes · 100,000 in · 12,345 failed tries · 100,000 disconnected",
            ),
        ] {
            let seen = line(what, all, rates);
            assert_eq!(seen, expected);
            assert!(seen.chars().count() <= COLUMNS, "{seen}");
        }
        assert_eq!(line(&"long ".repeat(40), &failing, (1.0, 1.0)).chars().count(), COLUMNS);
    }

    #[test]
    fn rates_are_of_the_time_between_two_looks() {
        let at = |sent, received| Progress { sent, received, ..Progress::default() };
        let mut speed = Speed::default();
        speed.look(&at(100, 1_000), 10 * SECOND_NS);
        assert_eq!(speed.look(&at(120, 1_500), 12 * SECOND_NS), (10.0, 250.0));
        // Too soon for a new figure.
        assert_eq!(speed.look(&at(900, 9_000), 12 * SECOND_NS + 1), (10.0, 250.0));
    }
}
