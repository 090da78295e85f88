//! The report says why a node did not know something, from what became of the messages that carried it; and of a right
//! node it says nothing.

use std::collections::BTreeMap;

use messenger::node::{Config, Node};
use messenger::nodes::own;
use messenger::workbench::checker::Verdict;
use messenger::workbench::checker::models::Model;
use messenger::workbench::data::Data;
use messenger::workbench::settings::{Settings, TxnOptions};
use messenger::workbench::simulation;
use messenger::workbench::verdict::Results;
use messenger::workbench::workload::broadcast::Broadcast;
use messenger::workbench::workload::counter::{GCounter, PnCounter};
use messenger::workbench::workload::echo::Echo;
use messenger::workbench::workload::kafka::Kafka;
use messenger::workbench::workload::lin_kv::LinKv;
use messenger::workbench::workload::rw_register::RwRegister;
use messenger::workbench::workload::unique_ids::UniqueIds;
use messenger::workbench::workload::{self, Workload};
use messenger::workbench::world::World;
use messenger::{Context, Duration, ErrorCode, Handler, Policy, Request, RpcError};

/// Tells others what it was told, once and without waiting for an answer.
struct TellOnce {
    values: Vec<i64>,
    /// Whom it tells.
    tells: fn(&str) -> bool,
    /// Values that it forgets.
    forgets: fn(i64) -> bool,
}

impl TellOnce {
    const ALL: Self = Self { values: Vec::new(), tells: |_| true, forgets: |_| false };
}

impl Handler for TellOnce {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "broadcast" | "told" => {
                let value = request.integer("message")?;
                if !(self.forgets)(value) {
                    self.values.push(value);
                }
                if request.kind() == "told" {
                    return Ok(());
                }
                let peers: Vec<String> =
                    cx.cluster().peers().filter(|peer| (self.tells)(peer)).map(str::to_owned).collect();
                for peer in peers {
                    cx.message(&peer, "told").field("message", value).send()?;
                }
                cx.reply(request, "broadcast_ok").send()
            }
            "topology" => cx.reply(request, "topology_ok").send(),
            "read" => cx.reply(request, "read_ok").field("messages", &self.values).send(),
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}

fn test<H: Handler>(fault: &str, mut node: impl FnMut(usize) -> H) -> Results {
    let settings = Settings {
        nodes: 3,
        workers: 3,
        rate: Some(20.0),
        time_limit: Duration::from_secs(10),
        planned_faults: if fault.is_empty() { Vec::new() } else { vec![fault.parse().unwrap()] },
        seed: 3,
        ..Settings::default()
    };
    let mut world = World::new(&Broadcast, settings).unwrap();
    simulation::run(&mut world, |place, seed| {
        Box::new(Node::new(node(place), Config { seed, ..Config::default() }))
    });
    Results::of(&world)
}

fn sentences(results: &Results) -> String {
    results.why.iter().map(|why| &*why.sentence).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn assert_why(results: &Results, words: &[&str]) {
    assert_eq!(results.verdict, Verdict::Invalid, "{:?}", results.explain());
    let why = sentences(results);
    for word in words {
        assert!(why.contains(word), "expected {word:?} in:\n{why}\n{:?}", results.explain());
    }
}

#[test]
fn a_message_that_a_partition_swallowed() {
    let results = test("partition n0,n1|n2 at 3s for 2s", |_| TellOnce::ALL);
    assert_why(
        &results,
        &[" once, at ", "the partition ", "(3.000 s to 5.000 s) swallowed it; it was not sent there again"],
    );
}

#[test]
fn a_message_that_the_network_lost() {
    let results = test("loss 0.5 at 2s for 4s", |_| TellOnce::ALL);
    assert_why(&results, &[" once, at ", "the network lost it"]);
}

#[test]
fn a_node_that_nobody_told() {
    let results = test("", |_| TellOnce { tells: |peer| peer == "n1", ..TellOnce::ALL });
    assert_why(&results, &["nobody sent n2 a message with ", "such messages went to n1"]);
}

#[test]
fn a_node_that_was_told_and_forgot() {
    let forgets = |place| if place == 1 { |value| value % 10 == 7 } else { |_| false };
    let results = test("", |place| TellOnce { forgets: forgets(place), ..TellOnce::ALL });
    assert_why(&results, &["and n1 did not keep it"]);
}

#[test]
fn a_node_that_was_killed_and_had_it_in_memory_alone() {
    let results = test("kill n1 at 4s for 1s", |_| TellOnce::ALL);
    assert_why(&results, &["n1 was killed at 4.000 s, and came back without what it had in memory"]);
}

#[test]
fn of_a_right_node_nothing_is_said() {
    let results =
        test("partition n0,n1|n2 at 3s for 2s", |_| messenger::nodes::broadcast::Broadcast::default());
    assert_eq!((results.verdict, results.why.len()), (Verdict::Valid, 0), "{:?}", results.explain());
}

/// Tells others of what it was asked to write, once, and goes by what it has. What it keeps and how it says it is for
/// each workload.
struct Copies<S> {
    state: S,
    place: usize,
    /// Whom it tells.
    tells: fn(&str) -> bool,
    /// Writes a key and a value in words of its own.
    is_obscure: bool,
}

impl<S: Default> Copies<S> {
    fn new(place: usize) -> Self {
        Self { state: S::default(), place, tells: |_| true, is_obscure: false }
    }

    fn tell(&self, cx: &mut Context<'_, Self>, key: i64, value: i64) -> Result<(), RpcError>
    where
        Self: Handler,
    {
        for peer in cx.peers().filter(|peer| (self.tells)(peer)) {
            let message = cx.message(&peer, "told");
            if self.is_obscure {
                message.field("text", format!("{key}<-{value}")).send()?;
            } else {
                message.field("key", key).field("value", value).send()?;
            }
        }
        Ok(())
    }
}

/// The key and the value that somebody told.
fn told(request: &Request<'_>) -> Result<(i64, i64), RpcError> {
    if let Ok(text) = request.string("text") {
        let (key, value) = text.split_once("<-").unwrap();
        return Ok((key.parse().unwrap(), value.parse().unwrap()));
    }
    Ok((request.integer("key")?, request.integer("value")?))
}

type Registers = BTreeMap<i64, i64>;

impl Handler for Copies<Registers> {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        if request.kind() == "told" {
            let (key, value) = told(request)?;
            self.state.insert(key, value);
            return Ok(());
        }
        if request.kind() == "txn" {
            return self.transaction(request, cx);
        }
        let key = request.integer("key")?;
        let now = self.state.get(&key).copied();
        let value = match request.kind() {
            "read" => {
                let value = now.ok_or_else(|| RpcError::new(ErrorCode::KEY_DOES_NOT_EXIST, "nothing"))?;
                return cx.reply(request, "read_ok").field("value", value).send();
            }
            "write" => request.integer("value")?,
            _ if now != Some(request.integer("from")?) => {
                return Err(RpcError::precondition_failed("it is something else"));
            }
            _ => request.integer("to")?,
        };
        self.state.insert(key, value);
        self.tell(cx, key, value)?;
        cx.reply(request, &format!("{}_ok", request.kind())).send()
    }
}

impl Copies<Registers> {
    fn transaction(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let mut done = Vec::new();
        for op in Data::from(request.required("txn")?).items() {
            let [f, key, value] = [0, 1, 2].map(|place| op.item(place).unwrap().into_owned());
            let name = key.as_int().unwrap();
            let value = match value.as_int() {
                Some(written) => {
                    self.state.insert(name, written);
                    self.tell(cx, name, written)?;
                    value
                }
                None => self.state.get(&name).map_or(Data::Null, |value| Data::Int(*value)),
            };
            done.push(Data::list([f, key, value]));
        }
        cx.reply(request, "txn_ok").field("txn", Data::List(done)).send()
    }
}

/// For each key its messages by their offsets.
type Logs = BTreeMap<i64, BTreeMap<i64, i64>>;

impl Handler for Copies<Logs> {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "told" => {
                let (key, value) = told(request)?;
                let log = self.state.entry(key).or_default();
                let next = end(log);
                log.entry(next).or_insert(value);
                Ok(())
            }
            "send" => {
                let (key, value) = (request.string("key")?.parse().unwrap(), request.integer("msg")?);
                let log = self.state.entry(key).or_default();
                let offset = end(log);
                log.insert(offset, value);
                self.tell(cx, key, value)?;
                cx.reply(request, "send_ok").field("offset", offset).send()
            }
            "poll" => {
                let asked = request.object("offsets")?.as_object().into_iter().flatten();
                let asked =
                    asked.filter_map(|(key, from)| Some((key.as_str()?.parse().ok()?, from.as_i64()?)));
                let list = |(key, from): (i64, i64)| {
                    let log = self.state.get(&key)?;
                    let list: Vec<(i64, i64)> = log.range(from..).map(|(at, of)| (*at, *of)).collect();
                    (!list.is_empty()).then_some((key.to_string(), list))
                };
                let lists: BTreeMap<String, Vec<(i64, i64)>> = asked.filter_map(list).collect();
                cx.reply(request, "poll_ok").field("msgs", &lists).send()
            }
            "commit_offsets" => cx.reply(request, "commit_offsets_ok").send(),
            _ => {
                let none: BTreeMap<String, i64> = BTreeMap::new();
                cx.reply(request, "list_committed_offsets_ok").field("offsets", &none).send()
            }
        }
    }
}

/// The offset after the last, in a log without gaps.
fn end(log: &BTreeMap<i64, i64>) -> i64 {
    i64::try_from(log.len()).unwrap()
}

/// A sum.
impl Handler for Copies<i64> {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "told" => {
                self.state += told(request)?.1;
                Ok(())
            }
            "add" => {
                let delta = request.integer("delta")?;
                self.state += delta;
                self.tell(cx, 0, delta)?;
                cx.reply(request, "add_ok").send()
            }
            _ => cx.reply(request, "read_ok").field("value", self.state).send(),
        }
    }
}

/// Gives out the numbers from where it begins.
impl Handler for Copies<u64> {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        self.state += 1;
        cx.reply(request, "generate_ok").field("id", self.state + 10 * self.place as u64).send()
    }
}

/// Asks a neighbour for leave before it answers, and answers nothing while it waits for that.
#[derive(Default)]
struct Polite {
    place: usize,
    waits: bool,
}

impl Handler for Polite {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "may_i" => cx.reply(request, "you_may").send(),
            _ if self.waits => Ok(()),
            _ => {
                if self.place == 1 {
                    self.waits = true;
                    let call = cx.call("n2", "may_i").policy(Policy::once(Duration::from_secs(100)));
                    call.then(|this: &mut Self, _, _| this.waits = false)?;
                }
                cx.reply(request, "echo_ok").field("echo", request.required("echo")?).send()
            }
        }
    }
}

fn test_of<H: Handler>(
    workload: &'static dyn Workload,
    faults: &[&str],
    node: impl FnMut(usize) -> H,
) -> Results {
    Results::of(&world_of(workload, faults, node))
}

fn world_of<H: Handler>(
    workload: &'static dyn Workload,
    faults: &[&str],
    mut node: impl FnMut(usize) -> H,
) -> World {
    let settings = Settings {
        nodes: 3,
        workers: 6,
        rate: Some(50.0),
        time_limit: Duration::from_secs(10),
        planned_faults: faults.iter().map(|fault| fault.parse().unwrap()).collect(),
        seed: 3,
        ..Settings::default()
    };
    let mut world = World::new(workload, settings).unwrap();
    simulation::run(&mut world, |place, seed| {
        Box::new(Node::new(node(place), Config { seed, ..Config::default() }))
    });
    world
}

/// A log of which a message was lost: a partition kept it from the others, and its node was killed.
pub fn lost_message() -> World {
    let faults = ["partition n0|n1,n2 at 3s for 2s", "kill n0 at 4s for 500ms"];
    world_of(&Kafka, &faults, Copies::<Logs>::new)
}

const CUT: &str = "partition n0,n1|n2 at 3s for 2s";

#[test]
fn what_the_network_doubled_and_the_node_took_twice() {
    let results = test("duplicate 0.5 at 2s for 4s", |_| TellOnce::ALL);
    assert_why(&results, &["the network doubled what n", "it arrived at ", ", and n", " took it twice"]);
}

#[test]
fn a_stale_read_of_a_register_whose_news_a_partition_swallowed() {
    let results = test_of(&LinKv, &[CUT], Copies::<Registers>::new);
    assert_why(
        &results,
        &[
            " is without the ",
            " acknowledged at ",
            " told n",
            "the partition n0,n1|n2 (3.000 s to 5.000 s) swallowed it; it was not sent there again",
        ],
    );
}

#[test]
fn a_stale_read_whose_news_cannot_have_arrived_in_whatever_words() {
    let node = |place| Copies::<Registers> { is_obscure: true, ..Copies::new(place) };
    let results = test_of(&LinKv, &[CUT], node);
    let cannot = [
        "cannot have heard of it: nothing that n",
        "had arrived; the last of it was told, from n",
        "swallowed it; n",
    ];
    assert_why(&results, &cannot);
    assert_why(&results, &[" asked nobody before it answered"]);
}

/// That it was told in words of its own cannot be seen, and that it was not cannot either.
#[test]
fn of_words_that_cannot_be_read_nothing_is_claimed() {
    let node =
        |place| Copies::<Registers> { is_obscure: true, tells: |peer| peer != "n2", ..Copies::new(place) };
    let results = test_of(&LinKv, &["slow n0->n1 500ms at 0s"], node);
    assert_eq!(results.verdict, Verdict::Invalid);
    for why in &results.why {
        assert!(why.sentence.contains("cannot have heard") || why.sentence.contains("itself"), "{why:?}");
    }
}

#[test]
fn a_stale_read_of_a_service_that_was_told() {
    let mut world = World::new(
        &LinKv,
        Settings { nodes: 3, workers: 6, rate: Some(50.0), seed: 3, ..Settings::default() },
    )
    .unwrap();
    assert!(own::simulate_planted(&mut world));
    let results = Results::of(&world);
    assert_why(&results, &[" asked seq-kv at ", ", and was answered with ", "seq-kv had been sent it by n"]);
}

#[test]
fn a_message_of_a_log_that_was_lost_and_offsets_that_were_given_twice() {
    let results = Results::of(&lost_message());
    assert_why(
        &results,
        &["is without message ", " told n", "the partition n0|n1,n2 (3.000 s to 5.000 s) swallowed it"],
    );
    assert_why(&results, &[" gave out offset ", "cannot have heard of that: nothing led there from n"]);
    assert_why(
        &results,
        &["n0 had acknowledged it itself; n0 was killed at 4.000 s, and came back without what it had"],
    );
    let results = test_of(&Kafka, &["kill n0 at 4s for 500ms"], |place| Copies::<Logs> {
        tells: |_| false,
        ..Copies::new(place)
    });
    assert_why(
        &results,
        &["n0 had acknowledged it itself; n0 was killed at 4.000 s, and came back without what it had"],
    );
}

#[test]
fn a_sum_without_the_adds_that_a_node_cannot_have_heard_of() {
    for workload in [&GCounter as &dyn Workload, &PnCounter] {
        let node = |place| Copies::<i64> { tells: |peer| peer != "n2", ..Copies::new(place) };
        let results = test_of(workload, &[], node);
        assert_why(
            &results,
            &[
                "n2 cannot have heard of ",
                " adds that n0 and n1 acknowledged from ",
                "which is what is missing",
            ],
        );
    }
    let results = test_of(&GCounter, &["kill n1 at 8s for 1s"], |place| Copies::<i64> {
        tells: |_| false,
        ..Copies::new(place)
    });
    assert_why(&results, &["more is missing of what it had acknowledged itself: it was killed at 8.000 s"]);
}

#[test]
fn a_transaction_that_is_without_what_another_one_wrote() {
    let results = test_of(&RwRegister, &[CUT], Copies::<Registers>::new);
    assert_why(&results, &["txn of n", " is without w ", "(3.000 s to 5.000 s) swallowed it"]);
}

#[test]
fn an_id_that_nodes_gave_out_which_do_not_know_of_each_other() {
    let results = test_of(&UniqueIds, &[], Copies::<u64>::new);
    assert_why(&results, &[" gave out ", " cannot have heard of that: nothing led there from n"]);
    let results = test_of(&UniqueIds, &["kill n1 at 4s for 1s"], |place| Copies::<u64>::new(100 * place));
    assert_why(
        &results,
        &["n1 gave out 10", "was killed at 4.000 s, and came back without knowing that it had"],
    );
}

#[test]
fn a_silent_node_that_waits_for_an_answer() {
    let results = test_of(&Echo, &["partition n1|n2 at 3s for 2s"], |place| Polite { place, waits: false });
    assert_why(
        &results,
        &[
            "n1 asked n2 at 3.",
            " (may_i), and got no answer: the partition n1|n2 (3.000 s to 5.000 s) swallowed it",
            "the first that it did not answer itself is echo of c",
        ],
    );
}

#[test]
fn of_right_nodes_nothing_is_said_whatever_the_workload() {
    for workload in workload::ALL {
        let mut world = World::new(
            workload,
            Settings {
                nodes: 3,
                workers: 6,
                rate: Some(50.0),
                time_limit: Duration::from_secs(5),
                planned_faults: vec!["partition n0|n1,n2 at 1s for 1s".parse().unwrap()],
                transactions: TxnOptions { models: vec![Model::ReadAtomic], zipf_writes: false },
                seed: 5,
                ..Settings::default()
            },
        )
        .unwrap();
        assert!(own::simulate(&mut world));
        let results = Results::of(&world);
        assert_eq!((results.verdict, &results.why[..]), (Verdict::Valid, &[][..]), "{:?}", results.explain());
    }
}
