//! Cycles among transactions that depend on each other.
//!
//! Vertices are transactions, and hubs: points that many edges lead through, so that "all of these before all of
//! those" costs as many edges as there are transactions and not their product. An edge from a transaction has
//! kinds; one from a hub only leads on, and a way through hubs is one step of the kind with which it began.
//!
//! The search is that of Elle in its result and not in its way. The strongly connected components of everything
//! are found in linear time (Tarjan 1972, without recursion); a right history has none, and that is all. Within a
//! component, linear passes tell which classes of cycles can exist; breadth-first searches from the rarest edge
//! that a class needs then find short ones. The searches have a budget of steps, not of time: the same history
//! always gets the same answer. Where the budget ends first, the passes still know that there is a cycle.

use super::models::{Class, Order};
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

/// A circle of transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cycle {
    pub class: Class,
    pub order: Order,
    /// Each transaction, and how it leads to the next; the last leads to the first.
    pub steps: Vec<(u32, u8)>,
}

/// What a search found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The most telling cycle of each class in each component.
    pub cycles: Vec<Cycle>,
    /// Classes of which a component certainly has a cycle (of that class or a graver one) that the budget did not suffice
    /// to show, and how many transactions the component has.
    pub unshown: Vec<(Class, Order, usize)>,
    /// Classes for which the search was given up, and cycles of which may exist.
    pub undecided: Vec<(Class, Order)>,
}

/// What makes one cycle more telling than another: less is more. Called with the transactions of a cycle.
pub(super) trait Weight {
    fn of(&self, transactions: &mut dyn Iterator<Item = u32>) -> (usize, u64, u64);
}

/// Steps that all searches of a history may take together.
pub(super) const BUDGET: u64 = 400_000_000;
/// Steps that the search for one class in one component may take.
const BUDGET_OF_ONE: u64 = 12_000_000;

/// Finds cycles of all classes. `orders` says which orders count besides dependencies.
pub(super) fn search(graph: &Graph, orders: &[Order], weight: &dyn Weight, mut budget: u64) -> Found {
    let mask = orders.iter().fold(kind::DATA | kind::HUB, |mask, &order| mask | order_kinds(order));
    let mut found = Found::default();
    let mut numbers = vec![NONE; graph.vertices()];
    let mut components = graph.components(mask);
    components.sort_unstable_by_key(|component| component.iter().min().copied());
    for component in components {
        let (whole, names) = graph.induced(component, mask, &mut numbers);
        let mut local = vec![NONE; whole.vertices()];
        for order in Order::ALL {
            if order != Order::Data && !orders.contains(&order) {
                continue;
            }
            let mask = kind::DATA | kind::HUB | order_kinds(order);
            for part in whole.components(mask) {
                let (part, part_names) = whole.induced(part, mask, &mut local);
                let name = |vertex: u32| names[part_names[vertex as usize] as usize];
                let mut search = Search::new(&part, order, &name, weight, &mut budget);
                search.run(&mut found);
            }
        }
    }
    found
}

/// The kinds of edges that an order adds. An order in real time has each client's in it, where no two moments are the
/// same.
const fn order_kinds(order: Order) -> u8 {
    match order {
        Order::Data => 0,
        Order::Process => kind::PROCESS,
        Order::Realtime => kind::REALTIME | kind::PROCESS,
    }
}

/// The kinds of edges of which a cycle needs one to count as one of this order.
const fn needed_kinds(order: Order) -> u8 {
    match order {
        Order::Data => 0,
        Order::Process => kind::PROCESS,
        Order::Realtime => kind::REALTIME,
    }
}

/// A search for cycles in one component, with one order.
struct Search<'a> {
    graph: &'a Graph,
    order: Order,
    name: &'a dyn Fn(u32) -> u32,
    weight: &'a dyn Weight,
    budget: &'a mut u64,
    /// For each vertex and state: the search that reached it, and from where.
    reached: Vec<(u32, u32)>,
    searches: u32,
}

/// What is known on the way: bits.
mod state {
    /// The order that is needed was used.
    pub const ORDERED: u32 = 1;
    /// The last step was an anti-dependency.
    pub const AFTER_RW: u32 = 2;
    /// What else the class needs was seen.
    pub const COMPLETE: u32 = 4;
    pub const COUNT: u32 = 8;
}

/// A cycle that was found, and how telling it is.
struct Candidate {
    steps: Vec<(u32, u8)>,
    weight: (usize, (usize, u64, u64)),
}

impl<'a> Search<'a> {
    fn new(
        graph: &'a Graph,
        order: Order,
        name: &'a dyn Fn(u32) -> u32,
        weight: &'a dyn Weight,
        budget: &'a mut u64,
    ) -> Self {
        let states = graph.vertices() * state::COUNT as usize;
        Self { graph, order, name, weight, budget, reached: vec![(0, NONE); states], searches: 0 }
    }

    fn run(&mut self, found: &mut Found) {
        let order = order_kinds(self.order) | kind::HUB;
        let by_ww = self.graph.component_of(kind::WW | order);
        let by_ww_wr = self.graph.component_of(kind::WW | kind::WR | order);
        let nonadjacent = self.graph.nonadjacent_component_of(kind::DATA | order);
        // Whether there are no cycles of dependencies alone: then there certainly is one that needs the order.
        let is_clean = self.is_clean_without_order();
        let mut has_graver = false;
        for class in Class::ALL {
            let exists = match class {
                Class::G0 => by_ww.iter().any(|&component| component != NONE),
                Class::G1c => by_ww_wr.iter().any(|&component| component != NONE),
                Class::GSingle | Class::GNonadjacent => {
                    nonadjacent.iter().any(|&component| component != NONE)
                }
                Class::G2 => true,
            };
            if !exists {
                continue;
            }
            let starts = self.starts(class, &by_ww, &by_ww_wr, &nonadjacent);
            match self.cycle(class, &starts) {
                Ok(Some(candidate)) => {
                    has_graver = true;
                    let steps =
                        candidate.steps.iter().map(|&(vertex, kind)| ((self.name)(vertex), kind)).collect();
                    found.cycles.push(Cycle { class, order: self.order, steps });
                }
                Ok(None) => {}
                Err(GaveUp) => found.undecided.push((class, self.order)),
            }
            // Whatever cycle made the pass say yes is of this class or a graver one, and none was shown.
            if !has_graver && class != Class::GSingle && is_clean[class as usize] {
                has_graver = true;
                found.unshown.push((class, self.order, self.graph.transactions as usize));
            }
        }
    }

    /// For each class: whether dependencies alone make no cycle of it or a graver one.
    fn is_clean_without_order(&self) -> [bool; Class::ALL.len()] {
        if self.order == Order::Data {
            return [true; Class::ALL.len()];
        }
        let nonadjacent = self.graph.nonadjacent_component_of(kind::DATA | kind::HUB);
        Class::ALL.map(|class| match class {
            Class::G0 => self.graph.components(kind::WW | kind::HUB).is_empty(),
            Class::G1c => self.graph.components(kind::WW | kind::WR | kind::HUB).is_empty(),
            Class::GSingle | Class::GNonadjacent => nonadjacent.iter().all(|&component| component == NONE),
            Class::G2 => self.graph.components(kind::DATA | kind::HUB).is_empty(),
        })
    }

    /// Edges of the kind that the class needs, which lie on a cycle that may be of it.
    fn starts(&self, class: Class, by_ww: &[u32], by_ww_wr: &[u32], nonadjacent: &[u32]) -> Vec<(u32, u32)> {
        let together = |component: &[u32], from: usize, to: usize| {
            component[from] != NONE && component[from] == component[to]
        };
        let mut starts = Vec::new();
        for from in 0..self.graph.transactions {
            for (to, kinds) in self.graph.edges(from) {
                let (v, w) = (from as usize, to as usize);
                let fits = match class {
                    Class::G0 => kinds & kind::WW != 0 && together(by_ww, v, w),
                    Class::G1c => kinds & kind::WR != 0 && together(by_ww_wr, v, w),
                    Class::GSingle | Class::GNonadjacent => {
                        kinds & kind::RW != 0 && together(nonadjacent, 2 * v, 2 * w + 1)
                    }
                    Class::G2 => kinds & kind::RW != 0,
                };
                if fits {
                    starts.push((from, to));
                }
            }
        }
        starts
    }

    /// The most telling cycle that the budget suffices to find: first among the shortest, then among longer ones.
    fn cycle(&mut self, class: Class, starts: &[(u32, u32)]) -> Result<Option<Candidate>, GaveUp> {
        let mut best: Option<Candidate> = None;
        let mut left = BUDGET_OF_ONE.min(*self.budget);
        let allowed = left;
        let mut outcome = Ok(());
        for limit in [2, 4, usize::MAX] {
            for &(from, to) in starts {
                if left == 0 {
                    outcome = Err(GaveUp);
                    break;
                }
                // Cycles as short as the best may still be more telling; to look at all of them is dear.
                let limit = match &best {
                    Some(best) if best.steps.len() <= 3 => best.steps.len(),
                    Some(best) => best.steps.len() - 1,
                    None => limit,
                };
                let Some(steps) = self.way_back(class, from, to, limit, &mut left) else { continue };
                if !self.counts(class, &steps) {
                    continue;
                }
                let weight = (steps.len(), self.weight.of(&mut steps.iter().map(|step| (self.name)(step.0))));
                if best.as_ref().is_none_or(|best| weight < best.weight) {
                    best = Some(Candidate { steps, weight });
                }
            }
            if best.is_some() || outcome.is_err() {
                break;
            }
        }
        *self.budget -= allowed - left;
        match best {
            Some(best) => Ok(Some(best)),
            None => outcome.map(|()| None),
        }
    }

    /// Whether a closed way is a cycle, and of the order that is searched for: a step that is also a dependency which the
    /// class allows needs no order, and its cycle is found among those of dependencies.
    fn counts(&self, class: Class, steps: &[(u32, u8)]) -> bool {
        let mut seen: Vec<u32> = steps.iter().map(|step| step.0).collect();
        seen.sort_unstable();
        let is_simple = seen.windows(2).all(|pair| pair[0] != pair[1]);
        let (needed, data) = (needed_kinds(self.order), allowed_data(class));
        let is_needed = |index: usize| {
            let (from, kinds) = steps[index];
            let to = steps[(index + 1) % steps.len()].0;
            kinds & needed != 0 && self.graph.kinds_between(from, to) & data == 0
        };
        is_simple && (needed == 0 || (0..steps.len()).any(is_needed))
    }

    /// The ways to take an edge: its kind, and what is known then.
    fn options(&self, class: Class, known: u32, kinds: u8) -> impl Iterator<Item = (u8, u32)> + use<> {
        use state::{AFTER_RW, COMPLETE, ORDERED};
        let needed = needed_kinds(self.order);
        let data = allowed_data(class);
        let plain = data | (order_kinds(self.order) & !needed);
        // In a cycle of adjacent anti-dependencies the second step is one too.
        let must_rw = class == Class::G2 && known & COMPLETE == 0;
        let rest = known & !AFTER_RW;
        [kind::WW, kind::WR, kind::PROCESS, kind::REALTIME, kind::RW].into_iter().filter_map(move |kind| {
            let next = if kinds & kind == 0 {
                return None;
            } else if kind == kind::RW {
                match class {
                    Class::G0 | Class::G1c | Class::GSingle => return None,
                    Class::GNonadjacent if known & AFTER_RW != 0 => return None,
                    Class::GNonadjacent => known | AFTER_RW | COMPLETE,
                    Class::G2 => rest | COMPLETE,
                }
            } else if must_rw {
                return None;
            } else if kind & plain != 0 {
                rest
            } else if kind & needed != 0 && kinds & data == 0 {
                rest | ORDERED
            } else {
                return None;
            };
            Some((kind, next))
        })
    }

    /// Whether a way that comes back with this knowledge makes a cycle of the class.
    fn closes(class: Class, known: u32) -> bool {
        use state::{AFTER_RW, COMPLETE, ORDERED};
        known & ORDERED != 0
            && known & COMPLETE != 0
            && (class != Class::GNonadjacent || known & AFTER_RW == 0)
    }

    /// The shortest way back to where an edge begins, of at most so many steps with the edge's own, that makes a cycle of
    /// the class. Level by level, in each of them hubs first: what a hub leads to is as far away as itself.
    fn way_back(
        &mut self,
        class: Class,
        from: u32,
        to: u32,
        limit: usize,
        left: &mut u64,
    ) -> Option<Vec<(u32, u8)>> {
        let graph = self.graph;
        self.searches += 1;
        let search = self.searches;
        let begin = match class {
            Class::G0 | Class::G1c | Class::GSingle => state::COMPLETE,
            Class::GNonadjacent | Class::G2 => state::AFTER_RW,
        } | if self.order == Order::Data { state::ORDERED } else { 0 };
        self.reached[(to * state::COUNT + begin) as usize] = (search, NONE);
        let (mut hubs, mut here) = (Vec::new(), Vec::new());
        if graph.is_hub(to) {
            hubs.push((to, begin));
        } else {
            here.push((to, begin));
        }
        // A transaction in the middle of two anti-dependencies is not met again.
        let shunned = if class == Class::G2 && !graph.is_hub(to) { to } else { NONE };
        let (mut next_hubs, mut next) = (Vec::new(), Vec::new());
        let mut steps = 1;
        while !hubs.is_empty() || !here.is_empty() {
            while let Some((hub, known)) = hubs.pop() {
                for (target, _) in graph.edges(hub) {
                    *left = left.saturating_sub(1);
                    if target == from {
                        if Self::closes(class, known) {
                            return Some(self.walk(class, from, (hub, known), known));
                        }
                    } else if target != shunned && self.reach(target, known, (hub, known), search) {
                        if graph.is_hub(target) {
                            hubs.push((target, known));
                        } else {
                            here.push((target, known));
                        }
                    }
                }
            }
            if steps >= limit || *left == 0 {
                return None;
            }
            for (vertex, known) in here.drain(..) {
                for (target, kinds) in graph.edges(vertex) {
                    *left = left.saturating_sub(1);
                    for (_, then) in self.options(class, known, kinds) {
                        if target == from {
                            if Self::closes(class, then) {
                                return Some(self.walk(class, from, (vertex, known), then));
                            }
                        } else if target != shunned && self.reach(target, then, (vertex, known), search) {
                            if graph.is_hub(target) {
                                next_hubs.push((target, then));
                            } else {
                                next.push((target, then));
                            }
                        }
                    }
                }
            }
            std::mem::swap(&mut hubs, &mut next_hubs);
            std::mem::swap(&mut here, &mut next);
            steps += 1;
        }
        None
    }

    /// Notes where a vertex with some knowledge was reached from; not twice.
    fn reach(&mut self, vertex: u32, known: u32, by: (u32, u32), search: u32) -> bool {
        let slot = &mut self.reached[(vertex * state::COUNT + known) as usize];
        let is_new = slot.0 != search;
        if is_new {
            *slot = (search, by.0 * state::COUNT + by.1);
        }
        is_new
    }

    /// The cycle's transactions in their order, hubs left out, each with the kind of the step after it: from where the
    /// last vertex before the beginning was reached from, and what was known there and at the end.
    fn walk(&self, class: Class, from: u32, last: (u32, u32), end: u32) -> Vec<(u32, u8)> {
        let mut way = vec![(from, end), last];
        loop {
            let (vertex, known) = way[way.len() - 1];
            match self.reached[(vertex * state::COUNT + known) as usize].1 {
                NONE => break,
                before => way.push((before / state::COUNT, before % state::COUNT)),
            }
        }
        way.reverse();
        let first = match class {
            Class::G0 => kind::WW,
            Class::G1c => kind::WR,
            Class::GSingle | Class::GNonadjacent | Class::G2 => kind::RW,
        };
        let mut steps = vec![(from, first)];
        for pair in way.windows(2) {
            let ((vertex, known), (target, then)) = (pair[0], pair[1]);
            if !self.graph.is_hub(vertex) {
                let kinds = self.graph.kinds_between(vertex, target);
                let taken = self.options(class, known, kinds).find(|&(_, next)| next == then);
                steps.push((vertex, taken.map_or(kinds, |(kind, _)| kind)));
            }
        }
        steps
    }
}

/// Dependencies that a class allows any number of.
const fn allowed_data(class: Class) -> u8 {
    match class {
        Class::G0 => kind::WW,
        Class::G1c | Class::GSingle | Class::GNonadjacent | Class::G2 => kind::WW | kind::WR,
    }
}

/// The budget was spent.
struct GaveUp;

#[cfg(test)]
mod tests {
    use super::kind::{PROCESS, RW, WR, WW};
    use super::*;

    struct Alike;

    impl Weight for Alike {
        fn of(&self, _: &mut dyn Iterator<Item = u32>) -> (usize, u64, u64) {
            (0, 0, 0)
        }
    }

    fn edges(list: &[(u32, u32, u8)]) -> Edges {
        let mut edges = Edges::default();
        for &(from, to, kind) in list {
            edges.push(from, to, kind);
        }
        edges
    }

    fn found(vertices: u32, list: &[(u32, u32, u8)], orders: &[Order], budget: u64) -> Found {
        search(&Graph::new(vertices, vertices, &edges(list)), orders, &Alike, budget)
    }

    fn classes(vertices: u32, list: &[(u32, u32, u8)], orders: &[Order]) -> Vec<(Class, Order, usize)> {
        let found = found(vertices, list, orders, BUDGET);
        assert!(found.unshown.is_empty() && found.undecided.is_empty(), "{found:?}");
        found.cycles.iter().map(|cycle| (cycle.class, cycle.order, cycle.steps.len())).collect()
    }

    #[test]
    fn each_class_of_cycles_is_told_from_the_others() {
        let data = |list: &[(u32, u32, u8)]| classes(4, list, &[]);
        assert_eq!(data(&[(0, 1, WW), (1, 2, RW), (2, 3, WR)]), []);
        assert_eq!(data(&[(0, 1, WW), (1, 0, WW)]), [(Class::G0, Order::Data, 2)]);
        assert_eq!(data(&[(0, 1, WW), (1, 2, WR), (2, 0, WW)]), [(Class::G1c, Order::Data, 3)]);
        assert_eq!(data(&[(0, 1, WW), (1, 2, WR), (2, 0, RW)]), [(Class::GSingle, Order::Data, 3)]);
        let fork = [(0, 1, WR), (1, 2, RW), (2, 3, WR), (3, 0, RW)];
        assert_eq!(data(&fork), [(Class::GNonadjacent, Order::Data, 4)]);
        assert_eq!(data(&[(0, 1, RW), (1, 0, RW)]), [(Class::G2, Order::Data, 2)]);
    }

    #[test]
    fn a_shorter_way_is_preferred() {
        let list = [(0, 1, RW), (1, 2, WW), (2, 3, WW), (3, 0, WW), (2, 0, WR)];
        assert_eq!(classes(4, &list, &[]), [(Class::GSingle, Order::Data, 3)]);
    }

    #[test]
    fn orders_count_only_where_they_are_needed() {
        let list = [(0, 1, PROCESS), (1, 0, RW)];
        assert_eq!(classes(2, &list, &[]), []);
        assert_eq!(classes(2, &list, &[Order::Process]), [(Class::GSingle, Order::Process, 2)]);
        // The step is a dependency as well.
        let list = [(0, 1, PROCESS), (0, 1, WW), (1, 0, RW)];
        assert_eq!(classes(2, &list, &[Order::Process]), [(Class::GSingle, Order::Data, 2)]);
    }

    #[test]
    fn without_a_budget_it_is_still_known_that_there_is_a_cycle() {
        for (list, class) in [
            (&[(0, 1, WW), (1, 0, WW)][..], Class::G0),
            (&[(0, 1, WR), (1, 0, WW)], Class::G1c),
            (&[(0, 1, RW), (1, 0, WW)], Class::GNonadjacent),
            (&[(0, 1, RW), (1, 0, RW)], Class::G2),
        ] {
            let found = found(2, list, &[], 0);
            assert!(found.cycles.is_empty());
            assert_eq!(found.unshown[0], (class, Order::Data, 2));
        }
    }

    /// Whom each transaction leads to, through hubs or not.
    fn reaches(vertices: u32, transactions: u32, list: &Edges) -> Vec<Vec<u32>> {
        let graph = Graph::new(vertices, transactions, list);
        let from = |start: u32| {
            let (mut open, mut met) = (vec![start], vec![false; vertices as usize]);
            while let Some(vertex) = open.pop() {
                for (target, _) in graph.edges(vertex) {
                    if !std::mem::replace(&mut met[target as usize], true) && graph.is_hub(target) {
                        open.push(target);
                    }
                }
            }
            (0..transactions).filter(|&target| met[target as usize]).collect()
        };
        (0..transactions).map(from).collect()
    }

    #[test]
    fn all_come_before_all_but_none_before_itself() {
        let (from, to) = ([0, 1, 2, 5], [1, 2, 3, 4]);
        let mut list = Edges::default();
        let vertices = all_before_all(&from, &to, RW, 6, &mut list);
        let expected = [vec![1, 2, 3, 4], vec![2, 3, 4], vec![1, 3, 4], vec![], vec![], vec![1, 2, 3, 4]];
        assert_eq!(reaches(vertices, 6, &list), expected);
    }

    #[test]
    fn who_ended_leads_to_all_that_began_strictly_later() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..50 {
            let spans: Vec<(u64, u64)> = (0..12)
                .map(|_| {
                    let begin = rng.u64(0..20);
                    (begin, begin + rng.u64(0..6))
                })
                .collect();
            let mut ends: Vec<(u64, u32)> =
                spans.iter().zip(0..).map(|(span, index)| (span.1, index)).collect();
            let begun = spans.iter().zip(0..).map(|(span, index)| (span.0, index));
            let mut list = Edges::default();
            let vertices = order_in_time(&mut ends, begun, 12, &mut list);
            assert!(list.len() <= 36);
            // A transaction is answered after it began, so it never leads to itself.
            let expected: Vec<Vec<u32>> = spans
                .iter()
                .map(|span| (0..12).filter(|&other| span.1 < spans[other as usize].0).collect())
                .collect();
            let graph = reaches(vertices, 12, &list);
            assert_eq!(graph, expected);
        }
    }
}
