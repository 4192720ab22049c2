//! Who is who in a run: which client is in which channel, at which server, and which message is
//! whose. Every process works it out for itself from the same few numbers.
//!
//! A *lane* is a channel at one server: where several servers stand side by side and share nothing,
//! each has its own lane of a channel, and a message is published in each, as a broker would do it.
//!
//! Knows no socket and no clock.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::door::Door;
use crate::protocol::Kind;

/// How clients are spread over channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sizes {
    /// Evenly over so many.
    Even(u32),
    /// Clients of each channel, as a running total.
    Given(Vec<u32>),
}

/// Who publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Publishers {
    /// So many connections of their own a lane.
    Apart(u32),
    /// So many of the clients, themselves subscribers.
    Among(u32),
    /// Nobody.
    Nobody,
}

/// What is kept apart from all the rest, since it is meant to be a burden to it: the last of the
/// channels. They have rates of their own, their latency is no part of the run's, and processes of
/// their own hold them, so that it is not the generator where the others have to wait for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aside {
    /// These channels, in order: how many connections publish in each lane of each.
    pub publishers: Vec<u32>,
    /// Connections that are made only to be closed again, to the last of them.
    pub passers: u32,
    /// The processes that hold all that, the last ones; decided when it is known how many there are.
    pub processes: u32,
}

/// The run, as every process knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Told apart from other runs by this.
    pub run: u32,
    /// Of all that is drawn by lot.
    pub seed: u64,
    /// What is spoken.
    pub protocol: Kind,
    /// Where to go.
    pub doors: Vec<Door>,
    /// Subscribers.
    pub clients: u32,
    /// Their channels.
    pub sizes: Sizes,
    /// Who publishes.
    pub publishers: Publishers,
    /// What is kept apart.
    pub aside: Aside,
    /// Length of a published text, in bytes.
    pub size_bytes: usize,
    /// Clients that come and go.
    pub comers: u32,
    /// Clients that read slowly.
    pub slow: u32,
    /// Bytes a second that such a client reads.
    pub slow_bytes_per_s: u64,
    /// Clients must be able to come back where they were.
    pub resumes: bool,
    /// Messages are to be compressed.
    pub deflate: bool,
    /// From an answer to the next poll, where polls do not wait, in nanoseconds.
    pub poll_interval_ns: u64,
}

/// One connection's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the channel.
    pub channel: u32,
    /// Number of the door.
    pub door: u32,
}

impl Plan {
    /// Number of channels.
    #[must_use]
    pub fn channels(&self) -> u32 {
        match &self.sizes {
            Sizes::Even(channels) => *channels,
            Sizes::Given(ends) => count(ends.len()),
        }
    }

    fn doors(&self) -> u32 {
        count(self.doors.len())
    }

    /// The first channel that is kept apart; where none is, the number of channels.
    fn aside_from(&self) -> u32 {
        self.channels() - count(self.aside.publishers.len())
    }

    /// Whether this channel is kept apart.
    #[must_use]
    pub fn is_aside(&self, channel: u32) -> bool {
        channel >= self.aside_from()
    }

    /// The first lane that is kept apart.
    #[must_use]
    pub fn lane_aside_from(&self) -> u32 {
        self.aside_from() * self.doors()
    }

    /// Connections that are kept apart, of all kinds.
    #[must_use]
    pub fn connections_aside(&self) -> u64 {
        if self.aside.publishers.is_empty() {
            return 0;
        }
        let clients = (0..self.clients).filter(|client| self.is_aside(self.place(*client).channel)).count();
        let publishers = self.publishers_apart();
        let publishers = publishers.iter().filter(|place| self.is_aside(place.channel)).count();
        (clients + publishers) as u64 + u64::from(self.aside.passers)
    }

    /// Whether process `process` of so many holds the connection of this number, one that is kept
    /// apart or one that is not.
    #[must_use]
    pub fn is_held_by(&self, process: u32, processes: u32, number: u32, aside: bool) -> bool {
        let others = processes - self.aside.processes.min(processes);
        let (first, many) = if aside { (others, self.aside.processes) } else { (0, others) };
        many > 0 && process >= first && process - first == number % many
    }

    /// Where the connections go that are closed again at once.
    #[must_use]
    pub fn place_of_passer(&self, number: u32) -> Place {
        Place { channel: self.channels() - 1, door: number % self.doors() }
    }

    /// Where subscriber `client` is.
    #[must_use]
    pub fn place(&self, client: u32) -> Place {
        match &self.sizes {
            // Where there are more channels than doors, all of a channel go through the same one.
            Sizes::Even(channels) if *channels >= self.doors() => {
                let channel = client % channels;
                Place { channel, door: channel % self.doors() }
            }
            Sizes::Even(channels) => {
                Place { channel: client % channels, door: client / channels % self.doors() }
            }
            Sizes::Given(ends) => {
                let channel = count(ends.partition_point(|end| *end <= client));
                Place { channel, door: client % self.doors() }
            }
        }
    }

    /// Number of lanes, those that nobody is in included.
    #[must_use]
    pub fn lanes(&self) -> u32 {
        self.channels() * self.doors()
    }

    /// Number of the lane of a place.
    #[must_use]
    pub fn lane(&self, place: Place) -> u32 {
        place.channel * self.doors() + place.door
    }

    /// The lanes that somebody is in, with how many, and their places.
    #[must_use]
    pub fn crowds(&self) -> Vec<(Place, u32)> {
        let mut crowds = vec![0; self.lanes() as usize];
        for client in 0..self.clients {
            crowds[self.lane(self.place(client)) as usize] += 1;
        }
        let place = |lane: u32| Place { channel: lane / self.doors(), door: lane % self.doors() };
        (0..).map(place).zip(crowds).filter(|(_, crowd)| *crowd > 0).collect()
    }

    /// The name of a channel.
    #[must_use]
    pub fn channel_name(&self, channel: u32) -> String {
        match self.protocol {
            // Two runs against one server must not meet.
            Kind::Native | Kind::PushStream(_) => format!("lg{:x}-{channel}", self.run),
            Kind::Plain | Kind::SocketIo => format!("c{channel}"),
        }
    }

    /// Places of the connections that only publish, in the order of their numbers.
    #[must_use]
    pub fn publishers_apart(&self) -> Vec<Place> {
        let each = |place: Place| std::iter::repeat_n(place, self.publishers_of(place.channel) as usize);
        self.crowds().into_iter().flat_map(|(place, _)| each(place)).collect()
    }

    /// Connections that only publish, in each lane of this channel.
    fn publishers_of(&self, channel: u32) -> u32 {
        match self.publishers {
            Publishers::Apart(each) if !self.is_aside(channel) => each,
            Publishers::Apart(_) => self.aside.publishers[(channel - self.aside_from()) as usize],
            Publishers::Among(_) | Publishers::Nobody => 0,
        }
    }

    /// Number of publishers: messages carry numbers below it.
    #[must_use]
    pub fn publishers(&self) -> u32 {
        match self.publishers {
            Publishers::Apart(_) => count(self.publishers_apart().len()),
            Publishers::Among(talkers) => talkers.min(self.clients),
            Publishers::Nobody => 0,
        }
    }

    /// What each client is besides a subscriber.
    #[must_use]
    pub fn roles(&self) -> Roles {
        let talkers = match self.publishers {
            Publishers::Among(talkers) => talkers,
            Publishers::Apart(_) | Publishers::Nobody => 0,
        };
        Roles {
            talks: self.draw(talkers, 1),
            comes: self.draw(self.comers, 2),
            slow: self.draw(self.slow, 3),
        }
    }

    /// Draws so many clients by lot: whatever their channels, doors and processes, and the same in
    /// every process.
    fn draw(&self, many: u32, salt: u64) -> Vec<bool> {
        let mut drawn = vec![false; self.clients as usize];
        let many = many.min(self.clients) as usize;
        if many > 0 {
            let seed = mix(self.seed ^ mix(salt));
            let mut lots: Vec<(u64, u32)> =
                (0..self.clients).map(|client| (mix(seed ^ u64::from(client)), client)).collect();
            lots.select_nth_unstable(many - 1);
            lots[..many].iter().for_each(|(_, client)| drawn[*client as usize] = true);
        }
        drawn
    }
}

/// What each client is besides a subscriber, by its number.
#[derive(Debug)]
pub struct Roles {
    /// It publishes too.
    pub talks: Vec<bool>,
    /// It comes and goes.
    pub comes: Vec<bool>,
    /// It reads slowly.
    pub slow: Vec<bool>,
}

/// Says which publishers say the `k`-th message of a run.
#[derive(Debug)]
pub struct Turns {
    seed: u64,
    /// Publishers of each channel: of each of its lanes, in order. Empty where clients publish.
    by_channel: Vec<Vec<Vec<u32>>>,
    publishers: u32,
}

impl Turns {
    /// Of this plan: first those of the usual channels, which take turns with one another, then those
    /// of each channel that is kept apart.
    #[must_use]
    pub fn new(plan: &Plan) -> Vec<Turns> {
        let usual = std::iter::once(0..plan.aside_from());
        let aside = (plan.aside_from()..plan.channels()).map(|channel| channel..channel + 1);
        usual.chain(aside).map(|channels| Turns::among(plan, &channels)).collect()
    }

    /// In these channels.
    fn among(plan: &Plan, channels: &Range<u32>) -> Turns {
        let Publishers::Apart(_) = plan.publishers else {
            return Turns { seed: plan.seed, by_channel: Vec::new(), publishers: plan.publishers() };
        };
        let mut by_channel: Vec<Vec<Vec<u32>>> = vec![Vec::new(); channels.len()];
        let mut next = 0;
        for (place, _) in plan.crowds() {
            let own = next..next + plan.publishers_of(place.channel);
            next = own.end;
            if channels.contains(&place.channel) {
                by_channel[(place.channel - channels.start) as usize].push(own.collect());
            }
        }
        by_channel.retain(|lanes| !lanes.is_empty());
        let publishers = count(by_channel.iter().flatten().map(Vec::len).sum());
        Turns { seed: plan.seed, by_channel, publishers }
    }

    /// Whether one of those who take turns is such a one.
    #[must_use]
    pub fn has(&self, mut such: impl FnMut(u32) -> bool) -> bool {
        if self.by_channel.is_empty() {
            return (0..self.publishers).any(such);
        }
        self.by_channel.iter().flatten().flatten().any(|publisher| such(*publisher))
    }

    /// Whether there is nobody to say anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.publishers == 0
    }

    /// Publishers of message `k`: one in every lane of its channel.
    pub fn of(&self, k: u64, mut say: impl FnMut(u32)) {
        if self.by_channel.is_empty() {
            if self.publishers > 0 {
                say(u32::try_from(mix(self.seed ^ k) % u64::from(self.publishers)).unwrap_or(0));
            }
            return;
        }
        let channels = self.by_channel.len() as u64;
        let round = k / channels;
        for lane in &self.by_channel[usize::try_from(k % channels).unwrap_or(0)] {
            say(lane[usize::try_from(round % lane.len() as u64).unwrap_or(0)]);
        }
    }
}

/// Sizes by Zipf's law: the n-th channel has a share of 1/n^s; nobody's room is empty.
#[must_use]
pub fn zipf(clients: u32, channels: u32, exponent: f64) -> Sizes {
    let channels = channels.clamp(1, clients.max(1));
    let weights: Vec<f64> = (1..=channels).map(|n| f64::from(n).powf(-exponent)).collect();
    let all: f64 = weights.iter().sum();
    // One for each, and the rest by weight; running totals make the sum come out exactly.
    let rest = f64::from(clients - channels.min(clients));
    let mut running = 0.0;
    let ends = (1..=channels).zip(&weights).map(|(n, weight)| {
        running += weight;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to clients")]
        let by_weight = (rest * running / all).round() as u32;
        (n + by_weight).min(clients)
    });
    Sizes::Given(ends.collect())
}

/// So many rooms as alike as can be, as a running total.
#[must_use]
pub fn evenly(clients: u32, channels: u32) -> Vec<u32> {
    let end = |number| u64::from(clients) * number / u64::from(channels.max(1));
    (1..=u64::from(channels)).map(|number| u32::try_from(end(number)).unwrap_or(clients)).collect()
}

/// SplitMix64 (Steele, Lea, Flood 2014): a number that looks drawn by lot.
#[must_use]
pub fn mix(value: u64) -> u64 {
    let mut value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn plan(clients: u32, sizes: Sizes, doors: usize, publishers: Publishers) -> Plan {
        let door = Door {
            authority: "127.0.0.1:1".to_owned(),
            address: ([127, 0, 0, 1], 1).into(),
            dispatcher: false,
            path: "/{channel}".to_owned(),
            subscribers: None,
        };
        Plan {
            run: 1,
            seed: 1,
            protocol: Kind::Plain,
            doors: vec![door; doors],
            clients,
            sizes,
            publishers,
            aside: Aside::default(),
            size_bytes: 64,
            comers: 0,
            slow: 0,
            slow_bytes_per_s: 0,
            deflate: false,
            poll_interval_ns: 1,
            resumes: false,
        }
    }

    #[test]
    fn clients_are_spread_evenly() {
        for (clients, channels, doors, lanes, most) in [
            (10, 1, 1, 1, 10),
            (10, 3, 1, 3, 4),
            (100, 1, 7, 7, 15),
            (100, 10, 4, 10, 10),
            (100, 2, 4, 8, 13),
            (1, 5, 2, 1, 1),
        ] {
            let plan = plan(clients, Sizes::Even(channels), doors, Publishers::Apart(1));
            let crowds = plan.crowds();
            let what = format!("{clients} clients, {channels} channels, {doors} doors");
            assert_eq!(crowds.iter().map(|(_, crowd)| crowd).sum::<u32>(), clients, "{what}");
            assert_eq!(crowds.len(), lanes, "{what}");
            assert_eq!(crowds.iter().map(|(_, crowd)| *crowd).max(), Some(most), "{what}");
        }
    }

    #[test]
    fn zipf_leaves_nobody_out_and_no_room_empty() {
        for (clients, channels, exponent) in [
            (1_000, 10, 1.0),
            (100_000, 1_000, 1.1),
            (5, 10, 1.0),
            (1, 1, 1.0),
            (100, 100, 2.0),
            (50, 5, 0.0),
        ] {
            let plan = plan(clients, zipf(clients, channels, exponent), 1, Publishers::Nobody);
            let crowds = plan.crowds();
            assert_eq!(crowds.iter().map(|(_, crowd)| crowd).sum::<u32>(), clients);
            assert_eq!(crowds.len(), channels.min(clients) as usize);
            assert!(crowds.windows(2).all(|pair| pair[0].1 + 1 >= pair[1].1), "larger rooms first");
        }
    }

    #[test]
    fn every_message_has_one_publisher_in_each_lane_of_its_channel() {
        let plan = plan(100, Sizes::Even(2), 4, Publishers::Apart(3));
        let places = plan.publishers_apart();
        assert_eq!(places.len(), plan.publishers() as usize);
        let turns = Turns::new(&plan).remove(0);
        let mut said = vec![0; places.len()];
        for k in 0..60 {
            let mut lanes = Vec::new();
            turns.of(k, |publisher| {
                said[publisher as usize] += 1;
                lanes.push(places[publisher as usize]);
            });
            let channel = u32::try_from(k % 2).expect("small");
            assert_eq!(lanes, (0..4).map(|door| Place { channel, door }).collect::<Vec<_>>());
        }
        assert!(said.iter().all(|said| *said == 10), "evenly: {said:?}");
    }

    /// Some rooms of three, a large one and a small one apart, with connections that pass by.
    pub(crate) fn plan_aside(doors: usize) -> Plan {
        let mut ends = evenly(30, 10);
        ends.extend([90, 100]);
        let aside = Aside { publishers: vec![1, 4], passers: 7, processes: 0 };
        Plan { aside, ..plan(100, Sizes::Given(ends), doors, Publishers::Apart(2)) }
    }

    #[test]
    fn rooms_are_as_alike_as_can_be() {
        for (clients, channels) in [(10, 3), (100, 100), (7, 1), (5_000_000, 4_999_999), (1_000, 7)] {
            let ends = evenly(clients, channels);
            assert_eq!((ends.len(), ends.last()), (channels as usize, Some(&clients)));
            let sizes = || std::iter::once(&0).chain(&ends).zip(&ends).map(|(start, end)| end - start);
            assert!(sizes().min() > Some(0), "{clients} in {channels}");
            assert!(sizes().max() <= sizes().min().map(|least| least + 1), "{clients} in {channels}");
        }
    }

    #[test]
    fn what_is_apart_has_publishers_and_turns_of_its_own() {
        for doors in [1_u32, 2] {
            let plan = plan_aside(doors as usize);
            let places = plan.publishers_apart();
            assert_eq!(places.len(), plan.publishers() as usize);
            assert_eq!(plan.publishers(), doors * (10 * 2 + 1 + 4));
            assert_eq!(plan.connections_aside(), u64::from(70 + doors * (1 + 4) + 7));
            let turns = Turns::new(&plan);
            assert_eq!(turns.len(), 3);
            for (turns, channels) in turns.iter().zip([0..10, 10..11, 11..12]) {
                let mut said = vec![0; places.len()];
                (0..40).for_each(|k| turns.of(k, |publisher| said[publisher as usize] += 1));
                for (number, (said, place)) in (0..).zip(said.iter().zip(&places)) {
                    let own = channels.contains(&place.channel);
                    assert_eq!(*said > 0, own, "publisher {number} at {place:?}");
                    assert_eq!(turns.has(|publisher| publisher == number), own);
                }
            }
        }
    }

    #[test]
    fn every_connection_is_held_once_and_what_is_apart_by_processes_of_its_own() {
        for (processes, aside_processes) in [(1, 0), (3, 0), (2, 1), (5, 2), (7, 6)] {
            let mut plan = plan_aside(1);
            plan.aside.processes = aside_processes;
            for number in 0..50 {
                for aside in [false, true] {
                    let held = |process: &u32| plan.is_held_by(*process, processes, number, aside);
                    let holders: Vec<u32> = (0..processes).filter(held).collect();
                    let others = processes - aside_processes;
                    match holders[..] {
                        [holder] => assert_eq!(holder >= others, aside, "{processes}, {aside_processes}"),
                        [] => assert!(aside && aside_processes == 0, "{number} is nobody's"),
                        _ => panic!("{number} is held by {holders:?}"),
                    }
                }
            }
        }
    }

    #[test]
    fn talking_clients_take_turns_by_lot() {
        let plan = plan(95, Sizes::Even(5), 1, Publishers::Among(10));
        assert_eq!(plan.publishers(), 10);
        assert_eq!(plan.roles().talks.iter().filter(|talks| **talks).count(), 10);
        let turns = Turns::new(&plan).remove(0);
        let mut said = [0; 10];
        for k in 0..1_000 {
            turns.of(k, |publisher| said[publisher as usize] += 1);
        }
        assert!(said.iter().all(|said| *said > 50), "{said:?}");
    }

    #[test]
    fn roles_are_spread_over_channels_and_processes() {
        for (clients, many) in [(1_000, 100), (1_000, 400), (1_000, 999), (10, 10), (7, 0), (7, 1), (5, 9)] {
            let plan =
                Plan { slow: many, comers: many, ..plan(clients, Sizes::Even(10), 1, Publishers::Nobody) };
            let roles = plan.roles();
            for drawn in [&roles.slow, &roles.comes] {
                assert_eq!(drawn.iter().filter(|drawn| **drawn).count(), many.min(clients) as usize);
            }
            if clients == 1_000 && many < 999 {
                for channel in 0..10 {
                    let own = roles.slow.iter().skip(channel).step_by(10).filter(|slow| **slow).count();
                    assert!(own > 0 && own < 100, "channel {channel}: {own} of {many}");
                }
                assert_ne!(roles.slow, roles.comes, "each drawn by itself");
            }
        }
    }
}
