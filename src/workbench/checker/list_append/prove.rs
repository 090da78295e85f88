//! The values that prove what depends on what.

use std::fmt::Write as _;

use super::super::graph::kind;
use super::super::isolation::{Proof, Prove};
use super::super::transactions::{Action, NONE};
use super::Lists;

impl Prove for Lists<'_> {
    fn prove(&self, first: (u32, &str), second: (u32, &str), kind: u8) -> Option<Proof> {
        let ((first, t1), (second, t2)) = (first, second);
        match kind {
            kind::WW => self.prove_ww(first, t1, second, t2),
            kind::WR => self.history.ops_of(second).find_map(|op| {
                let Action::ReadList { list, length } = self.history.ops[op].action else { return None };
                let last = self.last(list, length)?;
                let version = &self.history.versions[last as usize];
                (version.writer == first).then(|| Proof {
                    sentence: format!(
                        "{t2} read key {} up to {}, which {t1} appended",
                        self.key_name(version.key),
                        version.value
                    ),
                    from_op: Some(version.op as usize),
                    to_op: Some(op),
                })
            }),
            _ => self.prove_rw(first, t1, second, t2),
        }
    }
}

impl Lists<'_> {
    fn prove_ww(&self, first: u32, t1: &str, second: u32, t2: &str) -> Option<Proof> {
        self.history.ops_of(second).find_map(|op| {
            let micro = self.history.ops[op];
            let Action::Write(version) = micro.action else { return None };
            let order = self.order_of(micro.key);
            let is_placed = self.place[version as usize] != NONE;
            let before = match self.place[version as usize] {
                NONE => order.last().copied(),
                0 => None,
                place => Some(order[place as usize - 1]),
            }?;
            if self.history.versions[before as usize].writer != first {
                return None;
            }
            let (key, old, new) = (self.key_name(micro.key), self.value(before), self.value(version));
            let sentence = if is_placed {
                format!("{t2} appended {new} to key {key} right after {t1}'s {old}")
            } else {
                format!(
                    "{t2} appended {new} to key {key}, {}, so it came after {t1}'s {old}, the last there",
                    self.why_last(version)
                )
            };
            Some(Proof {
                sentence,
                from_op: Some(self.history.versions[before as usize].op as usize),
                to_op: Some(op),
            })
        })
    }

    /// Why an append that the order of its key does not have comes after all that it has.
    fn why_last(&self, version: u32) -> &'static str {
        if self.is_observed[version as usize] {
            "which the longest list that was read does not have"
        } else {
            "which nobody ever read"
        }
    }

    fn prove_rw(&self, first: u32, t1: &str, second: u32, t2: &str) -> Option<Proof> {
        self.history.ops_of(first).find_map(|op| {
            let micro = self.history.ops[op];
            let Action::ReadList { list, length } = micro.action else { return None };
            let last = self.last(list, length);
            let next = self.after(micro.key, last).ok()?;
            let mine = |version: &u32| self.history.versions[*version as usize].writer == second;
            let missed = match next {
                Some(next) => Some(next).filter(mine),
                None => self.unplaced_of(micro.key).iter().map(|pair| pair.1).find(mine),
            }?;
            let (key, value) = (self.key_name(micro.key), self.value(missed));
            let mut sentence = match last {
                Some(last) => {
                    format!("{t1} read key {key} up to {}, so without {t2}'s {value}", self.value(last))
                }
                None => format!("{t1} found key {key} empty, so without {t2}'s {value}"),
            };
            if next.is_none() {
                _ = write!(sentence, ", {}, so it came later", self.why_last(missed));
            }
            Some(Proof {
                sentence,
                from_op: Some(op),
                to_op: Some(self.history.versions[missed as usize].op as usize),
            })
        })
    }
}
