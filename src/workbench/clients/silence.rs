//! Nodes that left requests without an answer, and whether they answer when they are asked again at the end.

/// How often a node is asked again that left a request without an answer. Each time a client waits as long as ever.
const PROBES: u32 = 3;

/// Nodes that left requests without an answer.
#[derive(Debug)]
pub struct Silence {
    /// Whether each node left a request without an answer, and answered nothing since.
    is_silent: Vec<bool>,
    /// Nodes that are asked if they still answer: the worker that asks, and how often it still may.
    probes: Vec<(usize, u32)>,
    /// Those that did not answer when they were asked again.
    nodes: Vec<usize>,
}

impl Silence {
    pub(super) fn new(nodes: usize) -> Self {
        Self { is_silent: vec![false; nodes], probes: Vec::new(), nodes: Vec::new() }
    }

    /// Nodes that answered nothing when they were asked again at the end, while nothing was wrong.
    pub fn nodes(&self) -> &[usize] {
        &self.nodes
    }

    /// A node answered something that it was asked.
    pub(super) fn note_heard(&mut self, node: usize) {
        self.is_silent[node] = false;
    }

    /// A node left a request without an answer.
    pub(super) fn note_unanswered(&mut self, node: usize) {
        self.is_silent[node] = true;
    }

    /// Each silent node is asked again, by a worker that asks it, if there is one.
    pub(super) fn start_probing(&mut self, asker: impl Fn(usize) -> Option<usize>) {
        let silent = (0..self.is_silent.len()).filter(|&node| self.is_silent[node]);
        self.probes = silent.filter_map(asker).map(|place| (place, PROBES)).collect();
    }

    /// The workers that ask.
    pub(super) fn askers(&self) -> impl Iterator<Item = usize> {
        self.probes.iter().map(|&(place, _)| place)
    }

    /// Whether the worker of that place has to ask its node once more. Who was asked often enough is known to be silent.
    pub(super) fn probe(&mut self, place: usize, node: usize) -> Ask {
        let Some(at) = self.probes.iter().position(|&(asker, _)| asker == place) else { return Ask::NoMore };
        let (_, left) = &mut self.probes[at];
        if self.is_silent[node] && *left > 0 {
            *left -= 1;
            return Ask::Again;
        }
        if self.is_silent[node] {
            self.nodes.push(node);
            self.nodes.sort_unstable();
        }
        self.probes.swap_remove(at);
        Ask::NoMore
    }

    /// Whether nobody asks any more.
    pub(super) const fn is_decided(&self) -> bool {
        self.probes.is_empty()
    }
}

/// Whether a silent node is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    Again,
    NoMore,
}
