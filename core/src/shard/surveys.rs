//! How channels are doing, of which every shard knows a part: its own subscribers, and the messages of the
//! channels that it owns.

use std::collections::BTreeMap;

use crate::limits::SURVEY_CHANNELS_MAX;
use crate::names::ChannelName;
use crate::pushstream::Since;
use crate::pushstream::info::Totals;
use crate::pushstream::publisher::Of;

use super::Shard;
use super::past::{self, Wanted};

/// One shard's part of an answer: of each channel, or of all.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    pub(super) of: BTreeMap<ChannelName, Counted>,
    pub(super) channels: u64,
    pub(super) wildcard_channels: u64,
    pub(super) totals: Totals,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    pub(super) subscribers: u64,
    pub(super) published: u64,
    pub(super) stored: u64,
}

impl Survey {
    pub(super) fn add(&mut self, other: Survey) {
        for (name, counted) in other.of {
            let own = self.of.entry(name).or_default();
            own.subscribers += counted.subscribers;
            own.published += counted.published;
            own.stored += counted.stored;
        }
        self.channels += other.channels;
        self.wildcard_channels += other.wildcard_channels;
        self.totals.published += other.totals.published;
        self.totals.stored += other.totals.stored;
        self.totals.subscribers += other.totals.subscribers;
    }
}

impl Shard {
    /// What is here of these channels. Only their owner tells of their messages.
    pub(super) fn survey(&self, of: &Of) -> Survey {
        let mut survey = Survey::default();
        let places: Vec<(ChannelName, u32)> = match of {
            // How many there are in all is known: each publishing asks for it, so none of them is looked at.
            Of::Named(names) => {
                survey.channels = (self.channels_owned - self.wildcards_owned) as u64;
                survey.wildcard_channels = self.wildcards_owned as u64;
                let known = |name: &ChannelName| Some((name.clone(), *self.channel_index.get(name)?));
                names.iter().filter_map(known).collect()
            }
            Of::Prefix(_) | Of::Summary => {
                let all = self.channel_index.iter();
                all.map(|(name, index)| (name.clone(), *index)).collect()
            }
        };
        for (name, index) in places {
            let owned = name.owner(self.shards) == self.shard;
            let Some(subscribers) = self.channels.at(index).map(|one| one.subscribers.len() as u64) else {
                continue;
            };
            let (stored, published) = if owned { self.stored_and_published(index) } else { (0, 0) };
            let events = self.is_events(&name);
            if stored + subscribers == 0 && !events {
                continue;
            }
            let wildcard = self.services.pushstream.is_wildcard(name.as_str());
            let counts = owned && !matches!(of, Of::Named(_));
            survey.channels += u64::from(counts && !wildcard);
            survey.wildcard_channels += u64::from(counts && wildcard);
            if !events {
                survey.totals.published += published;
                survey.totals.stored += stored;
            }
            survey.totals.subscribers += subscribers;
            let told = match of {
                Of::Named(_) => true,
                Of::Prefix(prefix) => name.as_str().starts_with(prefix),
                Of::Summary => false,
            };
            if told && survey.of.len() < SURVEY_CHANNELS_MAX {
                survey.of.insert(name, Counted { subscribers, published, stored });
            }
        }
        survey
    }

    /// Messages of a channel that newcomers may have, and all that there were since its last deletion.
    pub(super) fn stored_and_published(&self, index: u32) -> (u64, u64) {
        let Some(channel) = self.channels.at(index) else { return (0, 0) };
        let Some(log) = &channel.log else { return (0, 0) };
        let times = (self.flush_interval_ms, self.now.unix.0);
        let gone = (channel.deleted_at, &channel.unstored);
        let by = Wanted::of(&self.services.pushstream, &Since::Now, times, gone);
        let (published, stored) = past::counts(log, &by);
        (stored, published)
    }
}
