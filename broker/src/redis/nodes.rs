//! All servers that rooms lie on: one, or those of a cluster, each with its slots.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use redis::Cmd;

use super::connect::Found;
use super::link::{Arrived, Purpose};
use super::node::{Node, NodeEvent};
use super::scripts::Scripts;
use super::settings::Server;
use super::slots::{Address, SlotMap, slot};
use crate::limits::SLOTS_REFRESH_MS;

/// A server among them; never given out twice.
pub(crate) type NodeId = u64;

/// The servers.
pub(crate) struct Nodes<A> {
    server: Server,
    scripts: Rc<Scripts>,
    nodes: BTreeMap<NodeId, Node<A>>,
    last: NodeId,
    cluster: Option<Cluster>,
}

/// What is known of a cluster.
struct Cluster {
    map: SlotMap,
    by_address: BTreeMap<Address, NodeId>,
    /// Asks any server for the map, while none of the known ones can be asked.
    scout: Option<NodeId>,
    asked: Option<Instant>,
    wanted: bool,
}

/// What becomes of them.
pub(crate) enum Happened<A> {
    /// A server can be asked.
    Up(NodeId, Found),
    /// One has answered.
    Arrived(NodeId, Arrived<A>),
    /// One cannot be asked any more, and what was asked is lost.
    Down { node: NodeId, lost: Vec<A>, why: String },
    /// One cannot be asked yet.
    Unreachable(String),
}

impl<A: Purpose> Nodes<A> {
    pub(crate) fn new(server: Server, scripts: Rc<Scripts>) -> Nodes<A> {
        let cluster = matches!(server, Server::Cluster(_)).then(|| Cluster {
            map: SlotMap::default(),
            by_address: BTreeMap::new(),
            scout: None,
            asked: None,
            wanted: false,
        });
        let mut nodes = Nodes { server, scripts, nodes: BTreeMap::new(), last: 0, cluster };
        let first = nodes.add(nodes.server.clone());
        if let Some(cluster) = &mut nodes.cluster {
            cluster.scout = Some(first);
        }
        nodes
    }

    fn add(&mut self, server: Server) -> NodeId {
        self.last += 1;
        self.nodes.insert(self.last, Node::new(server, Rc::clone(&self.scripts)));
        self.last
    }

    /// Who has the keys with this hash tag.
    pub(crate) fn owner(&self, tag: &str) -> Option<NodeId> {
        match &self.cluster {
            None => self.nodes.keys().next().copied(),
            Some(cluster) => cluster.by_address.get(cluster.map.owner(slot(tag))?).copied(),
        }
    }

    /// Whether what has this hash tag can be asked for now.
    pub(crate) fn is_up(&self, tag: &str) -> bool {
        self.owner(tag).and_then(|owner| self.nodes.get(&owner)).is_some_and(Node::is_up)
    }

    /// Whether whatever is asked for can be asked for now.
    pub(crate) fn are_all_up(&self) -> bool {
        let known = self.cluster.as_ref().is_none_or(|cluster| !cluster.by_address.is_empty());
        known && self.nodes.values().all(Node::is_up)
    }

    /// Questions without an answer, sent or to be sent, to whoever has the keys with this hash tag.
    pub(crate) fn questions(&self, tag: &str) -> usize {
        self.owner(tag).and_then(|owner| self.nodes.get(&owner)).map_or(0, Node::questions)
    }

    /// Whether something has been asked and not answered.
    pub(crate) fn is_waiting(&self) -> bool {
        self.nodes.values().any(Node::is_waiting)
    }

    /// Asks whoever has the keys with this hash tag.
    ///
    /// # Errors
    /// That server cannot be reached now; the purpose comes back.
    pub(crate) fn ask(&mut self, tag: &str, cmd: Cmd, asked: A) -> Result<(), A> {
        match self.owner(tag).and_then(|owner| self.nodes.get_mut(&owner)) {
            Some(node) => node.ask(cmd, asked),
            None => Err(asked),
        }
    }

    /// Asks one server.
    ///
    /// # Errors
    /// It cannot be reached now.
    pub(crate) fn ask_node(&mut self, node: NodeId, cmd: Cmd, asked: A) -> Result<(), A> {
        match self.nodes.get_mut(&node) {
            Some(node) => node.ask(cmd, asked),
            None => Err(asked),
        }
    }

    /// Sends what has been asked.
    pub(crate) fn send(&mut self) {
        self.nodes.values_mut().for_each(Node::send);
    }

    /// Gives a server's connection up, if it has one.
    pub(crate) fn give_up(&mut self, id: NodeId, why: &str) -> Option<Happened<A>> {
        let event = self.nodes.get_mut(&id)?.give_up(why)?;
        Some(happened(id, event))
    }

    /// Gives up each connection on which an answer is overdue.
    pub(crate) fn tick(&mut self, now: Instant) -> Vec<Happened<A>> {
        self.nodes.iter_mut().filter_map(|(id, node)| Some(happened(*id, node.tick(now)?))).collect()
    }

    pub(crate) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Happened<A>> {
        for (id, node) in &mut self.nodes {
            if let Poll::Ready(event) = node.poll_event(context) {
                return Poll::Ready(happened(*id, event));
            }
        }
        Poll::Pending
    }

    /// The map of a cluster may have changed.
    pub(crate) fn doubt_map(&mut self) {
        if let Some(cluster) = &mut self.cluster {
            cluster.wanted = true;
        }
    }

    /// The server to ask for the map now, if it is wanted, or due. While no known server can be asked,
    /// one of those of the settings is sought.
    pub(crate) fn map_asked_of(&mut self, now: Instant) -> Option<NodeId> {
        // Any of them: one that is cut off from the others knows only what was.
        let all: Vec<NodeId> =
            self.nodes.iter().filter(|(_, node)| node.is_up()).map(|(id, _)| *id).collect();
        let up = (!all.is_empty()).then(|| all[rand::random_range(0..all.len())]);
        let cluster = self.cluster.as_mut()?;
        let every =
            Duration::from_millis(if cluster.wanted { SLOTS_REFRESH_MS / 10 } else { SLOTS_REFRESH_MS });
        if cluster.asked.is_some_and(|asked| now.saturating_duration_since(asked) < every) {
            return None;
        }
        match up {
            Some(up) => {
                (cluster.asked, cluster.wanted) = (Some(now), false);
                Some(up)
            }
            None if cluster.scout.is_none() => {
                let scout = self.add(self.server.clone());
                if let Some(cluster) = &mut self.cluster {
                    cluster.scout = Some(scout);
                }
                None
            }
            None => None,
        }
    }

    /// Takes a map. Returns what was asked of servers that have no slots any more, and whether slots have
    /// moved to other servers.
    pub(crate) fn take_map(&mut self, map: SlotMap) -> (Vec<A>, bool) {
        let Server::Cluster(seeds) = &self.server else { return (Vec::new(), false) };
        let Some(template) = seeds.first().cloned() else { return (Vec::new(), false) };
        let addresses = map.addresses();
        if addresses.is_empty() {
            return (Vec::new(), false);
        }
        let known = self.cluster.as_ref().map(|cluster| cluster.by_address.clone()).unwrap_or_default();
        let mut by_address = BTreeMap::new();
        for address in addresses {
            let id = match known.get(&address) {
                Some(id) => *id,
                None => self.add(Server::Single(template.at(&address))),
            };
            by_address.insert(address, id);
        }
        let gone: Vec<NodeId> =
            self.nodes.keys().filter(|id| !by_address.values().any(|kept| kept == *id)).copied().collect();
        let mut lost = Vec::new();
        for id in gone {
            let event = self.nodes.remove(&id).and_then(|mut node| node.give_up("it has no slots any more"));
            if let Some(NodeEvent::Down { lost: some, .. }) = event {
                lost.extend(some);
            }
        }
        let Some(cluster) = &mut self.cluster else { return (lost, false) };
        let moved = cluster.map != map;
        cluster.map = map;
        cluster.by_address = by_address;
        cluster.scout = None;
        (lost, moved)
    }

    /// The host under which a server was reached.
    pub(crate) fn host(&self, id: NodeId) -> String {
        self.nodes.get(&id).map(Node::host).unwrap_or_default()
    }
}

fn happened<A>(node: NodeId, event: NodeEvent<A>) -> Happened<A> {
    match event {
        NodeEvent::Up(found) => Happened::Up(node, found),
        NodeEvent::Arrived(arrived) => Happened::Arrived(node, arrived),
        NodeEvent::Down { lost, why } => Happened::Down { node, lost, why },
        NodeEvent::Unreachable(why) => Happened::Unreachable(why),
    }
}
