//! Which worker a client gets. No I/O and no clock here: who is alive, who serves the room and what
//! time it is are arguments.
//!
//! Each further worker that serves a room costs a subscription and a copy of every message. So a
//! room's clients gather, as far as loads allow (consistent hashing with bounded loads; Mirrokni,
//! Thorup, Zadimoghaddam 2018):
//!
//! 1. on a worker that serves the room already, unless its load is too far above the mean: the one
//!    with most of the room, so that small remainders drain;
//! 2. otherwise on the first, in the room's own order of workers, that does not tell more than the
//!    mean. That order (rendezvous hashing) and what is told are the same for every dispatcher, so
//!    that those who know nothing of each other agree on a room that nobody serves yet.
//!
//! Workers tell their connections once a beat. What has been handed out since then counts as
//! connected, several times over, since other dispatchers hand out as well: a burst of clients
//! spreads instead of falling on one worker.

use std::cmp::Reverse;
use std::collections::HashMap;

use chatup_core::exchange::{WorkerId, WorkerRecord};
use chatup_core::message::UnixMillis;
use chatup_core::names::RoomName;

use crate::limits::{
    CONNECTING_MS, HANDOUT_MS, HANDOUT_WEIGHT, LOAD_ABOVE_MEAN_PERCENT, LOAD_SLACK, ROOM_VIEWERS_MUCH,
};

/// What has been handed out lately.
#[derive(Default)]
pub(crate) struct Handouts {
    /// In the order of the roster that came last.
    workers: Vec<Lately>,
    /// Where in it each worker stands.
    places: HashMap<WorkerId, usize>,
}

/// A worker, and what it has been handed since it was last seen to tell something new.
#[derive(Clone, Copy)]
struct Lately {
    id: WorkerId,
    hash: u64,
    takes_clients: bool,
    connections: u32,
    since: UnixMillis,
    handed_out: HandedOut,
}

/// Hand-outs by their age.
#[derive(Clone, Copy, Default)]
struct HandedOut {
    /// All of these had time to connect.
    older: u64,
    /// Those of the window of `CONNECTING_MS` before the newest.
    newer: u64,
    newest: u64,
    /// When the newest window began.
    since: UnixMillis,
}

/// How loaded a worker may be and still be preferred.
struct Bounds {
    /// To be given a room that it does not serve: by what it tells alone.
    new: u64,
    /// To be given more of a room of which it has much: to split that costs little.
    much: u64,
    /// To be given more of a room of which it has little.
    little: u64,
}

impl HandedOut {
    fn age(&mut self, now: UnixMillis) {
        let windows = age_ms(self.since, now) / CONNECTING_MS;
        if windows > 0 {
            let (newer, older) = if windows == 1 { (self.newest, 0) } else { (0, self.newest) };
            *self = HandedOut { older: self.older + self.newer + older, newer, newest: 0, since: now };
        }
    }

    fn count(&self) -> u64 {
        self.older + self.newer + self.newest
    }
}

impl Lately {
    fn new(worker: &WorkerRecord, now: UnixMillis) -> Lately {
        Lately {
            id: worker.id,
            hash: hash(&worker.id.0.to_be_bytes()),
            takes_clients: !worker.draining,
            connections: worker.connections,
            since: now,
            handed_out: HandedOut { since: now, ..HandedOut::default() },
        }
    }

    /// A worker that tells another number has counted what came of the hand-outs, but for the
    /// latest. One that tells the same number for a while has told it again: they came to nothing.
    fn take_in(&mut self, worker: &WorkerRecord, now: UnixMillis) {
        self.takes_clients = !worker.draining;
        self.handed_out.age(now);
        if self.connections != worker.connections || age_ms(self.since, now) >= HANDOUT_MS {
            (self.connections, self.since, self.handed_out.older) = (worker.connections, now, 0);
        }
    }

    fn told(&self) -> u64 {
        u64::from(self.connections)
    }

    fn load(&self) -> u64 {
        self.told() + HANDOUT_WEIGHT * self.handed_out.count()
    }
}

impl Handouts {
    /// The worker for one more client of a room, out of those alive. `serving` is what the broker
    /// says of the room's viewers: it may be late, and name workers that are gone. `excluded` has
    /// just failed somebody: it is left out, unless no other takes clients (when a worker dies, a
    /// client's two connections both ask for another, and the second may name the one that is
    /// left).
    pub(crate) fn choose(
        &mut self,
        room: &RoomName,
        alive: &[WorkerRecord],
        serving: &[(WorkerId, u64)],
        excluded: Option<WorkerId>,
        now: UnixMillis,
    ) -> Option<WorkerId> {
        self.take_in(alive, now);
        let place = self.best(room, serving, excluded).or_else(|| self.best(room, serving, None))?;
        let chosen = self.workers.get_mut(place)?;
        chosen.handed_out.newest += 1;
        Some(chosen.id)
    }

    /// Looks nothing up as long as the same workers come in the same order.
    fn take_in(&mut self, alive: &[WorkerRecord], now: UnixMillis) {
        if !self.workers.iter().map(|one| one.id).eq(alive.iter().map(|worker| worker.id)) {
            let before = |worker: &WorkerRecord| self.workers.get(*self.places.get(&worker.id)?).copied();
            let workers = alive.iter().map(|worker| before(worker).unwrap_or(Lately::new(worker, now)));
            self.workers = workers.collect();
            self.places = alive.iter().enumerate().map(|(place, worker)| (worker.id, place)).collect();
        }
        for (one, worker) in self.workers.iter_mut().zip(alive) {
            one.take_in(worker, now);
        }
    }

    /// The place of the best one, apart from one.
    fn best(
        &self,
        room: &RoomName,
        serving: &[(WorkerId, u64)],
        excluded: Option<WorkerId>,
    ) -> Option<usize> {
        let bounds = self.bounds()?;
        let may = |one: &Lately| one.takes_clients && Some(one.id) != excluded;
        self.best_serving(serving, &bounds, may)
            .or_else(|| self.first_in_order(room, &bounds, may))
            .or_else(|| self.least_loaded(may))
    }

    /// None without a worker that takes clients.
    fn bounds(&self) -> Option<Bounds> {
        let taking = self.workers.iter().filter(|one| one.takes_clients);
        let (count, told, load) = taking
            .fold((0, 0, 0), |(count, told, load), one| (count + 1, told + one.told(), load + one.load()));
        if count == 0 {
            return None;
        }
        let [told, load] = [told, load].map(|sum: u64| sum.div_ceil(count));
        let above = load * LOAD_ABOVE_MEAN_PERCENT / 100;
        Some(Bounds {
            new: told + LOAD_SLACK / 2,
            much: load + above / 2 + LOAD_SLACK,
            little: load + above + LOAD_SLACK,
        })
    }

    /// Having much of the room is as good as having more: then the lighter one.
    fn best_serving(
        &self,
        serving: &[(WorkerId, u64)],
        bounds: &Bounds,
        may: impl Fn(&Lately) -> bool,
    ) -> Option<usize> {
        let candidates = serving.iter().filter_map(|(id, viewers)| {
            let place = *self.places.get(id)?;
            let one = self.workers.get(place).filter(|one| may(one))?;
            let viewers = (*viewers).min(ROOM_VIEWERS_MUCH);
            let bound = if viewers == ROOM_VIEWERS_MUCH { bounds.much } else { bounds.little };
            let rank = (Reverse(viewers), one.load(), one.id, place);
            (viewers > 0 && one.load() <= bound).then_some(rank)
        });
        candidates.min().map(|(.., place)| place)
    }

    fn first_in_order(
        &self,
        room: &RoomName,
        bounds: &Bounds,
        may: impl Fn(&Lately) -> bool,
    ) -> Option<usize> {
        let room = hash(room.as_str().as_bytes());
        let light = |one: &Lately| one.told() <= bounds.new && one.load() <= bounds.little;
        let candidates = self.workers.iter().enumerate().filter(|(_, one)| may(one) && light(one));
        candidates.min_by_key(|(_, one)| (mix(room ^ one.hash), one.id)).map(|(place, _)| place)
    }

    fn least_loaded(&self, may: impl Fn(&Lately) -> bool) -> Option<usize> {
        let others = self.workers.iter().enumerate().filter(|(_, one)| may(one));
        others.min_by_key(|(_, one)| (one.load(), one.id)).map(|(place, _)| place)
    }
}

/// A clock that has gone back says nothing of what was before.
fn age_ms(since: UnixMillis, now: UnixMillis) -> u64 {
    now.0.checked_sub(since.0).unwrap_or(u64::MAX)
}

/// FNV-1a, stirred. Not the standard library's hash, which may differ between two builds: the
/// dispatchers of different ones have to agree.
fn hash(bytes: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    mix(bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME)))
}

/// Stirs all bits: the end of `SplitMix64` (Steele, Lea, Flood 2014).
fn mix(bits: u64) -> u64 {
    let mixed = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod simulation;

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(id: u128, connections: u32) -> WorkerRecord {
        WorkerRecord { id: WorkerId(id), host: String::new(), connections, draining: false }
    }

    fn draining(id: u128) -> WorkerRecord {
        WorkerRecord { draining: true, ..worker(id, 0) }
    }

    fn room(name: &str) -> RoomName {
        RoomName::new(name).unwrap()
    }

    fn choose(name: &str, alive: &[WorkerRecord]) -> WorkerId {
        Handouts::default().choose(&room(name), alive, &[], None, UnixMillis(0)).unwrap()
    }

    /// The same in every build, for ever: dispatchers of two versions serve side by side.
    #[test]
    fn each_room_has_its_order_of_workers() {
        let table: &[(&str, [u128; 5])] =
            &[("lobby", [1, 5, 2, 3, 4]), ("Zürich-東京", [2, 5, 4, 1, 3]), ("a", [3, 2, 4, 5, 1])];
        for (name, order) in table {
            let mut alive: Vec<WorkerRecord> = (1..=5).map(|id| worker(id, 0)).collect();
            let found = [(); 5].map(|()| {
                let first = choose(name, &alive);
                alive.retain(|worker| worker.id != first);
                first.0
            });
            assert_eq!(found, *order, "{name}");
        }
    }

    #[test]
    fn rooms_that_nobody_serves_are_even_and_stay_when_others_go() {
        let alive: Vec<WorkerRecord> = (1..=10).map(|id| worker(id, 0)).collect();
        let (gone, left) = alive.split_first().unwrap();
        let mut rooms_of = [0; 11];
        for number in 0..10_000 {
            let name = format!("room-{number}");
            let (before, after) = (choose(&name, &alive), choose(&name, left));
            assert!(before == after || before == gone.id, "{name} moved");
            rooms_of[usize::try_from(before.0).unwrap()] += 1;
        }
        assert!(rooms_of[1..].iter().all(|rooms| (900..1_100).contains(rooms)), "{rooms_of:?}");
    }

    #[test]
    fn one_choice() {
        /// What, the roster, who serves the room, the excluded one, the chosen one.
        type Row<'a> = (&'a str, &'a [WorkerRecord], &'a [(u128, u64)], Option<u128>, Option<u128>);
        let table: &[Row<'_>] = &[
            ("nobody", &[], &[], None, None),
            ("nobody, one excluded", &[], &[], Some(1), None),
            ("nobody, one serves the room", &[], &[(1, 5)], None, None),
            ("the only one", &[worker(1, 900)], &[], None, Some(1)),
            ("few connections", &[worker(1, 900), worker(2, 300)], &[], None, Some(2)),
            ("few connections, the other way", &[worker(1, 300), worker(2, 900)], &[], None, Some(1)),
            (
                "the first in the order, a little above the mean",
                &[worker(1, 64), worker(2, 0)],
                &[],
                None,
                Some(1),
            ),
            ("too far above", &[worker(1, 66), worker(2, 0)], &[], None, Some(2)),
            ("the excluded one is left out", &[worker(1, 900), worker(2, 300)], &[], Some(2), Some(1)),
            ("unless it is the only one", &[worker(2, 300)], &[], Some(2), Some(2)),
            ("or the only one that takes clients", &[draining(1), worker(2, 300)], &[], Some(2), Some(2)),
            ("unknown ones exclude nobody", &[worker(1, 0), worker(2, 300)], &[], Some(7), Some(1)),
            ("draining ones are left out", &[draining(1), worker(2, 300)], &[], None, Some(2)),
            (
                "and are no part of the mean",
                &[draining(1), worker(2, 400), worker(3, 340)],
                &[],
                None,
                Some(2),
            ),
            ("draining ones are as good as none", &[draining(1)], &[], None, None),
            ("also when excluded", &[draining(1)], &[], Some(1), None),
            ("also when they serve the room", &[draining(1)], &[(1, 5)], None, None),
            ("the one that serves it", &[worker(1, 0), worker(2, 50)], &[(2, 1)], None, Some(2)),
            ("one of those that do", &[worker(1, 0), worker(3, 50)], &[(3, 1)], None, Some(3)),
            ("not the draining one", &[worker(1, 50), draining(2)], &[(2, 9)], None, Some(1)),
            ("not the excluded one", &[worker(1, 50), worker(2, 0)], &[(2, 9)], Some(2), Some(1)),
            ("the excluded one if no other", &[worker(2, 0), draining(1)], &[(2, 9)], Some(2), Some(2)),
            ("not one that is gone", &[worker(1, 0), worker(2, 900)], &[(3, 9)], None, Some(1)),
            ("not one without viewers", &[worker(1, 0), worker(2, 50)], &[(1, 0), (2, 1)], None, Some(2)),
            ("little of it, at the bound", &[worker(1, 836), worker(2, 1_164)], &[(2, 63)], None, Some(2)),
            ("little of it, beyond", &[worker(1, 835), worker(2, 1_165)], &[(2, 63)], None, Some(1)),
            ("much of it, at the bound", &[worker(1, 886), worker(2, 1_114)], &[(2, 64)], None, Some(2)),
            ("much of it, beyond", &[worker(1, 885), worker(2, 1_115)], &[(2, 64)], None, Some(1)),
            ("more of it", &[worker(1, 0), worker(2, 50)], &[(1, 2), (2, 3)], None, Some(2)),
            (
                "much of it, both: the lighter",
                &[worker(2, 50), worker(3, 49)],
                &[(2, 99), (3, 64)],
                None,
                Some(3),
            ),
            (
                "as much, as light: the least id",
                &[worker(2, 9), worker(1, 9)],
                &[(2, 5), (1, 5)],
                None,
                Some(1),
            ),
            (
                "the next if one is full",
                &[worker(1, 0), worker(2, 90), worker(3, 900)],
                &[(3, 9), (2, 1)],
                None,
                Some(2),
            ),
        ];
        for (what, alive, serving, excluded, expected) in table {
            let serving: Vec<_> = serving.iter().map(|(id, viewers)| (WorkerId(*id), *viewers)).collect();
            let excluded = excluded.map(WorkerId);
            let chosen = Handouts::default().choose(&room("lobby"), alive, &serving, excluded, UnixMillis(0));
            assert_eq!(chosen, expected.map(WorkerId), "{what}");
        }
    }

    /// How many of `count` clients of one room each worker gets.
    fn burst(handouts: &mut Handouts, alive: &[WorkerRecord], count: usize, now_ms: u64) -> Vec<u32> {
        let mut got = vec![0; alive.len()];
        for _ in 0..count {
            let chosen = handouts.choose(&room("lobby"), alive, &[], None, UnixMillis(now_ms)).unwrap();
            got[alive.iter().position(|worker| worker.id == chosen).unwrap()] += 1;
        }
        got
    }

    /// Three dispatchers that do not know of each other, and no beat.
    #[test]
    fn a_burst_of_one_room_spreads_as_far_as_it_must() {
        // Connections a worker has already, how many come; how many workers may take them, and the
        // most that one may get.
        let table = [
            (0, 30, 1..=1, 30),
            (0, 10_000, 60..=100, 200),
            (1_000, 10_000, 40..=80, 250),
            (10_000, 10_000, 5..=15, 1_100),
        ];
        for (connections, count, workers, most) in table {
            let alive: Vec<WorkerRecord> = (1..=100).map(|id| worker(id, connections)).collect();
            let each = [(); 3].map(|()| burst(&mut Handouts::default(), &alive, count / 3, 0));
            let got: Vec<u32> = (0..100).map(|place| each.iter().map(|got| got[place]).sum()).collect();
            let taking = got.iter().filter(|got| **got > 0).count();
            let (what, largest) = (format!("{connections}, {count}"), got.iter().max().unwrap());
            assert!(workers.contains(&taking), "{what}: {taking} workers");
            assert!(*largest <= most, "{what}: {largest} to one");
        }
    }

    #[test]
    fn dispatchers_agree_on_rooms_that_nobody_serves_yet() {
        let alive: Vec<WorkerRecord> =
            (1..=100).map(|id| worker(id, 10 * u32::try_from(id).unwrap())).collect();
        let mut dispatchers = [Handouts::default(), Handouts::default()];
        for number in 0..500 {
            let name = room(&format!("room-{number}"));
            let [one, other] = dispatchers
                .each_mut()
                .map(|handouts| handouts.choose(&name, &alive, &[], None, UnixMillis(0)));
            assert_eq!(one, other, "{name}");
            // What the first one alone hands out.
            let alone = room(&format!("alone-{number}"));
            dispatchers[0].choose(&alone, &alive, &[], None, UnixMillis(0));
        }
    }

    /// The load that the first of one or two workers is seen to have.
    fn load_after(handouts: &mut Handouts, first: u32, now_ms: u64) -> u64 {
        handouts.take_in(&[worker(1, first), worker(2, 9_000)], UnixMillis(now_ms));
        handouts.workers[0].load()
    }

    #[test]
    fn a_beat_tells_what_came_of_the_hand_outs() {
        let mut handouts = Handouts::default();
        let alive = [worker(1, 0), worker(2, 9_000)];
        assert_eq!(burst(&mut handouts, &alive, 5, 1_000), [5, 0]);
        assert_eq!(burst(&mut handouts, &alive, 1, 1_000 + 2 * CONNECTING_MS), [1, 0]);
        assert_eq!(load_after(&mut handouts, 0, 1_600), 6 * HANDOUT_WEIGHT);
        // Five came; the sixth had no time to.
        assert_eq!(load_after(&mut handouts, 5, 1_700), 5 + HANDOUT_WEIGHT);
        // It tells nothing new for two beats: the sixth does not come.
        assert_eq!(load_after(&mut handouts, 5, 1_699 + HANDOUT_MS), 5 + HANDOUT_WEIGHT);
        assert_eq!(load_after(&mut handouts, 5, 1_700 + HANDOUT_MS), 5);
    }

    #[test]
    fn hand_outs_stay_with_their_worker_and_go_with_it() {
        let mut handouts = Handouts::default();
        let [one, two, three] = [worker(1, 0), worker(2, 900), worker(3, 900)];
        assert_eq!(burst(&mut handouts, &[one.clone(), two.clone()], 5, 0), [5, 0]);
        handouts.take_in(&[three.clone(), two.clone(), one.clone()], UnixMillis(10));
        assert_eq!(
            handouts.workers.iter().map(Lately::load).collect::<Vec<_>>(),
            [900, 900, 5 * HANDOUT_WEIGHT]
        );
        handouts.take_in(&[three.clone(), two], UnixMillis(20));
        handouts.take_in(&[one, three], UnixMillis(30));
        assert_eq!(handouts.workers.iter().map(Lately::load).collect::<Vec<_>>(), [0, 900]);
        assert_eq!(handouts.places.len(), 2);
    }

    #[test]
    fn a_clock_that_goes_back_does_no_harm() {
        let mut handouts = Handouts::default();
        let alive = [worker(1, 0), worker(2, 0)];
        let before = burst(&mut handouts, &alive, 200, 10_000);
        assert!(before.iter().all(|got| *got > 50), "{before:?}");
        assert_eq!(burst(&mut handouts, &alive, 200, 0), before);
        assert_eq!(load_after(&mut handouts, 7, HANDOUT_MS), 7);
    }
}
