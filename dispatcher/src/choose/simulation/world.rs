//! What is simulated: clients that come and go, workers that tell their loads late, dispatchers that
//! know nothing of each other.

use std::time::Duration;

use chatup_broker::limits::WORKER_EXPIRY_MS;
use chatup_core::exchange::{WorkerId, WorkerRecord};
use chatup_core::message::UnixMillis;
use chatup_core::names::RoomName;

use super::super::{Handouts, mix};
use super::{DISPATCHERS, RUSH, Scale, Strategy, WORKERS};

const SEED: u64 = 1;
const TICK_MS: usize = 50;
const TICKS_PER_S: usize = 1_000 / TICK_MS;

/// `SplitMix64` (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// From 0 to one less than `count`, which is not 0.
    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).unwrap()
    }

    fn shuffle<T>(&mut self, things: &mut [T]) {
        for place in (1..things.len()).rev() {
            things.swap(place, self.below(place + 1));
        }
    }
}

/// How many of a room a worker has, and has told.
#[derive(Clone, Copy)]
struct Share {
    worker: usize,
    viewers: u64,
    told: u64,
}

struct SimulatedRoom {
    name: RoomName,
    shares: Vec<Share>,
}

struct SimulatedWorker {
    id: WorkerId,
    lives: bool,
    connections: u32,
    /// Rooms whose numbers have changed since the last beat.
    changed: Vec<usize>,
}

struct SimulatedClient {
    room: usize,
    worker: Option<usize>,
}

#[derive(Clone, Copy)]
pub(super) enum Event {
    Ask { client: usize, excluded: Option<WorkerId> },
    Connect { client: usize, worker: usize },
    Die(usize),
    Forget(usize),
    Begin,
    LeaveAndComeBack(usize),
}

pub(super) struct World {
    strategy: Strategy,
    random: Random,
    tick: usize,
    agenda: Vec<Vec<Event>>,
    rooms: Vec<SimulatedRoom>,
    clients: Vec<SimulatedClient>,
    workers: Vec<SimulatedWorker>,
    /// What has been told; one not heard of for long is not there.
    roster: Vec<WorkerRecord>,
    dispatchers: [Handouts; DISPATCHERS],
}

impl World {
    pub(super) fn new(strategy: Strategy, scale: &Scale) -> World {
        let seed = std::env::var("CHATUP_TEST_SEED").map_or(SEED, |seed| seed.parse().expect("a number"));
        println!("CHATUP_TEST_SEED={seed}");
        let mut world = World {
            strategy,
            random: Random(seed),
            tick: 0,
            agenda: Vec::new(),
            rooms: Vec::new(),
            clients: Vec::new(),
            workers: Vec::new(),
            roster: Vec::new(),
            dispatchers: Default::default(),
        };
        for _ in 0..WORKERS {
            world.begin_worker();
        }
        for rank in 1..=scale.rooms {
            let size = (scale.largest / f64::from(rank).powf(0.85)).round().max(2.0);
            let size = (2_u32..).find(|whole| f64::from(*whole) >= size).unwrap_or(2);
            world.add_room(usize::try_from(size).unwrap());
        }
        let mut joining: Vec<usize> = (0..world.clients.len()).collect();
        world.random.shuffle(&mut joining);
        let ticks = scale.filling_s * TICKS_PER_S;
        for (place, client) in joining.iter().enumerate() {
            let tick = place * ticks / joining.len();
            world.at(tick, Event::Ask { client: *client, excluded: None });
        }
        world
    }

    fn add_room(&mut self, size: usize) {
        let room = self.rooms.len();
        let name = RoomName::new(&format!("room-{room}")).unwrap();
        self.rooms.push(SimulatedRoom { name, shares: Vec::new() });
        self.clients.extend((0..size).map(|_| SimulatedClient { room, worker: None }));
    }

    fn begin_worker(&mut self) {
        let id = WorkerId((u128::from(self.random.next()) << 64) | u128::from(self.random.next()));
        self.workers.push(SimulatedWorker { id, lives: true, connections: 0, changed: Vec::new() });
        self.roster.push(WorkerRecord { id, host: String::new(), connections: 0, draining: false });
    }

    fn at(&mut self, tick: usize, event: Event) {
        if self.agenda.len() <= tick {
            self.agenda.resize_with(tick + 1, Vec::new);
        }
        self.agenda[tick].push(event);
    }

    /// Not at once.
    pub(super) fn later(&mut self, after: Duration, event: Event) {
        let ticks = usize::try_from(after.as_millis()).unwrap() / TICK_MS;
        self.at(self.tick + ticks.max(1), event);
    }

    /// From the first to the last, both included.
    fn ms(&mut self, first: u64, last: u64) -> Duration {
        Duration::from_millis(first + self.random.next() % (last - first + 1))
    }

    /// Rooms of one size, whose clients all come within a second.
    pub(super) fn rush(&mut self, after_s: u64, rooms: usize) {
        let first = self.clients.len();
        for _ in 0..rooms {
            self.add_room(RUSH / rooms);
        }
        let mut joining: Vec<usize> = (first..self.clients.len()).collect();
        self.random.shuffle(&mut joining);
        for client in joining {
            let after = Duration::from_secs(after_s) + self.ms(0, 999);
            self.later(after, Event::Ask { client, excluded: None });
        }
    }

    /// Over the next second.
    pub(super) fn let_one_in_a_hundred_leave(&mut self) {
        for _ in 0..self.clients.len() / 100 {
            let client = self.random.below(self.clients.len());
            let after = self.ms(0, 999);
            self.later(after, Event::LeaveAndComeBack(client));
        }
    }

    pub(super) fn second(&mut self) {
        for _ in 0..TICKS_PER_S {
            self.beats();
            for event in self.agenda.get_mut(self.tick).map(std::mem::take).unwrap_or_default() {
                self.happen(event);
            }
            self.tick += 1;
        }
    }

    /// Each worker tells once a second, at its own time.
    fn beats(&mut self) {
        for (place, worker) in self.workers.iter_mut().enumerate() {
            if !worker.lives || !(self.tick + place * 7).is_multiple_of(TICKS_PER_S) {
                continue;
            }
            if let Some(record) = self.roster.iter_mut().find(|record| record.id == worker.id) {
                record.connections = worker.connections;
            }
            for room in worker.changed.drain(..) {
                let shares = &mut self.rooms[room].shares;
                for share in shares.iter_mut().filter(|share| share.worker == place) {
                    share.told = share.viewers;
                }
                shares.retain(|share| share.viewers + share.told > 0);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Ask { client, excluded } => {
                if let Some(worker) = self.choose(self.clients[client].room, excluded) {
                    let after = self.ms(50, 300);
                    self.later(after, Event::Connect { client, worker });
                }
            }
            Event::Connect { client, worker } if !self.workers[worker].lives => {
                self.later(Duration::ZERO, Event::Ask { client, excluded: Some(self.workers[worker].id) });
            }
            Event::Connect { client, worker } => {
                self.clients[client].worker = Some(worker);
                self.count(client, worker, 1);
            }
            Event::LeaveAndComeBack(client) => {
                if let Some(worker) = self.clients[client].worker.take() {
                    self.count(client, worker, -1);
                    let after = self.ms(0, 10_000);
                    self.later(after, Event::Ask { client, excluded: None });
                }
            }
            Event::Begin => self.begin_worker(),
            Event::Die(worker) => {
                self.workers[worker].lives = false;
                for client in 0..self.clients.len() {
                    if self.clients[client].worker.take_if(|its| *its == worker).is_some() {
                        self.count(client, worker, -1);
                        let after = self.ms(0, 2_000);
                        let excluded = Some(self.workers[worker].id);
                        self.later(after, Event::Ask { client, excluded });
                    }
                }
                self.later(Duration::from_millis(WORKER_EXPIRY_MS), Event::Forget(worker));
            }
            Event::Forget(worker) => {
                let id = self.workers[worker].id;
                self.roster.retain(|record| record.id != id);
                for room in &mut self.rooms {
                    room.shares.retain(|share| share.worker != worker);
                }
            }
        }
    }

    fn count(&mut self, client: usize, worker: usize, more: i32) {
        let room = self.clients[client].room;
        let shares = &mut self.rooms[room].shares;
        let known = shares.iter().position(|share| share.worker == worker);
        let place = known.unwrap_or_else(|| {
            shares.push(Share { worker, viewers: 0, told: 0 });
            shares.len() - 1
        });
        let share = &mut shares[place];
        share.viewers = share.viewers.saturating_add_signed(more.into());
        let worker = &mut self.workers[worker];
        worker.connections = worker.connections.saturating_add_signed(more);
        worker.changed.push(room);
    }

    fn choose(&mut self, room: usize, excluded: Option<WorkerId>) -> Option<usize> {
        let now = UnixMillis((self.tick * TICK_MS) as u64);
        let handouts = &mut self.dispatchers[self.random.below(DISPATCHERS)];
        let id = match self.strategy {
            Strategy::Gathering => {
                let room = &self.rooms[room];
                let serving: Vec<(WorkerId, u64)> = (room.shares.iter().filter(|share| share.told > 0))
                    .map(|share| (self.workers[share.worker].id, share.told))
                    .collect();
                handouts.choose(&room.name, &self.roster, &serving, excluded, now)?
            }
            Strategy::LeastLoaded => {
                handouts.take_in(&self.roster, now);
                let place = handouts.least_loaded(|lately| Some(lately.id) != excluded)?;
                handouts.workers[place].handed_out.newest += 1;
                handouts.workers[place].id
            }
            Strategy::Chance => {
                let others = self.roster.iter().filter(|record| Some(record.id) != excluded);
                let others: Vec<WorkerId> = others.map(|record| record.id).collect();
                others[self.random.below(others.len())]
            }
        };
        self.workers.iter().position(|worker| worker.id == id)
    }

    /// Of the workers that live.
    pub(super) fn loads(&self) -> impl Iterator<Item = u64> {
        self.workers.iter().filter(|worker| worker.lives).map(|worker| u64::from(worker.connections))
    }

    pub(super) fn mean_load(&self) -> u64 {
        self.loads().sum::<u64>().div_ceil(self.loads().count() as u64).max(1)
    }

    /// Of each room.
    pub(super) fn workers_and_viewers(&self) -> impl Iterator<Item = (u64, u64)> {
        self.rooms.iter().map(|room| {
            let shares = room.shares.iter().filter(|share| share.viewers > 0);
            shares.fold((0, 0), |(count, sum), share| (count + 1, sum + share.viewers))
        })
    }
}
