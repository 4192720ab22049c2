//! What the relay counts: what is shown in the worker's `/stats`, and complained of in its log.

use serde::Serialize;

/// Counts since the start, and what waits now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Channels that are relayed.
    pub channels: usize,
    /// Subscribers of Nginx, of all its channels, as it told last.
    pub subscribers: u64,
    /// Messages that wait to be posted, or are under way.
    pub waiting_messages: u64,
    /// Bytes that they take.
    pub waiting_bytes: usize,
    /// Posts that Nginx has taken.
    pub posts: u64,
    /// Messages in them.
    pub posted_messages: u64,
    /// Posts that failed; what was in them was posted again, unless it is among the next.
    pub failed_posts: u64,
    /// Messages that Nginx refused: its subscribers never get them.
    pub refused_messages: u64,
    /// Messages dropped since too many waited, or since the worker ended: nor these.
    pub dropped_messages: u64,
    /// Messages that the store no longer had when it could be reached again: nor these.
    pub missed_messages: u64,
    /// How often a channel began to be relayed when more had been said in it than the store keeps: how many
    /// messages are missing is not known.
    pub gaps: u64,
    /// Channels that were not relayed, since there were too many.
    pub channels_left_out: u64,
    /// What went wrong last.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_error: String,
}

impl Figures {
    /// Messages that Nginx's subscribers never get.
    #[must_use]
    pub fn lost_messages(&self) -> u64 {
        self.refused_messages + self.dropped_messages + self.missed_messages
    }
}
