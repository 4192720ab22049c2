//! What happened in a run: counts, which keep the simulation from becoming vacuous, and the last
//! events, which tell how a failure came about.

use std::collections::VecDeque;

macro_rules! happenings {
    ($($name:ident,)+) => {
        /// What a simulation is worth its name for only if it happens.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Happened { $($name,)+ }

        impl Happened {
            pub(crate) const ALL: &[Happened] = &[$(Happened::$name,)+];
        }
    };
}

happenings! {
    Delivered, Gap, Reset, PartialSend, SendsLeft, FlushWindow, NothingTaken,
    Recovered, RecoveredWithMissed, TooOld, OtherEpoch, ForgedPosition, HistoryGiven,
    BrokerQueueFull, ShardQueueFull, FreshRun, LaterRun, PublicationLost, PastLost,
    BrokerRefused, Overloaded, BannedSay, BanNotice, BannedJoin,
    SaidOnce, SaidAgain, SaidUnanswered, InFlightLimit,
    FragmentedCall, CompressedCall, CompressedMessage, SplitRead, SeveralCallsARead, CallBehindHead,
    CutOff, ClosedByClient, SlowClosed, SlowReaderClosed, StalledOrSilentClosed, IdleClosed, Pinged, Ponged,
    Unsubscribed, ResubscribedAtOnce, ChannelClosed, ChannelReopened, TwiceRefused,
    HandshakeTimedOut, JoinedAnotherBeforeAnswer, StillSubscribedAtEnd,
}

/// Last events kept.
const EVENTS_MAX: usize = 60;

pub(crate) struct Record {
    counts: Vec<u64>,
    events: Option<VecDeque<String>>,
}

impl Record {
    pub(crate) fn new(traced: bool) -> Record {
        Record { counts: vec![0; Happened::ALL.len()], events: traced.then(VecDeque::new) }
    }

    pub(crate) fn count(&mut self, happened: Happened) {
        self.counts[happened as usize] += 1;
    }

    pub(crate) fn of(&self, happened: Happened) -> u64 {
        self.counts[happened as usize]
    }

    pub(crate) fn add(&mut self, other: &Record) {
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum += count;
        }
    }

    /// Notes an event; the text is made only in a traced run.
    pub(crate) fn note(&mut self, event: impl FnOnce() -> String) {
        if let Some(events) = &mut self.events {
            if events.len() == EVENTS_MAX {
                events.pop_front();
            }
            events.push_back(event());
        }
    }

    pub(crate) fn print_events(&self) {
        for event in self.events.iter().flatten() {
            let cut = event.floor_char_boundary(300);
            println!("  {}", &event[..cut]);
        }
    }

    pub(crate) fn print_counts(&self) {
        for happened in Happened::ALL {
            println!("  {:>10} {happened:?}", self.of(*happened));
        }
    }
}
