//! Who a node is, and whom it knows.

use std::rc::Rc;

use crate::telemetry::label::Label;

/// Maelstrom's services, which every node can call.
pub(super) const SERVICES: [&str; 4] = ["lin-kv", "seq-kv", "lww-kv", "lin-tso"];

/// A node's own id and the ids of its whole cluster, as `init` told them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub(super) id: String,
    /// The id again, for quick comparisons.
    pub(super) label: Label,
    pub(super) nodes: Vec<String>,
    /// All but this one, to be shared with whoever sends to them.
    pub(super) peers: Rc<[Rc<str>]>,
}

impl Cluster {
    pub(super) fn new(id: String, nodes: Vec<String>) -> Self {
        let peers = nodes.iter().filter(|node| **node != id).map(|node| Rc::from(&**node)).collect();
        Self { label: Label::new(&id), id, nodes, peers }
    }

    pub(super) fn peer_names(&self) -> Rc<[Rc<str>]> {
        Rc::clone(&self.peers)
    }

    /// Whether a message to `dest` is for this node.
    #[inline(always)]
    pub(super) fn is_for_us(&self, dest: &str) -> bool {
        self.label.is(dest) || self.id == dest
    }

    /// This node's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Every node of the cluster, this one included, in the order of `init`.
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// Every node but this one.
    pub fn peers(&self) -> impl Iterator<Item = &str> {
        self.peers.iter().map(|peer| &**peer)
    }
}
