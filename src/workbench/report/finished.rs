//! What a report is about.

use crate::workbench::verdict::Results;
use crate::workbench::world::World;

/// A test that is over, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What happened.
    pub world: &'a World,
    /// Whether that is right.
    pub results: &'a Results,
    /// What was tested: a program, or this crate's own node.
    pub program: &'a str,
    /// Why the test was cut short, if it was. Then nothing is called right or wrong.
    pub cut_short: Option<&'a str>,
    /// What may explain why the node that failed did so, in sentences.
    pub hints: &'a [String],
    /// The last lines on its stderr.
    pub last_words: &'a [String],
    /// The command that runs this test again.
    pub command: Option<&'a str>,
}

impl<'a> Report<'a> {
    /// Of a test that came to its end, without anything that is known besides.
    pub const fn new(world: &'a World, results: &'a Results, program: &'a str) -> Self {
        Self { world, results, program, cut_short: None, hints: &[], last_words: &[], command: None }
    }

    /// What a person should know, in sentences, the gravest first.
    pub fn explain(&self) -> Vec<String> {
        if let Some(reason) = self.cut_short {
            // What the checkers would say is about a test that came to its end.
            return vec![format!("the test was cut short, and nothing is called right or wrong: {reason}")];
        }
        let mut sentences = self.results.explain();
        sentences.extend_from_slice(self.hints);
        sentences
    }

    /// `valid`, `invalid`, `unknown` or `incomplete`.
    pub fn verdict(&self) -> &'static str {
        if self.cut_short.is_some() { "incomplete" } else { self.results.verdict.name() }
    }
}
