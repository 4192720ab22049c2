//! Somebody who bans one speaker of a room, now and then, and lets it speak again.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::board::Board;
use super::record::Ban;
use super::signer::Signer;
use super::wire::exchange;

/// How long a ban is in force, and how long there is none, in milliseconds.
const LASTS_MS: std::ops::Range<u64> = 200..2_500;
/// Pause before the next attempt.
const RETRY: Duration = Duration::from_millis(100);

/// An operator of one room.
pub struct Operator<'a> {
    /// What all know.
    pub board: &'a Board,
    /// The room.
    pub room: &'a str,
    /// Who is banned.
    pub name: String,
    /// Who makes the tokens, each good for one use.
    pub signer: Signer,
    /// What it decides by.
    pub random: StdRng,
}

impl Operator<'_> {
    /// Bans and lifts, until all is to be quiet.
    pub fn run(mut self) {
        while self.lasts() {
            let asked = self.board.tick();
            if !self.until_done("ban") {
                return;
            }
            let (channel, name) = (format!("m_{}", self.room), self.name.clone());
            let begun = self.board.tick();
            self.board.change(|state| {
                state.bans.push(Ban { channel, name, asked, begun, lifting: u64::MAX, lifted: u64::MAX });
            });
            if !self.lasts() {
                return;
            }
            let lifting = self.board.tick();
            let lifted = if self.until_done("unban") { self.board.tick() } else { u64::MAX };
            self.board.change(|state| {
                let own = state.bans.iter_mut().rfind(|ban| ban.name == self.name);
                let own = own.expect("a ban");
                (own.lifting, own.lifted) = (lifting, lifted);
            });
        }
    }

    /// Lets some time pass; whether all goes on.
    fn lasts(&mut self) -> bool {
        let at_most = Duration::from_millis(self.random.random_range(LASTS_MS));
        !self.board.wait(at_most, |_| self.board.is_quiet())
    }

    /// Asks any dispatcher until one says that it is done; whether one did before the end.
    fn until_done(&mut self, what: &str) -> bool {
        while !self.board.is_stopped() {
            let token = self.signer.admin(&[&format!("--{what}"), &self.name, "--room", self.room]);
            let address = self.board.dispatcher(&mut self.random);
            match exchange(&address, &format!("POST /{what}"), &token) {
                Ok((status, body)) if status.contains(" 200 ") && body == "OK" => return true,
                Ok((status, _)) => self.board.refused(&format!("{what}: {status}")),
                Err(_) => {}
            }
            std::thread::sleep(RETRY);
        }
        false
    }
}
