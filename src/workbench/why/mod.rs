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

pub use self::carried::Mark;
use self::evidence::Evidence;
use super::journal::Entry;
use super::world::World;
use crate::time::Instant;

/// What a finding would like to know. Operations are meant by their places in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// A read, or another operation that should have gone by it, is without what an earlier operation wrote.
    Missed(Missed),
    /// A node shows something twice that one operation wrote.
    Doubled {
        /// Who wrote it.
        write: usize,
        /// What it wrote, in words and in bodies.
        what: (String, Mark),
        /// Who got it twice.
        read: usize,
    },
    /// Two operations were given what only one of them could have.
    GivenTwice {
        /// Who got it first.
        first: usize,
        /// Who got it again.
        again: usize,
        /// What it is, in words.
        what: String,
    },
    /// A sum lacks something of what these operations added; less than nothing if it is too much.
    Sum {
        /// Who read it.
        read: usize,
        /// How much is missing.
        missing: i64,
        /// Who added how much, and knows that it was added.
        adds: Vec<(usize, i64)>,
    },
    /// Two operations each missed what the other wrote, though both succeeded.
    Crossed {
        /// One of them.
        one: usize,
        /// The other.
        other: usize,
        /// Their names.
        names: [String; 2],
    },
}

/// See [`Question::Missed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Who wrote it.
    pub write: usize,
    /// What it wrote, in words: `80`, `the write of 4 to key 3`.
    pub name: String,
    /// The same in bodies.
    pub mark: Mark,
    /// Whether no other operation wrote the same meanwhile, or tried to: then whatever has the mark is about this one.
    pub is_unique: bool,
    /// Who should have known.
    pub read: usize,
    /// What that saw instead, where it shows in the answers that its node got from others: in words and in bodies.
    pub saw: Option<(String, String)>,
}

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
