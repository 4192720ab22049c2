//! What differs from run to run, drawn from the seed.

use chatup_core::limits::Limits;
use chatup_core::names::{ChannelName, RoomName};
use chatup_core::shard::SlowSubscriberPolicy;

use crate::random::Random;

pub(crate) struct Settings {
    pub(crate) shards: u16,
    pub(crate) people: usize,
    pub(crate) names: usize,
    pub(crate) steps: usize,
    pub(crate) limits: Limits,
    pub(crate) slow_subscribers: SlowSubscriberPolicy,
    pub(crate) flush_interval_ms: u64,
    pub(crate) deflate: bool,
    pub(crate) shared_store: bool,
    /// Messages that the broker keeps of a channel.
    pub(crate) kept_max: usize,
    pub(crate) broker_queue_max: usize,
    pub(crate) shard_queue_max: usize,
    /// The logs hold everything: nothing is ever too old, and nobody is told of a gap.
    pub(crate) roomy: bool,
    /// In percent of publications on their way to a shard.
    pub(crate) lost_percent: usize,
    /// In percent of operations.
    pub(crate) refused_percent: usize,
    /// In percent of steps.
    pub(crate) past_lost_percent: usize,
    pub(crate) rooms: Vec<RoomName>,
    pub(crate) channels: Vec<ChannelName>,
}

impl Settings {
    pub(crate) fn draw(random: &mut Random) -> Settings {
        let roomy = random.percent(30);
        let mut limits = Limits {
            log_messages_max: if roomy { 100_000 } else { random.pick(&[1, 3, 8, 40]) },
            log_bytes_max: if roomy { 1 << 24 } else { random.pick(&[700, 3_000, 1 << 20]) },
            calls_in_flight_max: random.pick(&[2, 64]),
            ..Limits::default()
        };
        if random.percent(60) {
            limits.ping_after_ms = 3_000;
            limits.pong_within_ms = 6_000;
            limits.idle_ms_max = 9_000;
            limits.write_stall_ms_max = 4_000;
        }
        let rooms: Vec<RoomName> =
            (0..random.between(1, 3)).map(|room| RoomName::new(&format!("room{room}")).unwrap()).collect();
        let mut channels: Vec<ChannelName> =
            rooms.iter().flat_map(|room| [room.messages(), room.events()]).collect();
        channels.extend((0..random.below(3)).map(|one| ChannelName::new(&format!("extra{one}")).unwrap()));
        let people = random.between(10, 40);
        Settings {
            shards: u16::try_from(random.between(1, 3)).unwrap(),
            people,
            names: random.between(2, people),
            steps: random.between(60, 180),
            limits,
            slow_subscribers: random.pick(&[SlowSubscriberPolicy::Tell, SlowSubscriberPolicy::Close]),
            flush_interval_ms: random.pick(&[0, 0, 50, 1_000]),
            deflate: random.percent(50),
            shared_store: random.percent(50),
            kept_max: if roomy { usize::MAX } else { random.pick(&[2, 10, 100]) },
            broker_queue_max: random.pick(&[1, 6, 1_000]),
            shard_queue_max: random.pick(&[1, 4, 1_000]),
            roomy,
            lost_percent: random.pick(&[0, 0, 3]),
            refused_percent: random.pick(&[0, 0, 10]),
            past_lost_percent: random.pick(&[0, 0, 2]),
            rooms,
            channels,
        }
    }
}
