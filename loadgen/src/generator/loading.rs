//! A stretch of load: publishing what is due, comings and goings, and the account at its end.

use super::connection::{Class, Connection, Stage};
use super::orders::say;
use super::timers::What;
use super::{Generator, Phase};
use crate::checking::{Account, Track};
use crate::clock::{SECOND_NS, now_ns};
use crate::control::{Load, News, Published};
use crate::limits::{SLOW_READ_NS, WRITE_BYTES_MAX};
use crate::plan::mix;
use crate::stamp::{Identity, Stamp};

impl Generator {
    pub(super) fn begin_load(&mut self, mut load: Load) {
        if self.begin.plan.aside.passers > 0 && self.members == self.connections.len() {
            // Another process makes them.
            load.connects_per_s = 0.0;
        }
        self.measuring.begin(&load);
        self.publishing.begin(&load);
        self.phase = Phase::Loading;
        if let Some(at_ns) = load.cut_at_ns {
            self.timers.set(at_ns, What::Cut);
        }
        if load.churn_per_s > 0.0 {
            self.timers.set(load.at_ns, What::Churn);
        }
        if load.connects_per_s > 0.0 {
            let out =
                |connection: &Connection| connection.stage == Stage::Out && connection.class == Class::Comes;
            self.free = (0..self.connections.len()).filter(|slot| out(&self.connections[*slot])).collect();
            self.timers.set(load.at_ns, What::PassBy);
        }
        if load.slow {
            self.timers.set(load.at_ns, What::HoldBack);
        }
        self.load = load;
    }

    /// Publishes all that is due by now.
    pub(super) fn publish_due(&mut self) {
        if self.publishing.next_due_ns() == u64::MAX {
            return;
        }
        let now_ns = now_ns();
        while let Some((slot, due_ns)) = self.publishing.take_due(now_ns) {
            self.measuring.due(due_ns, now_ns, self.is_aside(slot));
            if self.connections[slot].stage == Stage::In {
                if let Some(publisher) = self.publishing.publishers.get_mut(&slot) {
                    publisher.waiting.push_back(due_ns);
                }
                self.pump(slot);
            } else {
                self.measuring.unsent(due_ns);
            }
        }
    }

    /// Writes as many waiting messages as the protocol and the connection take.
    pub(super) fn pump(&mut self, slot: usize) {
        // Again as long as all of it is written at once: then no event says that there is room.
        while self.pump_some(slot) {}
    }

    /// Writes some. Whether there is more to write, and room for it.
    fn pump_some(&mut self, slot: usize) -> bool {
        let Some(publisher) = self.publishing.publishers.get_mut(&slot) else { return false };
        let connection = &mut self.connections[slot];
        if connection.stage != Stage::In || publisher.waiting.is_empty() {
            return false;
        }
        let (run, lane) = (self.begin.plan.run, connection.lane);
        let mut text = Vec::new();
        let mut counted = Vec::new();
        while connection.unwritten() < WRITE_BYTES_MAX
            && connection.session.room_to_publish() > 0
            && let Some(due_ns) = publisher.waiting.pop_front()
        {
            text.clear();
            let identity = Identity { publisher: publisher.number, sequence: publisher.next_sequence };
            Stamp { run, identity, due_ns }.write(self.begin.plan.size_bytes, &mut text);
            let before = connection.out.len();
            connection.session.publish(&text, due_ns, &mut self.masks, &mut connection.out);
            if self.begin.plan.protocol.acknowledges() {
                publisher.unanswered.push_back((due_ns, publisher.next_sequence));
            }
            publisher.next_sequence += 1;
            publisher.stream_bytes += (connection.out.len() - before) as u64;
            publisher.unflushed.push_back((publisher.stream_bytes, due_ns));
            counted.push(due_ns);
        }
        for due_ns in counted {
            let measured = self.measuring.measures(due_ns);
            self.publishing.count(lane, measured, false);
        }
        self.flush(slot);
        let connection = &self.connections[slot];
        let room = connection.unwritten() == 0 && connection.session.room_to_publish() > 0;
        let waiting =
            self.publishing.publishers.get(&slot).is_some_and(|publisher| !publisher.waiting.is_empty());
        connection.stage == Stage::In && room && waiting
    }

    /// Writes what waits to be written.
    pub(super) fn flush(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        if connection.unwritten() == 0 {
            return;
        }
        let all = match connection.write() {
            Ok(all) => all,
            Err(error) => {
                self.ended(slot, &super::connecting::reason(&error));
                return;
            }
        };
        let unwritten = connection.unwritten() as u64;
        let watches = connection.watches_writing;
        if let Some(publisher) = self.publishing.publishers.get_mut(&slot) {
            let (now_ns, aside) = (now_ns(), connection.lane >= self.aside_from);
            let written = publisher.stream_bytes - unwritten.min(publisher.stream_bytes);
            while let Some((end, due_ns)) = publisher.unflushed.front().copied()
                && end <= written
            {
                publisher.unflushed.pop_front();
                self.measuring.sent(due_ns, now_ns, aside);
            }
        }
        if all == watches {
            self.watch(slot, !all);
            if all {
                self.pump(slot);
            }
        }
    }

    /// A publisher is gone: what it had not sent will not be sent.
    pub(super) fn give_up_publishing(&mut self, slot: usize) {
        let Some(publisher) = self.publishing.publishers.get_mut(&slot) else { return };
        let waiting: Vec<u64> = publisher.waiting.drain(..).collect();
        let unflushed: Vec<u64> = publisher.unflushed.drain(..).map(|(_, due_ns)| due_ns).collect();
        let lane = self.connections[slot].lane;
        for due_ns in waiting.iter().chain(&unflushed) {
            self.measuring.unsent(*due_ns);
        }
        for due_ns in unflushed {
            let measured = self.measuring.measures(due_ns);
            self.publishing.count(lane, measured, true);
        }
    }

    /// The load is to end sooner.
    pub(super) fn stop_load(&mut self, at_ns: u64) {
        self.publishing.cut_short(at_ns);
        self.measuring.cut_short(at_ns);
        if let Some(ramp) = &mut self.ramp {
            ramp.end = ramp.next;
        }
        let gone = at_ns.saturating_sub(self.load.at_ns);
        self.load.warmup_ns = self.load.warmup_ns.min(gone);
        self.load.duration_ns = self.load.duration_ns.min(gone - self.load.warmup_ns);
    }

    pub(super) fn end_phases(&mut self, now_ns: u64) {
        let load_end_ns = self.load_end_ns();
        if self.phase == Phase::Loading && now_ns >= load_end_ns && self.publishing.next_due_ns() == u64::MAX
        {
            self.timers.forget(|what| matches!(what, What::Churn | What::PassBy | What::Cut));
            self.phase = Phase::Flushing(load_end_ns + self.load.send_grace_ns);
        }
        if let Phase::Flushing(until_ns) = self.phase {
            let slots = self.publishing.publishers.keys();
            let answered = slots.map(|slot| self.connections[*slot].session.unanswered()).sum::<usize>() == 0;
            if now_ns >= until_ns || (self.publishing.is_done() && answered) {
                self.tell_published();
            }
        }
        if let Phase::Draining(until_ns) = self.phase
            && (now_ns >= until_ns
                || (self.owed == 0 && (self.connecting == 0 || !self.awaits_connections())))
        {
            self.phase = Phase::Idle;
            let counted = self.count();
            say(&News::Progress(self.progress()));
            say(&News::Counted(Box::new(counted)));
        }
    }

    /// Whether connections on their way belong to what is measured.
    fn awaits_connections(&self) -> bool {
        // Polls are made anew where a server ends their connections, and miss nothing by that.
        let polls = self.begin.plan.protocol.polls();
        polls || self.load.cut_at_ns.is_some() || self.load.connects_per_s > 0.0
    }

    fn tell_published(&mut self) {
        for publisher in self.publishing.publishers.values_mut() {
            for due_ns in publisher.waiting.drain(..) {
                self.measuring.unsent(due_ns);
            }
        }
        self.phase = Phase::Told;
        say(&News::Published(self.publishing.published.clone()));
    }

    /// Everything has been published, by all processes: waits for what is missing.
    pub(super) fn drain(&mut self, published: Published, until_ns: u64) {
        for (lane, publisher, sequence) in &published.refused {
            self.lanes[*lane as usize].refused(Identity { publisher: *publisher, sequence: *sequence });
        }
        self.publishing.published.refused.clear();
        self.publishing.everybodys = published;
        self.owed = (0..self.clients)
            .filter(|slot| self.connections[*slot].stage == Stage::In)
            .map(|slot| self.owes(slot))
            .sum();
        self.phase = Phase::Draining(until_ns);
    }

    /// What the client of this slot has not got yet of all that was published.
    pub(super) fn owes(&self, slot: usize) -> u64 {
        if !self.is_owed(slot) {
            return 0;
        }
        let connection = &self.connections[slot];
        let published = self.publishing.everybodys.all.get(connection.lane as usize).copied().unwrap_or(0);
        published.saturating_sub(self.account(slot).heard)
    }

    fn account(&self, slot: usize) -> Account {
        let connection = &self.connections[slot];
        self.lanes[connection.lane as usize].account(&connection.track)
    }

    /// A client that is gone gets nothing more.
    pub(super) fn no_longer_owed(&mut self, slot: usize) {
        if matches!(self.phase, Phase::Draining(_)) {
            self.owed = self.owed.saturating_sub(self.owes(slot));
        }
    }

    fn count(&mut self) -> crate::control::Counted {
        let mut counted = self.measuring.finish(self.ready as u64, now_ns());
        let (missing, holes, told) = self.closed;
        (counted.lost, counted.gaps_silent, counted.gaps_told) = (missing, holes.saturating_sub(told), told);
        counted.expected += missing;
        for slot in 0..self.clients {
            let account = match self.connections[slot].class {
                Class::Stays | Class::Comes => self.account(slot),
                Class::Slow | Class::Publishes => continue,
            };
            counted.gaps_told += account.told;
            counted.gaps_silent += account.holes.saturating_sub(account.told);
            counted.lost += if self.is_owed(slot) { self.owes(slot) } else { account.missing };
            counted.expected += if self.is_owed(slot) { 0 } else { account.missing };
            if self.is_owed(slot) {
                let lane = self.connections[slot].lane as usize;
                counted.expected += self.publishing.everybodys.measured.get(lane).copied().unwrap_or(0);
            }
        }
        for (number, lane) in (0..).zip(&self.lanes) {
            let (heard, digest) = lane.digest();
            if heard > 0 {
                counted.digests.insert(number, (heard, digest));
            }
        }
        counted
    }

    fn load_end_ns(&self) -> u64 {
        self.load.at_ns + self.load.warmup_ns + self.load.duration_ns
    }

    /// What happens so often a second happens again, if the load still goes on then.
    fn again_before_the_end(&mut self, due_ns: u64, per_s: f64, what: What) {
        let next_ns = due_ns + interval_ns(per_s);
        if next_ns < self.load_end_ns() {
            self.timers.set(next_ns, what);
        }
    }

    /// One of those that come and go leaves, and another one comes.
    pub(super) fn churn(&mut self, due_ns: u64) {
        self.again_before_the_end(due_ns, self.load.churn_per_s, What::Churn);
        self.drawn += 1;
        let start = mix(self.begin.plan.seed ^ self.drawn);
        let clients = self.clients as u64;
        let slots =
            (0..clients).map(|step| usize::try_from((start.wrapping_add(step)) % clients).unwrap_or(0));
        let mut candidates = slots.filter(|slot| {
            let connection = &self.connections[*slot];
            connection.class == Class::Comes && connection.stage == Stage::In
        });
        let Some(slot) = candidates.next() else { return };
        let account = self.account(slot);
        self.closed.0 += account.missing;
        self.closed.1 += account.holes;
        self.closed.2 += account.told;
        self.connections[slot].close(true);
        self.connections[slot].track = Track::from_now(None);
        self.connections[slot].session.forget();
        self.connections[slot].worker = None;
        self.left(slot);
        self.measuring.figure("churned_total", 1.0);
        self.set_out(slot, due_ns);
    }

    /// All clients are cut off without a word, and come back.
    pub(super) fn cut_all(&mut self, due_ns: u64) {
        for slot in 0..self.clients {
            if self.connections[slot].stage != Stage::In {
                continue;
            }
            let connection = &mut self.connections[slot];
            connection.close(true);
            connection.cut_ns = due_ns;
            connection.tries = 0;
            connection.due_ns = due_ns;
            let spread = self.load.cut_spread_ns;
            let back_ns = due_ns + if spread == 0 { 0 } else { mix(slot as u64) % spread };
            self.left(slot);
            self.give_up_publishing(slot);
            self.connecting += 1;
            self.measuring.figure("cut_total", 1.0);
            self.timers.set(back_ns, What::Connect(slot));
        }
    }

    /// A connection is to be made only to be closed again.
    pub(super) fn pass_by(&mut self, due_ns: u64) {
        self.again_before_the_end(due_ns, self.load.connects_per_s, What::PassBy);
        self.measuring.figure("connects_due_total", 1.0);
        let Some(slot) = self.free.pop_front() else {
            self.measuring.figure("connects_without_a_slot_total", 1.0);
            return;
        };
        self.connections[slot].passes_by = true;
        self.set_out(slot, due_ns);
    }

    /// Such a connection was ready.
    pub(super) fn passed_by(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        connection.close(true);
        connection.passes_by = false;
        connection.worker = None;
        connection.session.forget();
        self.free.push_back(slot);
        self.measuring.figure("connects_total", 1.0);
    }

    /// Whether slow clients are slow.
    pub(super) fn slow_now(&self) -> bool {
        self.load.slow && now_ns() >= self.load.at_ns
    }

    /// The slow clients become slow.
    pub(super) fn hold_back(&mut self) {
        for slot in 0..self.clients {
            if self.connections[slot].class == Class::Slow && self.connections[slot].stage == Stage::In {
                self.hold_back_one(slot);
            }
        }
    }

    pub(super) fn hold_back_one(&mut self, slot: usize) {
        self.connections[slot].held_back = true;
        self.watch(slot, self.connections[slot].unwritten() > 0);
        if self.begin.plan.slow_bytes_per_s > 0 {
            self.timers.set(now_ns() + SLOW_READ_NS, What::ReadSlowly(slot));
        }
    }
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time within hours"
)]
fn interval_ns(per_s: f64) -> u64 {
    ((SECOND_NS as f64 / per_s) as u64).max(1)
}
