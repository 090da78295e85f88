//! Why an operation is without what an earlier one wrote: where that news was at the time.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::super::history::Invocation;
use super::super::journal::{Address, Entry};
use super::super::question::Missed;
use super::evidence::{Evidence, first, is_there, numbers};
use super::reason::{Why, plural};
use crate::time::Instant;
use crate::workbench::format::{Seconds, list};

/// How often an answer is followed to whoever gave it.
const HOPS: usize = 3;

/// What is known of a node that should have known something.
struct Asking<'a> {
    evidence: Evidence<'a>,
    missed: &'a Missed,
    write: &'a Invocation,
    /// Since when anybody can know.
    written: Instant,
    /// Who should have known.
    node: usize,
    /// From when to when it looked for its answer.
    at: (Instant, Instant),
}

pub(super) fn why<'a>(evidence: Evidence<'a>, missed: &'a Missed) -> Option<Why> {
    let (write, read) = (evidence.operation(missed.write)?, evidence.operation(missed.read)?);
    let (written, asked) = (evidence.asked(write)?.arrived, evidence.asked(read)?.arrived);
    let at = (asked, read.interval.completed);
    if at.1 < written {
        return None;
    }
    let mut asking = Asking { evidence, missed, write, written, node: read.node, at };
    let (mut told, mut messages) = (asking.beginning(read), Vec::new());
    for _ in 0..HOPS {
        let Some((question, answer)) = asking.source() else { break };
        let (from, saw) = (question.dest, missed.saw.as_ref().map_or("?", |saw| &*saw.0));
        // Writing to a string cannot fail.
        let _ = write!(
            told,
            "n{} asked {from} at {}, and was answered with {saw}; ",
            asking.node,
            Seconds(question.sent)
        );
        messages.extend([question, answer]);
        let (Some(arrived), Some(node)) = (first(question), from.node()) else {
            told += &asking.in_service(question)?;
            return Some(Why::new(told, &messages, &[missed.write, missed.read]));
        };
        (asking.node, asking.at) = (node, (arrived, answer.sent));
    }
    let (reason, of_reason) = asking.reason()?;
    messages.extend(of_reason);
    Some(Why::new(told + &reason, &messages, &[missed.write, missed.read]))
}

/// Why two operations missed each other: nothing made one wait for the other.
pub(super) fn crossed(
    evidence: Evidence<'_>,
    (one, other): (usize, usize),
    names: &[String; 2],
) -> Option<Why> {
    let (first, second) = (evidence.operation(one)?, evidence.operation(other)?);
    let overlap = first.interval.invoked <= second.interval.completed
        && second.interval.invoked <= first.interval.completed;
    let are_acknowledged = first.answer().is_some() && second.answer().is_some();
    if !overlap || !are_acknowledged {
        return None;
    }
    let of = |name: &str, of: &Invocation| {
        let (from, to) = (Seconds(of.interval.invoked), Seconds(of.interval.completed));
        format!("{name} (n{}, {from} to {to})", of.node)
    };
    Some(Why::new(
        format!(
            "{} and {} were under way at the same time, and both were acknowledged: each had read before the other wrote, \
             and nothing made one of them wait or fail",
            of(&names[0], first),
            of(&names[1], second)
        ),
        &[],
        &[one, other],
    ))
}

impl<'a> Asking<'a> {
    /// What it is about, where a mere value does not say it.
    fn beginning(&self, read: &Invocation) -> String {
        if self.missed.mark.key.is_none() {
            return String::new();
        }
        let (name, node) = (&self.missed.name, self.write.node);
        let written = match self.write.answer() {
            Some(_) => format!("n{node} acknowledged at {}", Seconds(self.write.interval.completed)),
            None => format!("n{node} was asked for at {}", Seconds(self.write.interval.invoked)),
        };
        format!(
            "{} of n{} at {} is without {name}, which {written}: ",
            read.operation.f,
            read.node,
            Seconds(read.interval.completed)
        )
    }

    /// What it is called where the sentence has begun.
    fn name(&self) -> &str {
        if self.missed.mark.key.is_some() { "it" } else { &self.missed.name }
    }

    /// Whom the node asked for its answer.
    fn source(&self) -> Option<(&'a Entry, &'a Entry)> {
        let key = self.missed.mark.key.as_deref()?;
        self.evidence.source(self.node, self.at, key, &self.missed.saw.as_ref()?.1)
    }

    /// Where the news was when a service answered without it.
    fn in_service(&self, question: &Entry) -> Option<String> {
        let (service, name) = (question.dest, self.name());
        let to_it = || {
            let (until, by) = (question.sent.min(self.write.interval.completed), self.write.node);
            let all = self.evidence.carrying(&self.missed.mark, self.written, until);
            all.filter(move |entry| entry.dest == service && entry.src.node() == Some(by))
        };
        if let Some(there) = to_it().find(|entry| is_there(entry, question.sent)) {
            return Some(format!(
                "{service} had been sent {name} by {} at {}, and answered with what was there before",
                there.src,
                Seconds(there.sent)
            ));
        }
        let last = to_it().last()?;
        Some(format!(
            "{} had sent it {name} at {}, but {}",
            last.src,
            Seconds(last.sent),
            self.evidence.fate(last)
        ))
    }

    /// Where the news was when the node answered without it.
    fn reason(&self) -> Option<(String, Vec<&'a Entry>)> {
        let Self { evidence, node, .. } = *self;
        let (asked, answered) = self.at;
        let name = self.name();
        let mut carrying: Vec<&Entry> = evidence.carrying(&self.missed.mark, self.written, asked).collect();
        let completed = self.write.interval.completed;
        let is_its_own = self.write.node == node && self.write.answer().is_some() && completed <= answered;
        if !self.missed.is_unique {
            // What others sent, or its node later, may be about another write of the same.
            let is_of_it =
                |entry: &&Entry| entry.src.node() == Some(self.write.node) && entry.sent <= completed;
            let to_it = |entry: &&Entry| entry.dest.node() == Some(node);
            let is_doubtful = carrying.iter().filter(|entry| to_it(entry)).any(|entry| !is_of_it(entry));
            if is_doubtful && !is_its_own {
                return None;
            }
            carrying.retain(is_of_it);
        }
        let to_it: Vec<&Entry> =
            carrying.iter().copied().filter(|entry| entry.dest.node() == Some(node)).collect();
        let there: Vec<&Entry> = to_it.iter().copied().filter(|entry| is_there(entry, asked)).collect();
        if let Some(entry) = there.first() {
            let arrived = first(entry)?;
            let told = format!("{} told n{node} of {name} at {}", entry.src, Seconds(arrived));
            let times = there.len();
            return Some((
                self.forgotten(&told, arrived).unwrap_or_else(|| {
                    format!(
                        "{told} ({times} {} of it arrived there), and n{node} {}",
                        plural(times),
                        self.ignored()
                    )
                }),
                vec![entry],
            ));
        }
        if is_its_own {
            let told = match self.missed.mark.key {
                Some(_) => format!("n{node} had acknowledged it itself"),
                None => format!("n{node} acknowledged {name} itself, at {}", Seconds(completed)),
            };
            let reason = self.forgotten(&told, completed);
            return Some((reason.unwrap_or_else(|| format!("{told}, and {}", self.ignored())), Vec::new()));
        }
        if let Some(&last) = to_it.last() {
            let often = match to_it.len() {
                1 => "once,".to_owned(),
                count => format!("{count} times, the last time"),
            };
            let (sender, sent, fate) = (last.src, Seconds(last.sent), evidence.fate(last));
            return Some((
                format!(
                    "{sender} told n{node} of {name} {often} at {sent}; {fate}; it was not sent there again"
                ),
                vec![last],
            ));
        }
        self.never_sent(&carrying)
    }

    /// Nobody sent it there in words that can be read.
    fn never_sent(&self, carrying: &[&'a Entry]) -> Option<(String, Vec<&'a Entry>)> {
        let Self { evidence, node, at: (asked, answered), .. } = *self;
        let (name, mark) = (self.name(), &self.missed.mark);
        let asked_nobody = if mark.key.is_some() && evidence.asks_nobody(node, asked, answered) {
            format!("; n{node} asked nobody before it answered")
        } else {
            String::new()
        };
        if let Some(example) = carrying.first() {
            let others: BTreeSet<Address> = carrying.iter().map(|entry| entry.dest).collect();
            let what = match &mark.key {
                Some(key) => format!("key {key} and {}", mark.value),
                None => mark.value.to_string(),
            };
            let others = list(others);
            let sentence = format!(
                "nobody sent n{node} a message with {what} in it; such messages went to {others}{asked_nobody}"
            );
            return Some((sentence, vec![example]));
        }
        // Whoever says nothing that can be read may have told it in words of its own, if anything of it arrived.
        let heard = evidence.heard(self.write, asked)?;
        if heard.contains_key(&Address::Node(node)) {
            return None;
        }
        let knows = |entry: &&Entry| heard.get(&entry.src).is_some_and(|since| *since <= entry.sent);
        let sent = evidence.between_servers(self.written, asked);
        let last = sent.filter(knows).filter(|entry| entry.dest.node() == Some(node)).last();
        let who = list(heard.keys());
        let reason = match last {
            Some(last) => format!(
                "nothing that {who} sent there since then had arrived; the last of it was {}, from {} at {}; {}",
                numbers(last).kind,
                last.src,
                Seconds(last.sent),
                evidence.fate(last)
            ),
            None => format!("{who} knew of it, and sent n{node} nothing"),
        };
        let sentence = format!("n{node} cannot have heard of {name}: {reason}{asked_nobody}");
        Some((sentence, last.into_iter().collect()))
    }

    /// What a node that knew it may have done with it.
    fn ignored(&self) -> &'static str {
        if self.missed.mark.key.is_some() { "did not go by it" } else { "did not keep it" }
    }

    /// That the node was killed between it learned something and was asked.
    fn forgotten(&self, learned: &str, at: Instant) -> Option<String> {
        let Self { evidence, node, .. } = *self;
        let window = evidence.killed(node, at, self.at.0)?;
        Some(format!(
            "{learned}; n{node} was killed at {}, and came back without what it had in memory",
            Seconds(window.from)
        ))
    }
}
