//! What `txn-list-append` and `txn-rw-register` share: transactions of reads and writes over a few keys in use, their
//! client, and the report.

use std::borrow::Cow;

use serde_json::json;

use super::super::checker::isolation::{Cycle, IsolationResults, Member};
use super::super::checker::models::{Anomaly, Model};
use super::super::checker::transactions::Transactions;
use super::super::checker::{Completion, Verdict};
use super::super::data::Data;
use super::super::history::{Invocation, Operation};
use super::contract::{Client, Fact, FinalStep, Finding, Generator, GeneratorContext, Picture, Step};
use super::key_pool::{KeyPool, Writes};
use super::rpc::{Field, MalformedReply, Reply, RequestBody, Rpc, Shape};
use super::{cycle_picture, order_picture};
use crate::json::text::excerpt;
use crate::time::Duration;
use crate::workbench::format::thousands;
use crate::workbench::question::{Mark, Missed, Question};
use crate::workbench::settings::Settings;

/// The only kind of operation.
pub const TXN: &str = "txn";

/// How many keys are in use at a time, as in Maelstrom.
const KEYS: usize = 10;

/// How many keys one of the final transactions reads.
const FINAL_READS: usize = 8;

/// How often a final transaction that failed is tried again.
const FINAL_TRIES: u32 = 3;

/// How long the final reads may go on.
pub const FINAL_PHASE: Duration = Duration::from_secs(10);

/// Errors that mean something of their own here.
pub const ERRORS: &[(crate::wire::error::ErrorCode, &str)] =
    &[(crate::wire::error::ErrorCode::TXN_CONFLICT, "it was aborted, and nothing of it happened")];

/// The field that requests and replies have.
pub const fn field(shape: Shape, about: &'static str, example: &'static str) -> Field {
    Field { name: TXN, shape, about, example }
}

/// Thinks up transactions: one to so many micro-operations, reads and writes half each. No value is written to a key
/// twice.
#[derive(Debug)]
pub struct TransactionGenerator {
    /// What a write is called.
    write: &'static str,
    max_length: usize,
    keys: KeyPool,
    /// Final transactions that are left, and how often each was tried.
    last_reads: Option<Vec<(Vec<i64>, u32)>>,
    /// The final transaction that each worker is at.
    doing: Vec<Option<(Vec<i64>, u32)>>,
    /// How often each worker may still try to get one final answer from its node.
    own_tries: Vec<u32>,
}

impl TransactionGenerator {
    pub fn new(write: &'static str, settings: &Settings) -> Self {
        let writes = if settings.transactions.zipf_writes {
            Writes::Zipf
        } else {
            Writes::AtMost(settings.max_writes_per_key)
        };
        Self {
            write,
            max_length: settings.max_txn_length.max(1),
            keys: KeyPool::new(settings.key_count.unwrap_or(KEYS), writes),
            last_reads: None,
            doing: vec![None; settings.workers],
            own_tries: vec![FINAL_TRIES; settings.workers],
        }
    }

    fn micro_op(&mut self, rng: &mut fastrand::Rng) -> Data {
        loop {
            if rng.bool() {
                return read(self.keys.key(rng));
            }
            if let Some((key, value)) = self.keys.try_write(rng) {
                return Data::List(vec![self.write.into(), key.into(), value.into()]);
            }
        }
    }
}

fn read(key: i64) -> Data {
    Data::List(vec!["r".into(), key.into(), Data::Null])
}

fn reads(keys: &[i64]) -> Operation {
    Operation::new(TXN, Data::List(keys.iter().copied().map(read).collect()))
}

impl Generator for TransactionGenerator {
    fn next(&mut self, _: usize, cx: &mut GeneratorContext<'_>) -> Operation {
        let length = cx.rng.usize(1..=self.max_length);
        let micro_ops = (0..length).map(|_| self.micro_op(cx.rng)).collect();
        Operation::new(TXN, Data::List(micro_ops))
    }

    fn completed(&mut self, worker: usize, invocation: &Invocation) {
        if invocation.is_final && invocation.outcome.completion() == Completion::Ok {
            self.own_tries[worker] = 0;
        }
        if let Some((keys, tries)) = self.doing.get_mut(worker).and_then(Option::take)
            && invocation.outcome.completion() != Completion::Ok
            && tries < FINAL_TRIES
            && let Some(left) = &mut self.last_reads
        {
            left.push((keys, tries));
        }
    }

    /// Reads of all keys there were, so that it shows whether what was acknowledged at last is there; and by each worker
    /// at least one, so that each node is asked.
    fn final_step(&mut self, worker: usize, _: &mut GeneratorContext<'_>) -> FinalStep {
        let keys = self.keys.count();
        let left = self.last_reads.get_or_insert_with(|| {
            let all: Vec<i64> = (0..keys).collect();
            all.chunks(FINAL_READS).rev().map(|keys| (keys.to_vec(), 0)).collect()
        });
        match left.pop() {
            Some((keys, tries)) => {
                let operation = reads(&keys);
                self.doing[worker] = Some((keys, tries + 1));
                FinalStep::Do(operation)
            }
            None if self.own_tries[worker] > 0 => {
                self.own_tries[worker] -= 1;
                let newest: Vec<i64> = (0..keys).rev().take(FINAL_READS).collect();
                FinalStep::Do(reads(&newest))
            }
            // Somebody else's may fail yet.
            None if self.doing.iter().any(Option::is_some) => FinalStep::Wait(Duration::from_millis(100)),
            None => FinalStep::Done,
        }
    }

    fn probe(&mut self, _: usize, _: &mut GeneratorContext<'_>) -> Operation {
        reads(&[0])
    }
}

/// Sends a transaction, and takes only itself for an answer, with its reads filled in.
#[derive(Debug)]
pub struct TransactionClient {
    pub rpc: &'static Rpc,
    /// Whether reads return lists.
    pub has_lists: bool,
}

impl Client for TransactionClient {
    fn begin(&mut self, operation: &Operation, request: &mut RequestBody) -> Step {
        request.call(self.rpc).field(TXN, &operation.value);
        Step::Call
    }

    fn reply(
        &mut self,
        operation: &Operation,
        reply: Reply<'_>,
        _: &mut RequestBody,
    ) -> Result<Step, MalformedReply> {
        let answer = reply.data(TXN);
        let (asked, answered) = (operation.value.item_count(), answer.item_count());
        if asked != answered {
            return Err(MalformedReply(format!(
                "txn: expected the {} micro-operations of the request, found {}: {}",
                asked.unwrap_or_default(),
                answered.unwrap_or_default(),
                excerpt(&answer.to_string())
            )));
        }
        for (place, (asked, answered)) in operation.value.items().zip(answer.items()).enumerate() {
            if !self.answers(&asked, &answered) {
                return Err(MalformedReply(format!(
                    "txn[{place}]: expected {asked}{}, as in the request, found {}",
                    match (is_read(&asked), self.has_lists) {
                        (false, _) => "",
                        (true, true) => " with a list of integers instead of null, or null",
                        (true, false) => " with an integer instead of null, or null",
                    },
                    excerpt(&answered.to_string())
                )));
            }
        }
        Ok(Step::ok(answer))
    }
}

fn is_read(micro_op: &Data) -> bool {
    micro_op.item(0).is_some_and(|f| f.as_text() == Some("r"))
}

impl TransactionClient {
    fn answers(&self, asked: &Data, answered: &Data) -> bool {
        if !is_read(asked) {
            return asked == answered;
        }
        let same = |place| asked.item(place) == answered.item(place);
        let Some(value) = answered.item(2) else { return false };
        let fits = match &*value {
            Data::Null => true,
            Data::Ints(_) => self.has_lists,
            Data::Int(_) => !self.has_lists,
            _ => false,
        };
        answered.item_count() == Some(3) && same(0) && same(1) && fits
    }
}

/// What should be there instead of a value that is no transaction.
pub fn misfit(operation: &Operation, answer: Option<&Data>, has_lists: bool) -> Option<&'static str> {
    let is_integer = |item: Option<Cow<'_, Data>>| item.is_some_and(|item| item.as_int().is_some());
    let fits = |micro_op: Cow<'_, Data>| {
        let value = micro_op.item(2).unwrap_or_default();
        let word = if has_lists { "append" } else { "w" };
        let fits = match &*value {
            _ if !is_read(&micro_op) => micro_op.item(0)?.as_text() == Some(word) && value.as_int().is_some(),
            _ if answer.is_none() => true,
            Data::Null => true,
            Data::Ints(_) => has_lists,
            Data::Int(_) => !has_lists,
            _ => false,
        };
        (fits && is_integer(micro_op.item(1)) && micro_op.item_count() == Some(3)).then_some(())
    };
    let value = answer.unwrap_or(&operation.value);
    let is_txn = value.item_count().is_some() && value.items().all(|micro_op| fits(micro_op).is_some());
    match has_lists {
        _ if is_txn => None,
        true => Some(
            "the value to be a list of [\"append\", key, element] and [\"r\", key, list or null], of integers of 64 bits",
        ),
        false => Some(
            "the value to be a list of [\"w\", key, value] and [\"r\", key, value or null], of integers of 64 bits",
        ),
    }
}

/// The transactions of a history. Whatever is no micro-operation is passed over: clients let none through.
pub fn transactions(history: &[Invocation], mut transactions: Transactions, has_lists: bool) -> Transactions {
    for invocation in history.iter().filter(|invocation| invocation.operation.f == TXN) {
        let completion = invocation.outcome.completion();
        transactions.begin(invocation.process, invocation.node, invocation.interval, completion);
        let answer = invocation.answer();
        for micro_op in answer.unwrap_or(&invocation.operation.value).items() {
            let Some(key) = micro_op.item(1).and_then(|key| key.as_int()) else { continue };
            let value = micro_op.item(2).unwrap_or_default();
            if !is_read(&micro_op) {
                if let Some(value) = value.as_int() {
                    transactions.write(key, value);
                }
            } else if answer.is_none() {
                transactions.read_unknown(key);
            } else if has_lists {
                transactions.read_list(key, value.as_ints().unwrap_or_default());
            } else {
                transactions.read(key, value.as_int());
            }
        }
    }
    transactions
}

/// Settings for the page.
pub fn facts(settings: &Settings) -> Vec<Fact> {
    let names: Vec<&str> = settings.transactions.models.iter().map(|model| model.name()).collect();
    vec![
        ("consistency models", names.join(", ")),
        ("keys in use", settings.key_count.unwrap_or(KEYS).to_string()),
        ("longest transaction", settings.max_txn_length.to_string()),
    ]
}

fn place_of(member: &Member, history: &[Invocation]) -> Option<usize> {
    let is_it = |of: &Invocation| (Some(of.process), of.interval) == (member.process, member.interval);
    history.iter().position(is_it)
}

/// Of a cycle: which writes its transactions should have seen, because they were acknowledged before; and which two of
/// them each missed what the other wrote.
fn questions(cycle: &Cycle, history: &[Invocation]) -> Vec<Question> {
    let count = cycle.members.len();
    let mut questions = Vec::new();
    for (without, step) in cycle.steps.iter().enumerate().filter(|(_, step)| step.kind == "rw") {
        let writer = (without + 1) % count;
        let (reader, of_writer) = (&cycle.members[without], &cycle.members[writer]);
        let (Some(read), Some(write)) = (place_of(reader, history), place_of(of_writer, history)) else {
            continue;
        };
        if count == 2 && cycle.steps[writer].kind == "rw" {
            if without == 0 {
                let names = [1, 2].map(|number| format!("T{number}"));
                questions.push(Question::Crossed { one: read, other: write, names });
            }
            continue;
        }
        let was_before =
            of_writer.completion == Completion::Ok && of_writer.interval.completed < reader.interval.invoked;
        let Some(op) = step.to_op.map(|op| &of_writer.ops[op]).filter(|_| was_before) else { continue };
        let mut words = op.split(' ').skip(1);
        let (Some(key), Some(value)) = (words.next(), words.next()) else { continue };
        questions.push(Question::Missed(Missed {
            write,
            name: format!("{op} of T{}", writer + 1),
            mark: Mark::of(&key, &value),
            is_unique: true,
            read,
            saw: None,
        }));
    }
    questions
}

fn names(models: &[Model]) -> Vec<&'static str> {
    models.iter().map(|model| model.name()).collect()
}

impl Finding for IsolationResults {
    fn verdict(&self) -> Verdict {
        self.verdict
    }

    fn explain(&self) -> Vec<String> {
        self.explain()
    }

    fn offending(&self, history: &[Invocation]) -> Vec<usize> {
        let examples = self.findings.iter().filter(|of| of.is_forbidden).flat_map(|of| &of.examples);
        let members =
            examples.filter_map(|example| example.cycle.as_ref()).take(1).flat_map(|cycle| &cycle.members);
        members.filter_map(|member| place_of(member, history)).collect()
    }

    fn questions(&self, history: &[Invocation]) -> Vec<Question> {
        let Some((finding, cycle)) = self.cycle() else { return Vec::new() };
        if finding.is_forbidden { questions(cycle, history) } else { Vec::new() }
    }

    /// Those that the models asked for forbid.
    fn anomalies(&self) -> Vec<String> {
        let forbidden = self.findings.iter().filter(|finding| finding.is_forbidden);
        forbidden.map(|finding| finding.anomaly.name().to_owned()).collect()
    }

    fn refuted(&self) -> Vec<String> {
        self.refuted.not.iter().map(ToString::to_string).collect()
    }

    fn json(&self) -> serde_json::Value {
        let forbidden = self.anomalies();
        let anomalies: serde_json::Map<String, serde_json::Value> = self
            .findings
            .iter()
            .map(|finding| {
                let examples: Vec<String> =
                    finding.examples.iter().map(|example| example.sentences.join("\n")).collect();
                let of = json!({
                    "forbidden": finding.is_forbidden,
                    "count": finding.total,
                    "examples": examples,
                });
                (finding.anomaly.name().to_owned(), of)
            })
            .collect();
        json!({
            "consistency-models": names(&self.models),
            "not": names(&self.refuted.not),
            "also-not": names(&self.refuted.also_not),
            "strongest-left": self.strongest_left.map(Model::name),
            "anomaly-types": forbidden,
            "anomalies": anomalies,
            "undecided": self.undecided.iter().map(|anomaly| anomaly.name()).collect::<Vec<_>>(),
            "transactions": { "ok": self.ok, "info": self.info, "fail": self.failed },
            "dependencies": self.dependencies,
        })
    }

    fn facts(&self) -> Vec<Fact> {
        let found: Vec<&str> = self.findings.iter().map(|finding| finding.anomaly.name()).collect();
        vec![
            ("transactions that succeeded", thousands(self.ok)),
            ("in doubt", thousands(self.info)),
            ("failed", thousands(self.failed)),
            ("dependencies", thousands(self.dependencies)),
            (
                "not",
                if self.refuted.not.is_empty() {
                    "–".to_owned()
                } else {
                    names(&self.refuted.not).join(", ")
                },
            ),
            ("anomalies", if found.is_empty() { "none".to_owned() } else { found.join(", ") }),
        ]
    }

    fn pictures(&self, _: &[Invocation]) -> Vec<Picture> {
        let forbidden = || self.findings.iter().filter(|finding| finding.is_forbidden);
        let cycles = forbidden().filter(|finding| matches!(finding.anomaly, Anomaly::Cycle(..)));
        let cycles = cycles.take(PICTURES).filter_map(|finding| {
            let cycle = finding.examples.iter().find_map(|example| example.cycle.as_ref())?;
            Some(cycle_picture::draw(finding.anomaly, cycle))
        });
        let orders = forbidden().flat_map(|finding| &finding.examples);
        let orders = orders.filter_map(|example| example.orders.as_ref()).take(1);
        orders.map(order_picture::draw).chain(cycles).collect()
    }
}

/// How many kinds of cycles are drawn.
const PICTURES: usize = 4;
