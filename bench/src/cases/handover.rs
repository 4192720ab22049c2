//! The queue into a shard, used by one thread: what each message costs on either side. What two
//! threads make of it is `benches/queue.rs`'s to time: it cannot be counted.

use std::hint::black_box;

use chatup_worker::queues::{ShardReceiver, ShardSender, ToShard, shard_queue};

use super::{channel, publication, published};

/// A queue as every shard has it.
///
/// # Panics
/// If the system gives no eventfd.
#[must_use]
pub fn queue() -> (ShardSender, ShardReceiver) {
    shard_queue().expect("an eventfd")
}

/// Puts so many messages into the queue of a shard that is awake, and takes them out again.
///
/// # Panics
/// If one does not come through.
pub fn awake(messages: usize) -> impl FnMut() {
    let (sender, receiver) = queue();
    let publication = publication(&channel(), 41, 120);
    move || {
        for _ in 0..messages {
            assert!(sender.offer(ToShard::Broker(published(&publication))).is_ok());
        }
        for _ in 0..messages {
            assert!(black_box(receiver.take()).is_some());
        }
    }
}
