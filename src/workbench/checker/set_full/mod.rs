//! Sets that grow (broadcast, g-set): what was added is seen by every read from some time on.
//!
//! As in Jepsen's `set-full`, an element is *known* from the time when its add was acknowledged, or when the
//! first read that shows it was answered, whichever comes first. From then on its absence means something. Of
//! the reads that began after it was known, take the last one that lacks it:
//!
//! - If there is none, and a read shows the element, it was stable at once.
//! - If a read that began later shows it, it was *stale*, and stable in the end. Its *stable latency* is the
//!   time from when it was known to the beginning of that last read that lacks it; zero if it was stable at
//!   once.
//! - If no later read shows it, it is *lost*.
//! - If no read shows it, and none that lacks it began after it was known, it was *never read*: no read
//!   could tell.
//!
//! Reads are ordered by their beginnings. Of those that began in the same microsecond, as the final reads of
//! all workers do, one that lacks the element counts as later than one that shows it: each of them should
//! show it. Jepsen takes them as they come, and lets an element through that the last of them shows. Jepsen
//! also rounds latencies down to milliseconds before it asks which elements were stale; here nothing is
//! rounded. An element that Jepsen calls never read, although a read showed it, because one that
//! overlapped its add and began later lacks it, is stable here.

use std::collections::BTreeMap;
use std::mem;

use super::{Completion, Findings, Interval, Place, Quantiles, Verdict};
use crate::time::{Duration, Instant};
use crate::workbench::format::Seconds;

/// An attempt to add an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Add {
    /// What was added. No two adds of a test have the same; those that do are taken for one.
    pub element: i64,
    /// When.
    pub interval: Interval,
    /// How it ended.
    pub completion: Completion,
}

/// A read that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read<'a> {
    /// Who was asked.
    pub node: usize,
    /// When.
    pub interval: Interval,
    /// The answer, in any order.
    pub elements: &'a [i64],
}

/// What came of it. The findings are in order of their elements.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetFullResults {
    /// Invalid if an element was lost, duplicated, unexpected or denied; unknown if none is stable.
    pub verdict: Verdict,
    /// How many elements somebody tried to add.
    pub attempts: usize,
    /// How many of these adds were acknowledged.
    pub acknowledged: usize,
    /// How many elements every read shows, from some time on.
    pub stable: usize,
    /// Elements that were known and are not seen any more.
    pub lost: Findings<Missing>,
    /// Elements that were known, were missing later, and came back.
    pub stale: Findings<Missing>,
    /// Elements of which no read could tell.
    pub never_read: Findings<i64>,
    /// Elements that are more than once in one read.
    pub duplicated: Findings<Duplicate>,
    /// Elements that a read shows before anybody tried to add them; most of them nobody ever did.
    pub unexpected: Findings<Unexpected>,
    /// Elements that a read shows although their add was answered with a definite error.
    pub denied: Findings<Denied>,
    /// How long it took the stable elements to become stable.
    pub stable_latencies: Option<Quantiles>,
}

/// An element that a read lacks although it was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// The element.
    pub element: i64,
    /// Since when it was known.
    pub known: Instant,
    /// Who answered the last read that lacks it, and when that read began.
    pub from: Place,
    /// Who answered the last read that shows it, and when that read began; `None` if none does.
    pub last_shown: Option<Place>,
}

/// An element that is more than once in a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Duplicate {
    /// The element.
    pub element: i64,
    /// The most copies in one read.
    pub copies: usize,
    /// Who answered the first read with so many, and when.
    pub read: Place,
}

/// An element from nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unexpected {
    /// The element.
    pub element: i64,
    /// Who answered the first read that shows it, and when.
    pub read: Place,
    /// When somebody began to add it; `None` if nobody did.
    pub invoked: Option<Instant>,
}

/// An element whose add was refused for good, and that is there all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Denied {
    /// The element.
    pub element: i64,
    /// When its add was refused.
    pub refused: Instant,
    /// Who answered the first read that shows it, and when.
    pub read: Place,
}

/// Checks the reads of a test against its adds.
///
/// That takes a look at each element of each read: reads are gone through in order, and an element that
/// was not in the read before this one was lacking there.
pub fn check(adds: &[Add], reads: &[Read<'_>]) -> SetFullResults {
    let mut elements = elements(adds);
    let mut unexpected = BTreeMap::new();
    let mut reads: Vec<_> = reads.iter().collect();
    reads.sort_by_key(|read| read.interval.invoked);
    for (number, read) in (1..).zip(&reads) {
        for &value in read.elements {
            if let Some(element) = find(&mut elements, value) {
                element.shown_in(number, read.interval.completed);
                continue;
            }
            let (first, _) = unexpected.entry(value).or_insert((*read, None));
            if read.interval.completed < first.interval.completed {
                *first = read;
            }
        }
    }

    let read = |number: usize| reads.get(number.wrapping_sub(1)).copied();
    let began_together = |one, other| {
        let invoked = |number| read(number).map(|read| read.interval.invoked);
        invoked(one) == invoked(other)
    };
    let (mut lost, mut stale, mut never_read) = (Vec::new(), Vec::new(), Vec::new());
    let (mut duplicated, mut stable_latencies) = (Vec::new(), Vec::new());
    let mut denied = Vec::new();
    for element in &elements {
        let lacking = if element.shown < reads.len() { reads.len() } else { element.lacking };
        let known = element.acknowledged.min(element.first_answer);
        let missing = read(lacking).filter(|read| read.interval.invoked > known).map(|from| Missing {
            element: element.value,
            known,
            from: from.began(),
            last_shown: read(element.shown).map(Read::began),
        });
        match (missing, element.refused) {
            (_, Some(refused)) if element.shown > 0 => {
                let first = read(element.first_answer_in).map(Read::ended);
                denied.extend(first.map(|read| Denied { element: element.value, refused, read }));
            }
            (Some(missing), _) if element.shown < lacking || began_together(element.shown, lacking) => {
                lost.push(missing);
            }
            (Some(missing), _) => {
                stale.push(missing);
                stable_latencies.push(missing.from.at - known);
            }
            (None, _) if element.shown > 0 => stable_latencies.push(Duration::ZERO),
            (None, _) => never_read.push(element.value),
        }
        if let Some(most) = read(element.most_copies_in) {
            duplicated.push(Duplicate {
                element: element.value,
                copies: element.most_copies,
                read: most.ended(),
            });
        }
        if let Some(first) = read(element.first_answer_in).filter(|_| element.first_answer < element.invoked)
        {
            unexpected.insert(element.value, (first, Some(element.invoked)));
        }
    }

    let is_right = lost.is_empty() && duplicated.is_empty() && unexpected.is_empty() && denied.is_empty();
    let verdict = if !is_right {
        Verdict::Invalid
    } else if stable_latencies.is_empty() {
        Verdict::Unknown
    } else {
        Verdict::Valid
    };
    let unexpected = unexpected.into_iter();
    SetFullResults {
        verdict,
        attempts: elements.len(),
        acknowledged: elements.iter().filter(|element| element.acknowledged < Instant::END).count(),
        stable: stable_latencies.len(),
        lost: lost.into_iter().collect(),
        stale: stale.into_iter().collect(),
        never_read: never_read.into_iter().collect(),
        duplicated: duplicated.into_iter().collect(),
        unexpected: unexpected
            .map(|(element, (read, invoked))| Unexpected { element, read: read.ended(), invoked })
            .collect(),
        denied: denied.into_iter().collect(),
        stable_latencies: Quantiles::of(stable_latencies),
    }
}

/// What is known of an element that somebody tried to add. Reads have numbers from 1; 0 is none.
struct Element {
    value: i64,
    invoked: Instant,
    /// When the add was acknowledged; the end of time if it was not.
    acknowledged: Instant,
    /// When the add was refused for good, if it was.
    refused: Option<Instant>,
    /// When the first answer came that shows it; the end of time if none did.
    first_answer: Instant,
    first_answer_in: usize,
    /// The last read that shows it.
    shown: usize,
    /// The last read before that one that lacks it.
    lacking: usize,
    /// How often it is in the last read that shows it.
    copies: usize,
    most_copies: usize,
    /// The first read with so many, if they are more than one.
    most_copies_in: usize,
}

/// The elements of all adds, in order.
fn elements(adds: &[Add]) -> Vec<Element> {
    let of = |add: &Add| Element {
        value: add.element,
        invoked: add.interval.invoked,
        acknowledged: if add.completion == Completion::Ok { add.interval.completed } else { Instant::END },
        refused: (add.completion == Completion::Fail).then_some(add.interval.completed),
        first_answer: Instant::END,
        first_answer_in: 0,
        shown: 0,
        lacking: 0,
        copies: 0,
        most_copies: 1,
        most_copies_in: 0,
    };
    let mut elements: Vec<_> = adds.iter().map(of).collect();
    elements.sort_unstable_by_key(|element| (element.value, element.invoked));
    elements.dedup_by(|later, element| {
        let is_same = later.value == element.value;
        if is_same {
            element.acknowledged = element.acknowledged.min(later.acknowledged);
            element.refused = element.refused.and(later.refused);
        }
        is_same
    });
    elements
}

/// The element of that value. Maelstrom counts them up from zero, so it is nearly always found at once.
fn find(elements: &mut [Element], value: i64) -> Option<&mut Element> {
    let first = elements.first()?.value;
    let likely = usize::try_from(value.wrapping_sub(first)).unwrap_or(usize::MAX);
    if elements.get(likely).is_some_and(|element| element.value == value) {
        return elements.get_mut(likely);
    }
    let place = elements.binary_search_by_key(&value, |element| element.value).ok()?;
    elements.get_mut(place)
}

impl Element {
    /// Takes note that a read shows it, whose number is no less than that of the one before.
    fn shown_in(&mut self, number: usize, answered: Instant) {
        if self.shown == number {
            self.copies += 1;
            if self.copies > self.most_copies {
                (self.most_copies, self.most_copies_in) = (self.copies, number);
            }
            return;
        }
        if self.shown + 1 < number {
            self.lacking = number - 1;
        }
        (self.shown, self.copies) = (number, 1);
        if answered < self.first_answer {
            (self.first_answer, self.first_answer_in) = (answered, number);
        }
    }
}

impl Read<'_> {
    const fn began(&self) -> Place {
        Place { node: self.node, at: self.interval.invoked }
    }

    const fn ended(&self) -> Place {
        Place { node: self.node, at: self.interval.completed }
    }
}

impl SetFullResults {
    /// Why it is not valid.
    pub fn explain(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.verdict == Verdict::Unknown {
            sentences.push(
                "no read shows any element that was added, so nothing can be said about them".to_owned(),
            );
        }
        // Said once: it holds for each that is like it.
        let mut is_said = false;
        self.lost.explain(&mut sentences, |Missing { element, known, from, last_shown }| {
            let last_shown_at = last_shown.as_ref().map(|read| read.at);
            let last_shown = match last_shown {
                Some(read) => format!("was last seen in the read of {read}"),
                None => "was never seen in any read".to_owned(),
            };
            let is_shown_at_once = last_shown_at == Some(from.at);
            let at_once = if is_shown_at_once && !mem::replace(&mut is_said, true) {
                ". Maelstrom would not have noticed: it goes by another read of that moment, which shows it"
            } else {
                ""
            };
            format!(
                "{element} is lost: it was known to be added at {}, {last_shown}, and is missing from the read of \
                 {from}; every read from then on should show it{at_once}",
                Seconds(*known)
            )
        });
        self.duplicated.explain(&mut sentences, |Duplicate { element, copies, read }| {
            format!(
                "{element} is {copies} times in the answer of {read}, but should be there once. Maelstrom would not have \
                 noticed: it counts it as one"
            )
        });
        self.denied.explain(&mut sentences, |Denied { element, refused, read }| {
            format!(
                "{element} is in the answer of {read}, although its add was answered with a definite error at {}, which \
                 says that it did not happen and never will. Maelstrom would not have noticed: it asks nothing of such \
                 an element",
                Seconds(*refused)
            )
        });
        self.unexpected.explain(&mut sentences, |Unexpected { element, read, invoked }| match invoked {
            Some(invoked) => format!(
                "{element} is in the answer of {read}, before anybody began to add it at {}. Maelstrom would not have \
                 noticed: it asks only if it is there in the end",
                Seconds(*invoked)
            ),
            None => format!(
                "{element} is in the answer of {read}, but nobody ever added it. Maelstrom would not have noticed: it \
                 asks only for what was added"
            ),
        });
        sentences
    }
}

#[cfg(test)]
mod tests;
