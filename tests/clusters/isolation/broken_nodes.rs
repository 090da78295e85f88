//! A node that does transactions rightly, and one for each way to do them wrongly that a node has.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use messenger::node::{Config, Node};
use messenger::workbench::checker::Verdict;
use messenger::workbench::checker::models::Model;
use messenger::workbench::data::Data;
use messenger::workbench::fault::Fault;
use messenger::workbench::network::{Distribution, Latency};
use messenger::workbench::settings::{Settings, TxnOptions};
use messenger::workbench::simulation;
use messenger::workbench::verdict::Results;
use messenger::workbench::workload::Workload;
use messenger::workbench::workload::list_append::ListAppend;
use messenger::workbench::workload::rw_register::RwRegister;
use messenger::workbench::world::World;
use messenger::{Answer, Context, Duration, ErrorCode, Handler, Request, RpcError};

/// How a node does transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Each at one moment.
    Right,
    /// Each twentieth that only writes is acknowledged and thrown away.
    ForgetsWrites,
    /// Each tenth is answered with a failure, and done all the same.
    DoesWhatItAborts,
    /// Each tenth that only reads shows what was there a second ago.
    ReadsOldStates,
    /// Reads a snapshot, and of two that write the same key one fails. Nobody looks at what was read.
    SnapshotIsolation,
    /// Reads a snapshot, and does its writes later whatever happened meanwhile.
    NeverLooksAgain,
    /// Does each micro-operation by itself, with pauses.
    StepByStep,
    /// Each twentieth append is done twice.
    AppendsTwice,
    /// Each tenth reader gets the last two elements of lists the other way round.
    SwapsElements,
    /// Does not see its own writes.
    IgnoresItself,
    /// Each twentieth read shows something that nobody wrote.
    MakesThingsUp,
    /// Does its writes first.
    WritesFirst,
}

/// What the node holds: for each key everything that was written to it.
type State = BTreeMap<i64, Vec<i64>>;

struct Database {
    way: Way,
    has_lists: bool,
    state: Rc<RefCell<State>>,
    /// What it held at some moments.
    old: Vec<(Duration, State)>,
    count: u32,
}

impl Database {
    fn new(way: Way, has_lists: bool) -> Self {
        Self { way, has_lists, state: Rc::default(), old: Vec::new(), count: 0 }
    }
}

/// A micro-operation: its key, and the value if it writes.
type MicroOp = (i64, Option<i64>);

fn micro_ops(txn: &Data) -> Vec<MicroOp> {
    let int = |op: &Data, place| op.item(place).and_then(|value| value.as_int());
    txn.items().map(|op| (int(&op, 1).unwrap(), int(&op, 2))).collect()
}

/// The answer, with these values for its reads.
fn answer(txn: &Data, has_lists: bool, reads: &[Vec<i64>]) -> Data {
    let mut reads = reads.iter();
    let filled = txn.items().map(|op| {
        if op.item(0).unwrap().as_text() != Some("r") {
            return op.into_owned();
        }
        let values = reads.next().unwrap();
        let value = match (has_lists, values.last()) {
            (true, _) => Data::Ints(values.clone()),
            (false, Some(&last)) => Data::Int(last),
            (false, None) => Data::Null,
        };
        Data::list(["r".into(), op.item(1).unwrap().into_owned(), value])
    });
    Data::List(filled.collect())
}

/// Does micro-operations on a state; what they read.
fn run(ops: &[MicroOp], state: &mut State) -> Vec<Vec<i64>> {
    let mut reads = Vec::new();
    for &(key, write) in ops {
        let values = state.entry(key).or_default();
        match write {
            Some(value) => values.push(value),
            None => reads.push(values.clone()),
        }
    }
    reads
}

impl Handler for Database {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let txn = Data::from(request.required("txn")?);
        let ops = micro_ops(&txn);
        self.count += 1;
        let (count, has_lists) = (self.count, self.has_lists);
        let nth = |n: u32| count.is_multiple_of(n);
        let only_reads = ops.iter().all(|op| op.1.is_none());
        let mut state = self.state.borrow_mut();
        let mut reads = match self.way {
            Way::ForgetsWrites if nth(20) && ops.iter().all(|op| op.1.is_some()) => Vec::new(),
            Way::DoesWhatItAborts if nth(10) => {
                run(&ops, &mut state);
                return Err(RpcError::new(ErrorCode::TXN_CONFLICT, "it lost against another one"));
            }
            Way::ReadsOldStates => {
                let now = cx.elapsed();
                self.old.push((now, state.clone()));
                self.old.retain(|(at, _)| at.as_micros() + 1_000_000 > now.as_micros());
                if nth(10) && only_reads {
                    run(&ops, &mut self.old[0].1.clone())
                } else {
                    run(&ops, &mut state)
                }
            }
            Way::SnapshotIsolation | Way::NeverLooksAgain => {
                drop(state);
                return self.run_on_snapshot(request, txn, ops, cx);
            }
            Way::StepByStep => {
                drop(state);
                return self.run_step_by_step(request, txn, ops, cx);
            }
            Way::AppendsTwice if nth(20) => {
                let reads = run(&ops, &mut state);
                if let Some(&(key, Some(value))) = ops.last() {
                    state.entry(key).or_default().push(value);
                }
                reads
            }
            Way::IgnoresItself => {
                let reads = run(&ops, &mut state.clone());
                let before =
                    run(&ops.iter().filter(|op| op.1.is_none()).copied().collect::<Vec<_>>(), &mut state);
                run(&ops, &mut state);
                if nth(5) { before } else { reads }
            }
            Way::WritesFirst if nth(5) => {
                let mut sorted = ops.clone();
                sorted.sort_by_key(|op| op.1.is_none());
                run(&sorted, &mut state)
            }
            _ => run(&ops, &mut state),
        };
        match self.way {
            Way::SwapsElements if nth(10) => {
                for values in reads.iter_mut().filter(|values| values.len() > 1) {
                    let last = values.len() - 1;
                    values.swap(last, last - 1);
                }
            }
            Way::MakesThingsUp if nth(20) => reads.iter_mut().for_each(|values| values.push(99_999)),
            _ => {}
        }
        cx.reply(request, "txn_ok").field("txn", answer(&txn, has_lists, &reads)).send()
    }
}

impl Database {
    fn run_on_snapshot(
        &self,
        request: &Request<'_>,
        txn: Data,
        ops: Vec<MicroOp>,
        cx: &mut Context<'_, Self>,
    ) -> Result<(), RpcError> {
        let (state, way, has_lists) = (Rc::clone(&self.state), self.way, self.has_lists);
        let snapshot = state.borrow().clone();
        let pause = Duration::from_millis(cx.rng().u64(5..40));
        cx.wait(request, async move |node| {
            let reads = run(&ops, &mut snapshot.clone());
            node.sleep(pause).await;
            let mut state = state.borrow_mut();
            let was_written =
                |&(key, write): &MicroOp| write.is_some() && state.get(&key) != snapshot.get(&key);
            if way == Way::SnapshotIsolation && ops.iter().any(was_written) {
                return Err(RpcError::new(ErrorCode::TXN_CONFLICT, "somebody else was first"));
            }
            run(&ops.iter().filter(|op| op.1.is_some()).copied().collect::<Vec<_>>(), &mut state);
            Ok(Answer::new("txn_ok").field("txn", answer(&txn, has_lists, &reads)))
        })
    }

    fn run_step_by_step(
        &self,
        request: &Request<'_>,
        txn: Data,
        ops: Vec<MicroOp>,
        cx: &mut Context<'_, Self>,
    ) -> Result<(), RpcError> {
        let (state, has_lists) = (Rc::clone(&self.state), self.has_lists);
        let pauses: Vec<u64> = ops.iter().map(|_| cx.rng().u64(1..20)).collect();
        cx.wait(request, async move |node| {
            let mut reads = Vec::new();
            for (op, pause) in ops.into_iter().zip(pauses) {
                reads.extend(run(&[op], &mut state.borrow_mut()));
                node.sleep(Duration::from_millis(pause)).await;
            }
            Ok(Answer::new("txn_ok").field("txn", answer(&txn, has_lists, &reads)))
        })
    }
}

fn settings(model: Model, faults: &[Fault], seed: u64) -> Settings {
    Settings {
        nodes: 1,
        workers: 6,
        rate: Some(100.0),
        time_limit: Duration::from_secs(20),
        latency: Latency { mean: Duration::from_millis(10), spread: Distribution::Exponential },
        faults: faults.to_vec(),
        fault_interval: Duration::from_secs(2),
        transactions: TxnOptions { models: vec![model], zipf_writes: seed.is_multiple_of(2) },
        seed,
        ..Settings::default()
    }
}

fn test(workload: &'static dyn Workload, way: Way, settings: Settings) -> Results {
    Results::of(&world(workload, way, settings))
}

/// Transactions that each missed what another one wrote.
pub fn write_skew() -> World {
    world(&ListAppend, Way::SnapshotIsolation, settings(Model::Serializable, &[], 1))
}

/// Reads of a list that contradict each other on its order.
pub fn swapped_elements() -> World {
    world(&ListAppend, Way::SwapsElements, settings(Model::ReadCommitted, &[], 1))
}

fn world(workload: &'static dyn Workload, way: Way, settings: Settings) -> World {
    let has_lists = workload.name() == "txn-list-append";
    let mut world = World::new(workload, settings).unwrap();
    simulation::run(&mut world, |_, seed| {
        Box::new(Node::new(Database::new(way, has_lists), Config { seed, ..Config::default() }))
    });
    world
}

/// That the way is found to break the model, by these anomalies, and said in these words.
#[track_caller]
fn assert_caught(workload: &'static dyn Workload, way: Way, model: Model, words: &[&str]) {
    let results = test(workload, way, settings(model, &[], 1));
    let explanation = results.explain().join("\n");
    if std::env::var("SHOW").is_ok() {
        eprintln!("{way:?}, {}:\n{explanation}\n", workload.name());
    }
    assert_eq!(results.verdict, Verdict::Invalid, "{explanation}");
    for word in words {
        assert!(explanation.contains(word), "expected {word:?} in:\n{explanation}");
    }
}

#[test]
fn a_right_node_is_valid_whatever_happens_around_it() {
    for workload in [&ListAppend as &dyn Workload, &RwRegister] {
        for seed in 1..=4 {
            let faults = [Fault::Partition, Fault::Loss, Fault::Duplicate, Fault::Pause];
            let results = test(workload, Way::Right, settings(Model::StrictSerializable, &faults, seed));
            assert_eq!(results.verdict, Verdict::Valid, "seed {seed}: {:?}", results.explain());
        }
    }
}

#[test]
fn snapshot_isolation_is_all_that_a_node_with_write_skew_promises() {
    let results = test(&ListAppend, Way::SnapshotIsolation, settings(Model::SnapshotIsolation, &[], 1));
    assert_eq!(results.verdict, Verdict::Valid, "{:?}", results.explain());
    assert!(results.explain().iter().any(|sentence| sentence.starts_with("G2-item")));
}

/// A register does not show that a write is missing: it may have been written over.
#[test]
fn a_lost_append_is_caught() {
    let words =
        ["not strong-session-read-uncommitted", "which nobody ever read", "client 1 did T1 before T2"];
    assert_caught(&ListAppend, Way::ForgetsWrites, Model::StrictSerializable, &words);
}

#[test]
fn a_dirty_read_of_an_aborted_transaction_is_caught() {
    for workload in [&ListAppend as &dyn Workload, &RwRegister] {
        let words = ["G1a", "which failed", "not read-committed"];
        assert_caught(workload, Way::DoesWhatItAborts, Model::ReadCommitted, &words);
    }
}

#[test]
fn a_stale_read_is_caught() {
    for workload in [&ListAppend as &dyn Workload, &RwRegister] {
        let words = [
            "not strong-session-",
            "G-single-item-realtime",
            "client",
            "did T1 before T2",
            "T2 found",
            "n0 had acknowledged it itself, and did not go by it",
        ];
        assert_caught(workload, Way::ReadsOldStates, Model::StrictSerializable, &words);
        let results = test(workload, Way::ReadsOldStates, settings(Model::Serializable, &[], 1));
        assert_eq!(results.verdict, Verdict::Valid, "{:?}", results.explain());
    }
}

#[test]
fn write_skew_is_caught() {
    let words = [
        "G2-item",
        "each missed what another one of them wrote",
        "not repeatable-read",
        "why: T1 (n0, ",
        "were under way at the same time, and both were acknowledged",
    ];
    assert_caught(&ListAppend, Way::SnapshotIsolation, Model::Serializable, &words);
}

#[test]
fn a_lost_update_is_caught() {
    let words = ["lost-update", "each without the others' element"];
    assert_caught(&ListAppend, Way::NeverLooksAgain, Model::SnapshotIsolation, &words);
    let words = ["lost-update", "each without the others' value"];
    assert_caught(&RwRegister, Way::NeverLooksAgain, Model::SnapshotIsolation, &words);
}

#[test]
fn a_transaction_that_is_seen_half_done_is_caught() {
    let words = ["G1b", "went on to append more to it", "G0"];
    assert_caught(&ListAppend, Way::StepByStep, Model::ReadCommitted, &words);
    assert_caught(
        &RwRegister,
        Way::StepByStep,
        Model::ReadCommitted,
        &["G1b", "went on to write something else"],
    );
}

#[test]
fn an_element_twice_is_caught() {
    let words = ["duplicate-elements", "twice, and it was appended once"];
    assert_caught(&ListAppend, Way::AppendsTwice, Model::ReadUncommitted, &words);
}

#[test]
fn lists_in_different_orders_are_caught() {
    let words = ["incompatible-order", "neither is the beginning of the other"];
    assert_caught(&ListAppend, Way::SwapsElements, Model::ReadCommitted, &words);
}

#[test]
fn a_transaction_that_does_not_see_itself_is_caught() {
    for workload in [&ListAppend as &dyn Workload, &RwRegister] {
        assert_caught(
            workload,
            Way::IgnoresItself,
            Model::ReadAtomic,
            &["internal", "contradicts itself", "and then read"],
        );
    }
}

#[test]
fn something_that_nobody_wrote_is_caught() {
    for workload in [&ListAppend as &dyn Workload, &RwRegister] {
        assert_caught(workload, Way::MakesThingsUp, Model::ReadUncommitted, &["garbage-read", "99999"]);
    }
}

#[test]
fn a_read_of_what_is_appended_only_later_is_caught() {
    let words = ["future-read", "only afterwards"];
    assert_caught(&ListAppend, Way::WritesFirst, Model::ReadCommitted, &words);
}
