//! What the checker of each kind of data hands over: anomalies that it found itself, and what proves a dependency.

use std::collections::BTreeMap;

use super::super::models::Anomaly;
use super::results::{EXAMPLES, Example, Orders};

/// Findings while they are collected: all are counted, and the first few are put into words.
#[derive(Debug, Default)]
pub struct Notes {
    pub(super) by_anomaly: BTreeMap<Anomaly, (usize, Vec<Example>)>,
}

impl Notes {
    /// Notes that something happened once more.
    pub fn note(&mut self, anomaly: Anomaly, sentence: impl FnOnce() -> String) {
        self.note_orders(anomaly, || (sentence(), None));
    }

    /// The same with the orders that contradict each other.
    pub fn note_orders(&mut self, anomaly: Anomaly, example: impl FnOnce() -> (String, Option<Orders>)) {
        let (total, examples) = self.by_anomaly.entry(anomaly).or_default();
        *total += 1;
        if examples.len() < EXAMPLES {
            let (sentence, orders) = example();
            examples.push(Example { sentences: vec![sentence], cycle: None, orders });
        }
    }
}

/// Why one transaction depends on another.
pub struct Proof {
    /// `T2 saw T1's 4`
    pub sentence: String,
    pub from_op: Option<usize>,
    pub to_op: Option<usize>,
}

/// Who knows the values that prove a dependency of a kind.
pub trait Prove {
    /// Of the first on the second, which have these names.
    fn prove(&self, first: (u32, &str), second: (u32, &str), kind: u8) -> Option<Proof>;
}
