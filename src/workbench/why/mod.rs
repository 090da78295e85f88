//! Why a node did not know what it should have known: what the journal says of the messages that carried it.
//!
//! A checker says what is wrong, and asks a [`Question`]; an answer is found by what bodies contain, what answers what,
//! and who can have heard of what from whom. Where that cannot be known nothing is claimed: of nodes that encode what they
//! say, or of a journal that has not every message.

mod carried;
mod doubled;
mod evidence;
mod missed;
mod silence;
mod sum;

use std::collections::BTreeSet;

use self::evidence::Evidence;
use super::journal::Entry;
use super::question::Question;
use super::world::World;
use crate::time::Instant;

/// A reason, and the messages that prove it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Why {
    /// What happened, without an end.
    pub sentence: String,
    /// The numbers of messages that it speaks of.
    pub messages: Vec<u64>,
    /// The operations that it speaks of, by their places in the history.
    pub operations: Vec<usize>,
}

impl Why {
    fn new(sentence: String, messages: &[&Entry], operations: &[usize]) -> Self {
        let messages = messages.iter().map(|entry| entry.id).collect();
        Self { sentence, messages, operations: operations.to_vec() }
    }
}

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

const fn plural(count: usize) -> &'static str {
    if count == 1 { "message" } else { "messages" }
}

/// `n0, n1 and lin-kv`
fn list(names: impl IntoIterator<Item = impl ToString>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    match &names[..] {
        [names @ .., last] if !names.is_empty() => format!("{} and {last}", names.join(", ")),
        names => names.concat(),
    }
}
