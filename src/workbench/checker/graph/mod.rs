//! Cycles among transactions that depend on each other.
//!
//! Vertices are transactions, and hubs: points that many edges lead through, so that "all of these before all of
//! those" costs as many edges as there are transactions and not their product. An edge from a transaction has
//! kinds; one from a hub only leads on, and a way through hubs is one step of the kind with which it began.

pub(super) mod search;

use super::transactions::{NONE, number};

/// Kinds of an edge, a bit each.
pub(super) mod kind {
    /// Somebody wrote after somebody.
    pub const WW: u8 = 1;
    /// Somebody read what somebody wrote.
    pub const WR: u8 = 2;
    /// Somebody read what somebody wrote over.
    pub const RW: u8 = 4;
    /// A client did one before the other.
    pub const PROCESS: u8 = 8;
    /// One ended before the other began.
    pub const REALTIME: u8 = 16;
    /// On from a hub.
    pub const HUB: u8 = 32;
    /// Dependencies.
    pub const DATA: u8 = WW | WR | RW;
}

/// Edges as they are found.
#[derive(Debug, Default)]
pub(super) struct Edges {
    from: Vec<u32>,
    to: Vec<u32>,
    kinds: Vec<u8>,
}

impl Edges {
    pub fn push(&mut self, from: u32, to: u32, kind: u8) {
        self.from.push(from);
        self.to.push(to);
        self.kinds.push(kind);
    }

    pub fn len(&self) -> usize {
        self.from.len()
    }

    pub fn reserve(&mut self, more: usize) {
        self.from.reserve(more);
        self.to.reserve(more);
        self.kinds.reserve(more);
    }
}

/// A graph whose edges lie sorted by where they begin.
#[derive(Debug)]
pub(super) struct Graph {
    /// How many vertices are transactions; the others are hubs.
    pub transactions: u32,
    starts: Vec<u32>,
    targets: Vec<u32>,
    kinds: Vec<u8>,
}

impl Graph {
    /// Of so many vertices, of which so many are transactions.
    pub fn new(vertices: u32, transactions: u32, edges: &Edges) -> Self {
        let mut starts = vec![0_u32; vertices as usize + 1];
        for &from in &edges.from {
            starts[from as usize + 1] += 1;
        }
        for vertex in 0..vertices as usize {
            starts[vertex + 1] += starts[vertex];
        }
        let mut next = starts.clone();
        let (mut targets, mut kinds) = (vec![0; edges.len()], vec![0; edges.len()]);
        for index in 0..edges.len() {
            let slot = &mut next[edges.from[index] as usize];
            targets[*slot as usize] = edges.to[index];
            kinds[*slot as usize] = edges.kinds[index];
            *slot += 1;
        }
        Self { transactions, starts, targets, kinds }
    }

    fn vertices(&self) -> usize {
        self.starts.len() - 1
    }

    /// Where a vertex leads, and how.
    fn edges(&self, vertex: u32) -> impl Iterator<Item = (u32, u8)> + '_ {
        let range = self.starts[vertex as usize] as usize..self.starts[vertex as usize + 1] as usize;
        self.targets[range.clone()].iter().copied().zip(self.kinds[range].iter().copied())
    }

    fn is_hub(&self, vertex: u32) -> bool {
        vertex >= self.transactions
    }

    /// Components with more than one vertex, by edges of these kinds. Each in no order of meaning.
    pub fn components(&self, mask: u8) -> Vec<Vec<u32>> {
        tarjan(self.vertices(), |vertex, edge| {
            let (from, to) =
                (self.starts[vertex as usize] as usize, self.starts[vertex as usize + 1] as usize);
            let mut at = from + edge as usize;
            while at < to && self.kinds[at] & mask == 0 {
                at += 1;
            }
            (at < to).then(|| (self.targets[at], number(at - from + 1)))
        })
    }

    /// The component of each vertex by edges of these kinds, [`NONE`] for those that are alone.
    fn component_of(&self, mask: u8) -> Vec<u32> {
        let mut component_of = vec![NONE; self.vertices()];
        for (index, component) in self.components(mask).iter().enumerate() {
            for &vertex in component {
                component_of[vertex as usize] = number(index);
            }
        }
        component_of
    }

    /// Components of cycles in which no two anti-dependencies follow each other, as the component of each pair of a
    /// vertex and whether an anti-dependency led there.
    fn nonadjacent_component_of(&self, mask: u8) -> Vec<u32> {
        let components = tarjan(2 * self.vertices(), |state, edge| {
            let (vertex, after_rw) = (state / 2, state % 2 == 1);
            let (from, to) =
                (self.starts[vertex as usize] as usize, self.starts[vertex as usize + 1] as usize);
            // Each edge may be taken twice: as an anti-dependency and as something else.
            for at in edge as usize..2 * (to - from) {
                let (target, kinds) = (self.targets[from + at / 2], self.kinds[from + at / 2] & mask);
                let next = if kinds & kind::HUB != 0 {
                    (at % 2 == 0).then_some(2 * target + state % 2)
                } else if at % 2 == 0 {
                    (kinds & !kind::RW != 0).then_some(2 * target)
                } else {
                    (kinds & kind::RW != 0 && !after_rw).then_some(2 * target + 1)
                };
                if let Some(next) = next {
                    return Some((next, number(at + 1)));
                }
            }
            None
        });
        let mut component_of = vec![NONE; 2 * self.vertices()];
        for (index, component) in components.iter().enumerate() {
            for &state in component {
                component_of[state as usize] = number(index);
            }
        }
        component_of
    }

    /// What these vertices are to each other, by edges of these kinds; parallel edges become one. The vertices keep
    /// their order, transactions before hubs; the names of the new vertices come with it.
    fn induced(&self, mut vertices: Vec<u32>, mask: u8, numbers: &mut [u32]) -> (Self, Vec<u32>) {
        vertices.sort_unstable();
        for (index, &vertex) in vertices.iter().enumerate() {
            numbers[vertex as usize] = number(index);
        }
        let transactions = number(vertices.partition_point(|&vertex| !self.is_hub(vertex)));
        let (mut starts, mut targets, mut kinds) = (vec![0], Vec::new(), Vec::new());
        let mut row: Vec<(u32, u8)> = Vec::new();
        for &vertex in &vertices {
            row.clear();
            row.extend(
                self.edges(vertex)
                    .filter(|&(target, kinds)| kinds & mask != 0 && numbers[target as usize] != NONE)
                    .map(|(target, kinds)| (numbers[target as usize], kinds & mask)),
            );
            row.sort_unstable();
            row.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                if same {
                    kept.1 |= later.1;
                }
                same
            });
            targets.extend(row.iter().map(|edge| edge.0));
            kinds.extend(row.iter().map(|edge| edge.1));
            starts.push(number(targets.len()));
        }
        for &vertex in &vertices {
            numbers[vertex as usize] = NONE;
        }
        (Self { transactions, starts, targets, kinds }, vertices)
    }

    fn kinds_between(&self, from: u32, to: u32) -> u8 {
        let range = self.starts[from as usize] as usize..self.starts[from as usize + 1] as usize;
        self.targets[range.clone()].binary_search(&to).map_or(0, |at| self.kinds[range.start + at])
    }
}

/// Strongly connected components with more than one vertex. `next(vertex, n)` gives the first edge of the vertex at or
/// after its nth, and the number after that edge's.
fn tarjan(vertices: usize, next: impl Fn(u32, u32) -> Option<(u32, u32)>) -> Vec<Vec<u32>> {
    /// Its component is known.
    const DONE: u32 = u32::MAX;
    // 0: not seen; otherwise the lowest number that is known to be reached from it.
    let mut low = vec![0_u32; vertices];
    let mut seen = 0;
    let mut open: Vec<u32> = Vec::new();
    // Vertex, its next edge, and its own number.
    let mut path: Vec<(u32, u32, u32)> = Vec::new();
    let mut components = Vec::new();
    for root in 0..number(vertices) {
        if low[root as usize] != 0 {
            continue;
        }
        seen += 1;
        low[root as usize] = seen;
        path.push((root, 0, seen));
        open.push(root);
        while let Some((vertex, edge, own)) = path.last_mut() {
            let vertex = *vertex;
            if let Some((target, after)) = next(vertex, *edge) {
                *edge = after;
                match low[target as usize] {
                    0 => {
                        seen += 1;
                        low[target as usize] = seen;
                        path.push((target, 0, seen));
                        open.push(target);
                    }
                    DONE => {}
                    lower => low[vertex as usize] = low[vertex as usize].min(lower),
                }
                continue;
            }
            let (own, reached) = (*own, low[vertex as usize]);
            path.pop();
            if let Some(&(parent, ..)) = path.last() {
                low[parent as usize] = low[parent as usize].min(reached);
            }
            if reached == own {
                let first = open.iter().rposition(|&other| other == vertex).expect("it is open");
                if open.len() - first > 1 {
                    components.push(open[first..].to_vec());
                }
                for closed in open.drain(first..) {
                    low[closed as usize] = DONE;
                }
            }
        }
    }
    components
}

/// Vertices for "ended before the other began": one for each moment at which a transaction was answered.
///
/// `answered` are the transactions that were, `begun` those that may follow, each with its time. A transaction leads to
/// the moment at which it was answered, each moment to the next, and the last moment before a transaction began to that
/// transaction: three edges each, however many are concurrent.
pub(super) fn order_in_time(
    answered: &mut [(u64, u32)],
    begun: impl Iterator<Item = (u64, u32)>,
    first_hub: u32,
    edges: &mut Edges,
) -> u32 {
    answered.sort_unstable();
    let mut moments: Vec<u64> = Vec::new();
    for &(at, transaction) in answered.iter() {
        if moments.last() != Some(&at) {
            if !moments.is_empty() {
                let hub = first_hub + number(moments.len());
                edges.push(hub - 1, hub, kind::HUB);
            }
            moments.push(at);
        }
        edges.push(transaction, first_hub + number(moments.len()) - 1, kind::REALTIME);
    }
    // They mostly come in the order of time, and the place is near that of the one before.
    let mut before = 0;
    for (at, transaction) in begun {
        if before > 0 && moments[before - 1] >= at {
            before = moments.partition_point(|&moment| moment < at);
        }
        while moments.get(before).is_some_and(|&moment| moment < at) {
            before += 1;
        }
        if before > 0 {
            edges.push(first_hub + number(before) - 1, transaction, kind::HUB);
        }
    }
    first_hub + number(moments.len())
}

/// All of `from` before all of `to`, except a transaction before itself: through hubs, so that it costs as many edges as
/// there are transactions. Returns the first vertex that is free then.
pub(super) fn all_before_all(from: &[u32], to: &[u32], kinds: u8, first_hub: u32, edges: &mut Edges) -> u32 {
    let mut to = to.to_vec();
    to.sort_unstable();
    to.dedup();
    // Hubs up to a slot and from a slot on, so that a transaction can leave out its own.
    let count = number(to.len());
    let (up_to, from_on) = (first_hub, first_hub + count);
    for slot in 0..count {
        edges.push(up_to + slot, to[slot as usize], kind::HUB);
        edges.push(from_on + slot, to[slot as usize], kind::HUB);
        if slot > 0 {
            edges.push(up_to + slot, up_to + slot - 1, kind::HUB);
        }
        if slot + 1 < count {
            edges.push(from_on + slot, from_on + slot + 1, kind::HUB);
        }
    }
    for &transaction in from {
        match to.binary_search(&transaction).map(number) {
            Ok(slot) => {
                if slot > 0 {
                    edges.push(transaction, up_to + slot - 1, kinds);
                }
                if slot + 1 < count {
                    edges.push(transaction, from_on + slot + 1, kinds);
                }
            }
            Err(_) if count > 0 => edges.push(transaction, from_on, kinds),
            Err(_) => {}
        }
    }
    first_hub + 2 * count
}

#[cfg(test)]
mod tests;
