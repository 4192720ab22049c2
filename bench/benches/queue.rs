//! The queue into a shard: used by one thread (`awake`), between two threads that never rest
//! (`busy`), and with a shard that sleeps until the bell rings (`parked`).
//!
//! Here the sleeper waits in `poll`; the product's shards wait in their ring, which costs about as
//! much. `parked` is a round trip between two sleepers: two wake-ups, two queues. Each thread has a
//! core of its own, as shards have, if there are two: on one, the scheduler would switch from one to
//! the other at once, which no shard ever sees.
#![allow(missing_docs, reason = "criterion's macros write functions of their own")]

use std::thread;

use chatup_bench::cases::handover::{awake, queue};
use chatup_worker::queues::{ShardReceiver, ShardSender, ToShard};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Messages of one round of `busy`: half of what the queue holds, so that nobody has to wait.
const BUSY_MESSAGES: u32 = 4_096;

/// Keeps the calling thread on a core, if there is such a core.
fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    let _ = sched_setaffinity(None, &cores);
}

/// Takes the next message, asleep until there is one; nothing once the shard is told to drain.
fn take(receiver: &ShardReceiver) -> Option<ToShard> {
    loop {
        if let Some(message) = receiver.take() {
            return (!matches!(message, ToShard::Drain)).then_some(message);
        }
        if receiver.fall_asleep() {
            let mut bell = [PollFd::from_borrowed_fd(receiver.bell(), PollFlags::IN)];
            poll(&mut bell, None).expect("the bell can be waited for");
            receiver.wake_up();
            // Whoever rang did so once: this does not block.
            rustix::io::read(receiver.bell(), &mut [0; 8]).expect("the bell can be read");
        }
    }
}

/// A thread that sends back whatever it is sent.
fn echo() -> (ShardSender, ShardReceiver, thread::JoinHandle<()>) {
    let ((there, inbox), (back, answers)) = (queue(), queue());
    let echo = thread::spawn(move || {
        pin(1);
        while let Some(message) = take(&inbox) {
            back.put(message);
        }
    });
    (there, answers, echo)
}

/// A thread that takes whatever comes, without rest, and answers the last message of a round.
fn drain() -> (ShardSender, ShardReceiver, thread::JoinHandle<()>) {
    let ((there, inbox), (back, answers)) = (queue(), queue());
    let drain = thread::spawn(move || {
        pin(1);
        let mut taken = 0;
        loop {
            match inbox.take() {
                Some(ToShard::Drain) => return,
                Some(message) => {
                    taken += 1;
                    if taken == BUSY_MESSAGES {
                        taken = 0;
                        back.put(message);
                    }
                }
                None => std::hint::spin_loop(),
            }
        }
    });
    (there, answers, drain)
}

fn bench(criterion: &mut Criterion) {
    pin(0);
    let message = || {
        let publication = chatup_bench::cases::publication(&chatup_bench::cases::channel(), 41, 120);
        ToShard::Broker(chatup_bench::cases::published(&publication))
    };
    let mut group = criterion.benchmark_group("queue");
    for messages in [1_u32, 64] {
        group.throughput(Throughput::Elements(messages.into()));
        group.bench_function(BenchmarkId::new("awake", messages), |b| b.iter(awake(messages as usize)));
    }

    let (sender, answers, thread) = drain();
    group.throughput(Throughput::Elements(BUSY_MESSAGES.into()));
    group.bench_function("busy", |b| {
        b.iter_batched(
            || (0..BUSY_MESSAGES).map(|_| message()).collect::<Vec<ToShard>>(),
            |messages| {
                for message in messages {
                    sender.put(message);
                }
                while answers.take().is_none() {
                    std::hint::spin_loop();
                }
            },
            criterion::BatchSize::LargeInput,
        );
    });
    sender.put(ToShard::Drain);
    thread.join().expect("the thread ends");

    let (sender, answers, thread) = echo();
    group.throughput(Throughput::Elements(1));
    group.bench_function("parked", |b| {
        let mut message = Some(message());
        b.iter(|| {
            sender.put(message.take().expect("it came back"));
            message = take(&answers);
        });
    });
    sender.put(ToShard::Drain);
    thread.join().expect("the thread ends");
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
