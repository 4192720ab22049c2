//! Clients that ask for each answer: pauses between two questions, and connections that end with an answer.

use super::Generator;
use super::connection::Stage;
use super::timers::What;
use crate::clock::now_ns;

impl Generator {
    /// The client of this slot asks again in a while.
    pub(super) fn pause(&mut self, slot: usize) {
        let generation = self.connections[slot].generation;
        self.timers.set(now_ns() + self.begin.plan.poll_interval_ns, What::Ask(slot, generation));
    }

    /// The while is over.
    pub(super) fn ask(&mut self, slot: usize, generation: u32) {
        let connection = &mut self.connections[slot];
        if connection.generation == generation && connection.stage == Stage::In {
            connection.session.ask(&mut connection.out);
            self.flush(slot);
        }
    }

    /// A server may end a connection with an answer, or between two: another one is made, and nothing is
    /// missed by that.
    pub(super) fn comes_again(&mut self, slot: usize) {
        if self.connections[slot].stage != Stage::In {
            return;
        }
        self.no_longer_owed(slot);
        self.connections[slot].close(false);
        self.left(slot);
        self.set_out(slot, now_ns());
    }
}
