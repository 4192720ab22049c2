//! How fast Nginx is tried while it fails: one post at a time, after pauses that double.

use crate::limits::{POSTS_MAX, RETRY_MS_MAX, RETRY_MS_MIN};

/// The pace of posts.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Failures since the last success.
    failures: u32,
    /// Before this nothing is posted, in milliseconds.
    until_ms: u64,
}

impl Pace {
    /// Whether another post may begin beside those under way.
    pub(crate) fn allows(&self, under_way: usize, now_ms: u64) -> bool {
        if self.failures == 0 { under_way < POSTS_MAX } else { under_way == 0 && now_ms >= self.until_ms }
    }

    /// Whether Nginx fails.
    pub(crate) fn fails(&self) -> bool {
        self.failures > 0
    }

    /// When it next allows one by itself.
    pub(crate) fn due(&self) -> u64 {
        if self.failures == 0 { 0 } else { self.until_ms }
    }

    /// Nginx has answered sensibly. Returns whether it had failed before.
    pub(crate) fn succeeded(&mut self) -> bool {
        std::mem::take(&mut self.failures) > 0
    }

    /// It has not; `chance` is a number below 2^32. Returns whether that is news.
    pub(crate) fn failed(&mut self, now_ms: u64, chance: u32) -> bool {
        if self.failures > 0 && now_ms < self.until_ms {
            // Of the posts that were under way together, one counts.
            return false;
        }
        let pause = (RETRY_MS_MIN << self.failures.min(16)).min(RETRY_MS_MAX);
        // Less up to a half, so that many workers do not come all at once.
        let less = (pause / 2 * u64::from(chance)) >> 32;
        self.until_ms = now_ms + pause - less;
        self.failures = self.failures.saturating_add(1);
        self.failures == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut pace = Pace::default();
        assert!(pace.allows(POSTS_MAX - 1, 0) && !pace.allows(POSTS_MAX, 0));
        let mut now = 1_000;
        for (round, pause) in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000].into_iter().enumerate() {
            assert_eq!(pace.failed(now, 0), round == 0, "{round}");
            assert!(!pace.allows(0, now + pause - 1) && pace.allows(0, now + pause), "{round}");
            assert!(!pace.allows(1, now + pause), "one at a time");
            now += pause;
        }
        pace.failed(now, u32::MAX);
        assert!(!pace.failed(now, 0), "one of those under way together counts");
        assert!(!pace.allows(0, now + 2_499) && pace.allows(0, now + 2_501), "at least half of it");
        assert!(pace.succeeded() && pace.allows(POSTS_MAX - 1, 0));
        assert!(!pace.succeeded());
    }
}
