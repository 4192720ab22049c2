//! What is shown while a run goes on: one line that changes on a terminal, a plain line now and then
//! elsewhere, nothing if so wished.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::control::Progress;
use crate::report::humane;

/// Time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// Where it is shown.
pub(super) enum Display {
    Quiet,
    Terminal(ProgressBar),
    Lines(Instant),
}

impl Display {
    pub(super) fn new(quiet: bool) -> Display {
        if quiet {
            return Display::Quiet;
        }
        if !std::io::stderr().is_terminal() {
            return Display::Lines(Instant::now());
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Display::Terminal(bar)
    }

    /// Something worth a line of its own.
    pub(super) fn say(&self, line: &str) {
        match self {
            Display::Quiet => {}
            Display::Terminal(bar) => bar.println(line),
            Display::Lines(_) => eprintln!("{line}"),
        }
    }

    /// How it stands.
    pub(super) fn show(&mut self, what: &str, all: &Progress, rates: (f64, f64)) {
        if let Display::Lines(last) = self {
            if last.elapsed() < LINE_EVERY {
                return;
            }
            *last = Instant::now();
        }
        if matches!(self, Display::Quiet) {
            return;
        }
        let (sent_per_s, received_per_s) = rates;
        let mut line = format!("{what} · {} connected", humane::count(all.connected));
        if all.sent > 0 {
            line += &format!(
                " · {}/s published · {}/s delivered",
                humane::short(sent_per_s),
                humane::short(received_per_s)
            );
        }
        if received_per_s > 0.0 {
            #[allow(clippy::cast_precision_loss, reason = "for a person")]
            let (p50, p99) = (all.latency_us.0 as f64, all.latency_us.1 as f64);
            line += &format!(" · p50 {} p99 {}", humane::time(p50), humane::time(p99));
        }
        for (count, word) in [(all.failed, "failed tries"), (all.disconnected, "disconnected")] {
            if count > 0 {
                line += &format!(" · {} {word}", humane::count(count));
            }
        }
        match self {
            Display::Terminal(bar) => bar.set_message(line),
            Display::Lines(_) => eprintln!("{line}"),
            Display::Quiet => {}
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Display::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}
