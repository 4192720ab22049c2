//! Servers that come and go: what is taken up when one can be asked, and let go when it cannot.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Instant;

use chatup_core::exchange::WorkerId;
use chatup_core::names::{ChannelName, RoomName};

use super::answers::Finished;
use super::asked::Asked;
use super::broker::Broker;
use super::connect::Found;
use super::desk::REGISTRY;
use super::nodes::{Happened, NodeId};
use super::people::Reconciled;
use super::slots::SlotMap;
use super::{keys, people};

impl Broker {
    pub(super) fn happened(&mut self, event: Happened<Asked>) {
        match event {
            Happened::Up(node, found) => self.up(node, &found),
            Happened::Arrived(node, arrived) => {
                for push in arrived.pushes {
                    self.pushed(push);
                }
                let mut answers = arrived.answers.into_iter();
                while let Some((asked, value)) = answers.next() {
                    if let Err(error) = self.answered(asked, value) {
                        // What follows would be read wrongly, too.
                        for (asked, _) in answers {
                            self.lost(asked);
                        }
                        self.give_up(node, &error);
                        break;
                    }
                }
            }
            Happened::Down { node, lost, why } => self.down(node, lost, &why),
            Happened::Unreachable(why) => {
                if !std::mem::replace(&mut self.said_unreachable, true) {
                    tracing::error!("Redis cannot be reached: {why}; trying on");
                } else {
                    tracing::debug!("Redis cannot be reached: {why}");
                }
            }
        }
    }

    /// What came cannot be right: the connection is made anew.
    fn give_up(&mut self, node: NodeId, why: &str) {
        if let Some(event) = self.nodes.give_up(node, why) {
            self.happened(event);
        }
    }

    fn up(&mut self, node: NodeId, found: &Found) {
        tracing::info!(persistence = found.persistence, "connected to {}", found.name);
        if self.looked_at.as_ref() != Some(found) {
            for warning in &found.warnings {
                tracing::warn!("{}: {warning}", found.name);
            }
            self.looked_at = Some(found.clone());
        }
        self.said_unreachable = false;
        self.desk.set_sharded(found.sharded);
        self.resume(Some(node));
    }

    /// Takes up what lies on a server, or on all of them.
    pub(super) fn resume(&mut self, node: Option<NodeId>) {
        let nodes = &self.nodes;
        let is_there = |tag: &str| nodes.is_up(tag) && (node.is_none() || nodes.owner(tag) == node);
        self.channels.resume(|channel| is_there(keys::tag(channel)));
        if nodes.are_all_up() {
            self.down_since = None;
            self.ring();
        }
        if is_there(REGISTRY) {
            self.registry.up(Instant::now());
            let mut cmd = redis::cmd("SUBSCRIBE");
            cmd.arg(self.desk.keys.banned_topic());
            self.desk.ask(REGISTRY, cmd, Asked::Subscription(None));
            // Known before anybody asks.
            self.desk.ask(REGISTRY, self.desk.roster(), Asked::Roster(None));
        }
        // Whoever the registry still knows is compared with what is there; whoever it has given up begins
        // anew. Not before that: nobody would remove what is told under a lease that is over.
        self.presence.borrow_mut().doubt();
        if self.is_up(REGISTRY) {
            self.beat(true);
        }
    }

    fn down(&mut self, node: NodeId, lost: Vec<Asked>, why: &str) {
        tracing::error!("a connection to Redis is lost: {why}; publishing is refused until it is back");
        let nodes = &self.nodes;
        self.channels.cut(|channel| nodes.owner(keys::tag(channel)).is_none_or(|owner| owner == node));
        if nodes.owner(REGISTRY).is_none_or(|owner| owner == node) {
            self.registry.down();
        }
        self.down_since.get_or_insert_with(Instant::now);
        self.nodes.doubt_map();
        for asked in lost {
            self.lost(asked);
        }
    }

    /// Asks a cluster which server has which slots, when that is due.
    pub(super) fn ask_map(&mut self, now: Instant) {
        if let Some(node) = self.nodes.map_asked_of(now) {
            let mut cmd = redis::cmd("CLUSTER");
            cmd.arg("SLOTS");
            // If it is lost, it is asked again.
            let _ = self.nodes.ask_node(node, cmd, Asked::Map(node));
        }
    }

    /// A cluster has said which server has which slots.
    pub(super) fn take_map(&mut self, map: SlotMap) {
        let before: HashMap<ChannelName, Option<NodeId>> =
            self.channels.names().map(|name| (name.clone(), self.nodes.owner(keys::tag(name)))).collect();
        let registry = self.nodes.owner(REGISTRY);
        let (gone, moved) = self.nodes.take_map(map);
        for asked in gone {
            self.lost(asked);
        }
        if self.nodes.owner(REGISTRY) != registry {
            // Nobody was watched on the way.
            self.registry.down();
            if let Some(old) = registry {
                let mut cmd = redis::cmd("UNSUBSCRIBE");
                cmd.arg(self.desk.keys.banned_topic());
                // Gone altogether is as good.
                let _ = self.nodes.ask_node(old, cmd, Asked::Subscription(None));
            }
        }
        if moved {
            // What has moved is subscribed to where it is now, and caught up.
            let nodes = &self.nodes;
            let has_moved = |name: &ChannelName| before.get(name) != Some(&nodes.owner(keys::tag(name)));
            self.channels.cut(has_moved);
            self.resume(None);
        }
    }

    /// Tells Redis of a worker again, in these rooms or in all.
    pub(super) fn reconcile(&self, worker: WorkerId, only: Option<HashSet<RoomName>>) {
        let work = people::reconcile(Rc::clone(&self.desk), Rc::clone(&self.presence), worker, only.clone());
        let (finished, filled) = (Rc::clone(&self.finished), Rc::clone(&self.desk.filled));
        tokio::task::spawn_local(async move {
            match work.await {
                Ok(Reconciled { banned, left }) => {
                    let mut finished = finished.borrow_mut();
                    finished.extend(
                        banned.into_iter().map(|(room, name, banned)| Finished::Banned(room, name, banned)),
                    );
                    finished.push(Finished::Reconciled(worker, Some(left)));
                }
                Err(why) => {
                    tracing::debug!(?why, "telling Redis of this worker's people was cut short");
                    let left = only.map(Vec::from_iter);
                    finished.borrow_mut().push(Finished::Reconciled(worker, left));
                }
            }
            filled.notify_one();
        });
    }
}
