//! The search for cycles.
//!
//! It is that of Elle in its result and not in its way. The strongly connected components of everything
//! are found in linear time (Tarjan 1972, without recursion); a right history has none, and that is all. Within a
//! component, linear passes tell which classes of cycles can exist; breadth-first searches from the rarest edge
//! that a class needs then find short ones. The searches have a budget of steps, not of time: the same history
//! always gets the same answer. Where the budget ends first, the passes still know that there is a cycle.

use super::super::models::{Class, Order};
use super::super::transactions::NONE;
use super::{Graph, kind};

/// A circle of transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    pub class: Class,
    pub order: Order,
    /// Each transaction, and how it leads to the next; the last leads to the first.
    pub steps: Vec<(u32, u8)>,
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Found {
    /// The most telling cycle of each class in each component.
    pub cycles: Vec<Cycle>,
    /// Classes of which a component certainly has a cycle (of that class or a graver one) that the budget did not suffice
    /// to show, and how many transactions the component has.
    pub unshown: Vec<(Class, Order, usize)>,
    /// Classes for which the search was given up, and cycles of which may exist.
    pub undecided: Vec<(Class, Order)>,
}

/// What makes one cycle more telling than another: less is more. Called with the transactions of a cycle.
pub trait Weight {
    fn of(&self, transactions: &mut dyn Iterator<Item = u32>) -> (usize, u64, u64);
}

/// Steps that all searches of a history may take together.
pub const BUDGET: u64 = 400_000_000;
/// Steps that the search for one class in one component may take.
const BUDGET_OF_ONE: u64 = 12_000_000;

/// Finds cycles of all classes. `orders` says which orders count besides dependencies.
pub fn search(graph: &Graph, orders: &[Order], weight: &dyn Weight, mut budget: u64) -> Found {
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
