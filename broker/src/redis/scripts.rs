//! The scripts, each one step of the server: what it reads and writes, nobody comes between. Values go
//! in as arguments, never as part of a script's text.

use chatup_core::position::Epoch;
use redis::Cmd;

use crate::limits::EMPTY_CHANNEL_MS;

macro_rules! scripts {
    ($($name:ident $file:literal;)+) => {
        /// A script; what it takes and returns stands at its head.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Script {
            $($name,)+
        }

        impl Script {
            const ALL: &'static [(Script, &'static str)] =
                &[$((Script::$name, include_str!(concat!("lua/", $file, ".lua"))),)+];
        }
    };
}

scripts! {
    Publish "publish";
    Sync "sync";
    Ban "ban";
    Unban "unban";
    Bans "bans";
    Join "join";
    Leave "leave";
    Changes "changes";
    Stats "stats";
    Beat "beat";
    Roster "roster";
    Condemn "condemn";
}

const COMMON: &str = include_str!("lua/common.lua");

/// How messages are kept and published.
#[derive(Clone, Debug)]
pub(crate) struct Keeping {
    /// Messages that a channel keeps.
    pub(crate) messages_max: usize,
    /// For how long after the last one, in milliseconds.
    pub(crate) expire_ms: u64,
}

/// All scripts, ready to be called.
pub(crate) struct Scripts {
    texts: Vec<String>,
    hashes: Vec<String>,
    keeping: Keeping,
}

impl Scripts {
    pub(crate) fn new(keeping: Keeping) -> Scripts {
        let texts: Vec<String> = Script::ALL.iter().map(|(_, body)| format!("{COMMON}{body}")).collect();
        let hashes = texts.iter().map(|text| redis::Script::new(text).get_hash().to_owned()).collect();
        Scripts { texts, hashes, keeping }
    }

    /// The commands that make the scripts known to a server.
    pub(crate) fn load(&self) -> impl Iterator<Item = Cmd> {
        self.texts.iter().map(|text| {
            let mut cmd = redis::cmd("SCRIPT");
            cmd.arg("LOAD").arg(text);
            cmd
        })
    }

    /// A call, to which the script's own arguments are to be added. `publish` is the command with which
    /// this server publishes.
    pub(crate) fn call(&self, script: Script, publish: &str, keys: &[&str]) -> Cmd {
        self.call_keeping(script, publish, keys, self.kept())
    }

    /// The same, of which so many messages are kept.
    pub(crate) fn call_keeping(&self, script: Script, publish: &str, keys: &[&str], kept: usize) -> Cmd {
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(&self.hashes[script as usize]).arg(keys.len()).arg(keys);
        // A channel that has lost its past is counted anew, under another name.
        let epoch = Epoch(rand::random()).to_string();
        cmd.arg(publish).arg(kept).arg(self.keeping.expire_ms).arg(epoch);
        cmd
    }

    /// Messages kept, and asked for: one more than is handed out, because the position before the first
    /// has an id, too.
    pub(crate) fn kept(&self) -> usize {
        self.keeping.messages_max + 1
    }

    /// Life of a channel in which nothing has been said, in milliseconds.
    pub(crate) fn empty_ms(&self) -> u64 {
        EMPTY_CHANNEL_MS.min(self.keeping.expire_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_stand_in_their_places() {
        for (place, (script, _)) in Script::ALL.iter().enumerate() {
            assert_eq!(*script as usize, place);
        }
    }
}
