//! A test as data: everything that a run is made of, but for the nodes.
//!
//! Every run has its [`Plan`], which is written as `plan.json`; a test of a plan does the same again. With nodes of this
//! crate in virtual time that is the same to the byte; with processes it is as near as real time lets it be. A plan may be
//! written by hand, too: whatever is left out is as in [`Settings::default`], and without `operations` they are made up
//! at the `rate`.
//!
//! ```text
//! {
//!   "workload": "broadcast",
//!   "seed": 7,
//!   "nodes": 3,
//!   "workers": 3,
//!   "time_limit": "5s",
//!   "faults": ["partition n0|n1,n2 at 1s for 2s"],
//!   "operations": [
//!     {"at":"0.5s","worker":0,"f":"broadcast","value":1},
//!     {"at":"1.5s","worker":1,"f":"read"}
//!   ]
//! }
//! ```
//!
//! An operation that is due while its worker waits for an answer is done as soon as the worker has it.

use std::collections::VecDeque;
use std::io;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};
use thiserror::Error;

use super::checker::models::Model;
use super::checker::stats::Availability;
use super::data::Data;
use super::fault::{PlannedFault, Time, parse_time};
use super::history::Operation;
use super::network::{Distribution, Latency};
use super::settings::{Settings, Topology, TxnOptions};
use super::workload::{self, Workload};
use crate::json::parser::Parser;
use crate::json::write::WriteJson as _;
use crate::time::{Duration, Instant};

/// See the [module](self).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// What is asked of the nodes.
    pub workload: &'static dyn Workload,
    /// What the test is like. Of the faults only the planned ones are part of a plan.
    pub settings: Settings,
    /// What clients do; `None` if that is made up as in a test without a plan.
    pub operations: Option<Vec<PlannedOperation>>,
}

/// An operation with its time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PlannedOperation {
    /// When it begins, from the start of the operations.
    pub at: Duration,
    /// Which worker does it. It asks the node whose number is the worker's modulo the number of nodes.
    pub worker: usize,
    /// What it does.
    pub operation: Operation,
}

/// Why a text is no plan: where, what was expected, and what was found.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the plan cannot be used: {0}")]
pub struct PlanError(String);

impl Plan {
    /// Writes the text of a file.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        let Settings { nodes, workers, rate, time_limit, latency, topology, availability, seed, .. } =
            &self.settings;
        let text = |time: Duration| Time(time).to_string();
        let faults: Vec<String> = self.settings.planned_faults.iter().map(ToString::to_string).collect();
        let models: Vec<&str> = self.settings.transactions.models.iter().map(|model| model.name()).collect();
        let head = [
            ("workload", json!(self.workload.name())),
            ("seed", json!(seed)),
            ("nodes", json!(nodes)),
            ("workers", json!(workers)),
            ("rate", rate.map_or(json!("max"), |rate| json!(rate))),
            ("time_limit", json!(text(*time_limit))),
            ("latency", json!(text(latency.mean))),
            ("latency_dist", json!(latency.spread.name())),
            ("topology", json!(topology.to_string())),
            (
                "availability",
                match availability {
                    Availability::None => Json::Null,
                    Availability::Total => json!("total"),
                    Availability::AtLeast(fraction) => json!(fraction),
                },
            ),
            ("key_count", json!(self.settings.key_count)),
            ("max_txn_length", json!(self.settings.max_txn_length)),
            ("max_writes_per_key", json!(self.settings.max_writes_per_key)),
            ("zipf_writes", json!(self.settings.transactions.zipf_writes)),
            ("consistency_models", json!(models.join(","))),
        ];
        writeln!(out, "{{")?;
        for (name, value) in head {
            writeln!(out, "  \"{name}\": {value},")?;
        }
        write_rows("faults", faults.iter().map(|fault| json!(fault).to_string()), out)?;
        if let Some(operations) = &self.operations {
            writeln!(out, ",")?;
            write_rows("operations", operations.iter().map(PlannedOperation::to_json), out)?;
        }
        writeln!(out, "\n}}")
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// Where it is no JSON, has a member that no plan has, or a value that makes no test.
    pub fn from_json(text: &str) -> Result<Self, PlanError> {
        Self::of_workloads(&workload::ALL, text)
    }

    /// Reads the text of a file whose workload is one of these.
    ///
    /// # Errors
    /// As those of [`from_json`](Self::from_json).
    pub fn of_workloads(workloads: &[&'static dyn Workload], text: &str) -> Result<Self, PlanError> {
        let file: File = serde_json::from_str(text).map_err(|error| PlanError(error.to_string()))?;
        let workload = workloads.iter().copied().find(|workload| workload.name() == file.workload);
        let workload = workload.ok_or_else(|| {
            let names: Vec<_> = workloads.iter().map(|workload| workload.name()).collect();
            expected("workload", &format!("one of {}", names.join(", ")), &file.workload)
        })?;
        let default = Settings::default();
        let time = |name: &str, text: Option<&String>, default| match text {
            None => Ok(default),
            Some(text) => {
                parse_time(text).ok_or_else(|| expected(name, "a time such as 3s, 0.5s or 200ms", text))
            }
        };
        let settings =
            Settings {
                seed: file.seed.unwrap_or_default(),
                nodes: file.nodes.unwrap_or(default.nodes),
                workers: file.workers.or(file.nodes).unwrap_or(default.workers),
                rate: match &file.rate {
                    None => default.rate,
                    Some(Json::String(word)) if word == "max" => None,
                    Some(rate) => {
                        Some(rate.as_f64().ok_or_else(|| expected("rate", "a number, or \"max\"", rate))?)
                    }
                },
                time_limit: time("time_limit", file.time_limit.as_ref(), default.time_limit)?,
                latency: Latency {
                    mean: time("latency", file.latency.as_ref(), default.latency.mean)?,
                    spread: file.latency_dist.as_deref().map_or(Ok(default.latency.spread), distribution)?,
                },
                topology: file.topology.as_deref().map_or(Ok(default.topology), topology)?,
                availability: match &file.availability {
                    None | Some(Json::Null) => Availability::None,
                    Some(Json::String(word)) if word == "total" => Availability::Total,
                    Some(fraction) => Availability::AtLeast(fraction.as_f64().ok_or_else(|| {
                        expected("availability", "a fraction, \"total\" or null", fraction)
                    })?),
                },
                key_count: file.key_count,
                max_txn_length: file.max_txn_length.unwrap_or(default.max_txn_length),
                max_writes_per_key: file.max_writes_per_key.unwrap_or(default.max_writes_per_key),
                transactions: TxnOptions {
                    models: match &file.consistency_models {
                        None => default.transactions.models,
                        Some(names) => Model::parse_list(names)
                            .map_err(|error| PlanError(format!("consistency_models: {error}")))?,
                    },
                    zipf_writes: file.zipf_writes.unwrap_or_default(),
                },
                planned_faults: {
                    let faults = file.faults.iter().map(|text| text.parse::<PlannedFault>());
                    faults.collect::<Result<_, _>>().map_err(|error| PlanError(format!("faults: {error}")))?
                },
                ..default
            };
        settings.check().map_err(|error| PlanError(error.to_string()))?;
        let operations = file.operations.map(|rows| {
            let rows = rows.into_iter().enumerate();
            let mut operations = rows
                .map(|(place, row)| {
                    let place = format!("operations[{place}]");
                    row.operation(&place, workload, settings.workers)
                })
                .collect::<Result<Vec<_>, _>>()?;
            // Whoever writes them by hand need not keep to an order; of one time the first comes first.
            operations.sort_by_key(|operation| operation.at);
            Ok(operations)
        });
        Ok(Self { workload, settings, operations: operations.transpose()? })
    }
}

/// `"faults": […]`, a row a line.
fn write_rows(name: &str, rows: impl Iterator<Item = String>, out: &mut impl io::Write) -> io::Result<()> {
    write!(out, "  \"{name}\": [")?;
    let mut separator = "\n    ";
    for row in rows {
        write!(out, "{separator}{row}")?;
        separator = ",\n    ";
    }
    write!(out, "]")
}

fn expected(name: &str, expected: &str, found: impl std::fmt::Display) -> PlanError {
    PlanError(format!("{name}: expected {expected}; found {found}"))
}

fn distribution(name: &str) -> Result<Distribution, PlanError> {
    let all = [Distribution::Constant, Distribution::Uniform, Distribution::Exponential];
    let found = all.into_iter().find(|spread| spread.name() == name);
    found.ok_or_else(|| expected("latency_dist", "constant, uniform or exponential", name))
}

fn topology(name: &str) -> Result<Topology, PlanError> {
    let children = || name.strip_prefix("tree")?.parse().ok();
    match name {
        "grid" => Ok(Topology::Grid),
        "line" => Ok(Topology::Line),
        "total" => Ok(Topology::Total),
        _ => children()
            .map(Topology::Tree)
            .ok_or_else(|| expected("topology", "grid, line, total, or tree3 and the like", name)),
    }
}

impl PlannedOperation {
    fn to_json(&self) -> String {
        let Self { at, worker, operation } = self;
        let mut value = Vec::new();
        operation.value.write_json(&mut value);
        let value = String::from_utf8_lossy(&value);
        format!(r#"{{"at":"{}","worker":{worker},"f":"{}","value":{value}}}"#, Time(*at), operation.f)
    }
}

/// What a file may have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    workload: String,
    seed: Option<u64>,
    nodes: Option<usize>,
    workers: Option<usize>,
    rate: Option<Json>,
    time_limit: Option<String>,
    latency: Option<String>,
    latency_dist: Option<String>,
    topology: Option<String>,
    availability: Option<Json>,
    key_count: Option<usize>,
    max_txn_length: Option<usize>,
    max_writes_per_key: Option<usize>,
    zipf_writes: Option<bool>,
    /// Names with commas between them.
    consistency_models: Option<String>,
    #[serde(default)]
    faults: Vec<String>,
    operations: Option<Vec<Row>>,
}

/// An operation in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    at: String,
    worker: usize,
    f: String,
    /// As it stands: the order of members and every digit count.
    value: Option<Box<RawValue>>,
}

impl Row {
    fn operation(
        self,
        place: &str,
        workload: &dyn Workload,
        workers: usize,
    ) -> Result<PlannedOperation, PlanError> {
        let kinds = workload.operations();
        let Some(f) = kinds.iter().copied().find(|kind| *kind == self.f) else {
            return Err(expected(&format!("{place}.f"), &format!("one of {}", kinds.join(", ")), self.f));
        };
        let Some(at) = parse_time(&self.at) else {
            return Err(expected(&format!("{place}.at"), "a time such as 3s, 0.5s or 200ms", self.at));
        };
        if self.worker >= workers {
            let range = format!("a worker from 0 to {}", workers - 1);
            return Err(expected(&format!("{place}.worker"), &range, self.worker));
        }
        // The parser takes nothing but objects and arrays.
        let written = self.value.as_deref().map_or("null", RawValue::get);
        let text = format!("[{written}]");
        let value = Parser::new().value(text.as_bytes()).ok().and_then(|array| array.as_array()?.next());
        let Some(value) = value.map(Data::from) else {
            return Err(expected(&format!("{place}.value"), "a value that is nested less deeply", written));
        };
        Ok(PlannedOperation { at, worker: self.worker, operation: Operation { f, value } })
    }
}

/// The operations of a plan while it runs.
#[derive(Debug)]
pub(super) struct Script {
    operations: VecDeque<PlannedOperation>,
    workers: Vec<Queue>,
}

/// What a worker has to do, and since when it could.
#[derive(Clone, Debug, Default)]
struct Queue {
    due: VecDeque<Operation>,
    free_since: Option<Instant>,
}

impl Script {
    pub(super) fn new(operations: Vec<PlannedOperation>, workers: usize) -> Self {
        Self { operations: operations.into(), workers: vec![Queue::default(); workers] }
    }

    /// When the next operation is due, from the start of the operations.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.operations.front().map(|operation| operation.at)
    }

    /// The next operation is due; whose it is.
    pub(super) fn take_due(&mut self) -> Option<usize> {
        let PlannedOperation { worker, operation, .. } = self.operations.pop_front()?;
        self.workers[worker].due.push_back(operation);
        Some(worker)
    }

    /// What that worker is to do now, if it has something to do. A process starts nothing in the microsecond in which
    /// its last operation ended.
    pub(super) fn start(&mut self, worker: usize, now: Instant) -> Option<Operation> {
        let Queue { due, free_since } = &mut self.workers[worker];
        if free_since.is_some_and(|since| since >= now) { None } else { due.pop_front() }
    }

    /// An operation of that worker has ended; whether it has another one to do.
    pub(super) fn end(&mut self, worker: usize, now: Instant) -> bool {
        let Queue { due, free_since } = &mut self.workers[worker];
        *free_since = Some(now);
        !due.is_empty()
    }

    /// Whether that worker has something to do.
    pub(super) fn is_due(&self, worker: usize) -> bool {
        !self.workers[worker].due.is_empty()
    }
}
