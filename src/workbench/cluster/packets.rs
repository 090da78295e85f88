//! The messages that are under way, and how much of them there may be.

use std::collections::BTreeMap;

use slab::Slab;

use crate::workbench::journal::Address;
use crate::workbench::network::Fate;

/// Messages under way.
#[derive(Debug)]
pub(super) struct Packets {
    slab: Slab<Packet>,
    /// What they take, in bytes.
    bytes: usize,
    /// Maximum bytes of them.
    bytes_max: usize,
}

/// A message under way.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) id: u64,
    /// Who wrote it.
    pub(super) sender: Address,
    /// In whose name.
    pub(super) src: Address,
    pub(super) dest: Address,
    /// The line.
    pub(super) text: Box<[u8]>,
    /// Whose life it belongs to: that of the node that it is for; of a message to a service, of the one that it answers.
    pub(super) life: u32,
    pub(super) fate: Fate,
}

impl Packet {
    /// About what it takes to hold it, in bytes: its text, its places in the slab and the wheel, and its allocation.
    const fn size(&self) -> usize {
        self.text.len() + size_of::<Self>() + 64
    }
}

impl Packets {
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self { slab: Slab::new(), bytes: 0, bytes_max }
    }

    /// A message sets out; its place.
    pub(super) fn insert(&mut self, packet: Packet) -> usize {
        self.bytes += packet.size();
        self.slab.insert(packet)
    }

    /// The message of that place is there.
    pub(super) fn remove(&mut self, place: usize) -> Packet {
        let packet = self.slab.remove(place);
        self.bytes -= packet.size();
        packet
    }

    pub(super) const fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    pub(super) const fn are_too_many(&self) -> bool {
        self.bytes > self.bytes_max
    }

    /// The link that has most of what is under way, in bytes: its ends, the messages and what they take.
    pub(super) fn fullest_link(&self) -> Option<([Address; 2], usize, usize)> {
        let mut links: BTreeMap<[Address; 2], (usize, usize)> = BTreeMap::new();
        for (_, packet) in &self.slab {
            let (count, bytes) = links.entry([packet.sender, packet.dest]).or_default();
            *count += 1;
            *bytes += packet.size();
        }
        let fullest = links.into_iter().max_by_key(|(_, (_, bytes))| *bytes);
        fullest.map(|(ends, (count, bytes))| (ends, count, bytes))
    }
}
