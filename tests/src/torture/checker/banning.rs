//! Who is banned is refused from the moment the ban is answered, and only while it is in force.

use super::{Checker, Rule};
use crate::torture::record::{Attempt, Ban, Outcome};

impl Checker<'_> {
    /// A lost tail may take a ban, or its end, with it.
    pub(super) fn check_bans(&mut self) {
        if !self.kept() {
            return;
        }
        let records = self.records;
        for attempt in &records.attempts {
            let own = |ban: &&Ban| ban.name == attempt.sender && ban.channel == attempt.channel;
            let mut bans = records.bans.iter().filter(own);
            let what = match &attempt.outcome {
                Outcome::Acknowledged { .. } => bans.find(|ban| in_force_throughout(ban, attempt)),
                Outcome::Refused { code, .. }
                    if code == "banned" && !bans.any(|ban| overlap(ban, attempt)) =>
                {
                    let what = format!("{:?} is refused as banned, and is not", attempt.key);
                    self.violate(Rule::Ban, &attempt.channel, None, what);
                    continue;
                }
                _ => None,
            };
            if let Some(ban) = what {
                let what = format!("{:?} was acknowledged during {ban:?}", attempt.key);
                self.violate(Rule::Ban, &attempt.channel, None, what);
            }
        }
    }
}

fn in_force_throughout(ban: &Ban, attempt: &Attempt) -> bool {
    ban.begun < attempt.begun && attempt.ended < ban.lifting
}

fn overlap(ban: &Ban, attempt: &Attempt) -> bool {
    ban.asked < attempt.ended && attempt.begun < ban.lifted
}
