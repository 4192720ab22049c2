//! What the relay says in the log: what is lost and what goes on failing, loudly and not more often than it helps.

use crate::figures::Figures;
use crate::limits::{COMPLAINT_MS, REMINDER_MS};

/// What was complained of, and when.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    lost: u64,
    left_out: u64,
    /// When losses may be told again, in milliseconds.
    next_ms: u64,
    /// When what goes on failing is told again, in milliseconds.
    remind_ms: u64,
    statistics_fail: bool,
}

impl Complaints {
    /// Posts have begun to fail: that was said.
    pub(crate) fn posts_fail(&mut self, now_ms: u64) {
        self.remind_ms = now_ms + REMINDER_MS;
    }

    /// Nginx has told who listens.
    pub(crate) fn statistics_answer(&mut self) {
        if std::mem::take(&mut self.statistics_fail) {
            tracing::info!("Nginx tells who listens again");
        }
    }

    /// It has not.
    pub(crate) fn statistics_fail(&mut self, error: &str, now_ms: u64) {
        if !std::mem::replace(&mut self.statistics_fail, true) {
            tracing::error!(error, "Nginx does not tell who listens: new channels are not relayed");
            self.remind_ms = now_ms + REMINDER_MS;
        }
    }

    /// Says what is to be said.
    pub(crate) fn say(&mut self, now_ms: u64, posts_fail: bool, figures: impl Fn() -> Figures) {
        if (posts_fail || self.statistics_fail) && now_ms >= self.remind_ms {
            self.remind_ms = now_ms + REMINDER_MS;
            let figures = figures();
            tracing::error!(
                waiting = figures.waiting_messages,
                failed_posts = figures.failed_posts,
                error = figures.last_error,
                "what is said still does not come to Nginx"
            );
        }
        if now_ms >= self.next_ms && self.losses(&figures()) {
            self.next_ms = now_ms + COMPLAINT_MS;
        }
    }

    /// Says what was lost to the last.
    pub(crate) fn last_words(&mut self, figures: &Figures) {
        self.losses(figures);
    }

    /// Says what was lost since the last time; whether anything was.
    fn losses(&mut self, figures: &Figures) -> bool {
        let lost = figures.lost_messages() + figures.gaps;
        if lost > self.lost {
            tracing::error!(
                lost = figures.lost_messages(),
                refused = figures.refused_messages,
                dropped = figures.dropped_messages,
                missed = figures.missed_messages,
                gaps = figures.gaps,
                waiting = figures.waiting_messages,
                error = figures.last_error,
                "messages that Nginx's subscribers never get"
            );
        } else if figures.channels_left_out > self.left_out {
            tracing::error!(channels = figures.channels, "Nginx has more channels than are relayed");
        } else {
            return false;
        }
        (self.lost, self.left_out) = (lost, figures.channels_left_out);
        true
    }
}
