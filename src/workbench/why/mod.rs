//! Why a node did not know what it should have known: what the journal says of the messages that carried it.
//!
//! A checker says what is wrong, and asks a [`Question`]; an answer is found by what bodies contain, what answers what,
//! and who can have heard of what from whom. Where that cannot be known nothing is claimed: of nodes that encode what they
//! say, or of a journal that has not every message.

mod carried;
mod doubled;
mod evidence;
mod missed;
mod reason;
mod silence;
mod sum;

use std::collections::BTreeSet;

use self::evidence::Evidence;
pub use self::reason::Why;
use super::question::Question;
use super::world::World;
use crate::time::Instant;

/// Answers questions, as far as the journal knows, and says nothing twice.
///
/// `silent` are nodes that answered nothing more, each with when the first request was sent that it did not answer.
pub fn answer(world: &World, silent: &[(usize, Instant)], questions: &[Question]) -> Vec<Why> {
    let Some(evidence) = Evidence::of(world) else { return Vec::new() };
    let of_silence =
        silent.iter().take(SILENT_MAX).filter_map(|&(node, since)| silence::why(evidence, node, since));
    let of_questions = questions.iter().filter_map(|question| match question {
        Question::Missed(missed) => missed::why(evidence, missed),
        Question::Doubled { write, what: (name, mark), read } => {
            doubled::shown_twice(evidence, *write, name, mark, *read)
        }
        Question::GivenTwice { first, again, what } => doubled::given_twice(evidence, *first, *again, what),
        Question::Sum { read, missing, adds } => sum::why(evidence, *read, *missing, adds),
        Question::Crossed { one, other, names } => missed::crossed(evidence, (*one, *other), names),
    });
    let mut all: Vec<Why> = of_silence.chain(of_questions).collect();
    let mut known = BTreeSet::new();
    all.retain(|why| known.insert(why.sentence.clone()));
    all
}

/// Of so many silent nodes it is told what they waited for.
const SILENT_MAX: usize = 3;
