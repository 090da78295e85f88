//! Nodes that are broken on purpose, each in the way that a checker is for. A checker that lets its node through checks
//! nothing.

use std::collections::BTreeMap;

use messenger::kv::{Cas, Kv, Lin};
use messenger::node::{Config, Node};
use messenger::workbench::checker::Verdict;
use messenger::workbench::network::{Distribution, Latency};
use messenger::workbench::settings::Settings;
use messenger::workbench::simulation;
use messenger::workbench::verdict::Results;
use messenger::workbench::workload::Workload;
use messenger::workbench::workload::broadcast::Broadcast;
use messenger::workbench::workload::counter::{GCounter, PnCounter};
use messenger::workbench::workload::echo::Echo;
use messenger::workbench::workload::lin_kv::LinKv;
use messenger::workbench::workload::unique_ids::UniqueIds;
use messenger::workbench::world::World;
use messenger::{Context, Duration, Handler, Request, RpcError};

/// Three nodes and six clients, half a minute.
fn settings() -> Settings {
    Settings {
        nodes: 3,
        workers: 6,
        rate: Some(50.0),
        time_limit: Duration::from_secs(30),
        latency: Latency { mean: Duration::from_millis(10), spread: Distribution::Exponential },
        seed: 1,
        ..Settings::default()
    }
}

/// Tests such nodes; the verdict, and the sentences that explain it.
fn test<W: Handler>(workload: &'static dyn Workload, mut node: impl FnMut(usize) -> W) -> (Verdict, String) {
    let mut world = World::new(workload, settings()).unwrap();
    simulation::run(&mut world, |place, seed| {
        Box::new(Node::new(node(place), Config { seed, ..Config::default() }))
    });
    let results = Results::of(&world);
    (results.verdict, results.explain().join("\n"))
}

#[track_caller]
fn assert_caught((verdict, explanation): (Verdict, String), words: &[&str]) {
    assert_eq!(verdict, Verdict::Invalid, "{explanation}");
    for word in words {
        assert!(explanation.contains(word), "expected {word:?} in:\n{explanation}");
    }
}

/// Says something else now and then.
pub struct Mumbler {
    pub echoes: u32,
}

impl Handler for Mumbler {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        self.echoes += 1;
        let reply = cx.reply(request, "echo_ok");
        if self.echoes.is_multiple_of(100) {
            return reply.field("echo", "what?").send();
        }
        reply.field("echo", request.required("echo")?).send()
    }
}

#[test]
fn a_wrong_echo_is_caught() {
    let caught = test(&Echo, |_| Mumbler { echoes: 0 });
    assert_caught(caught, &["Please echo", "what?"]);
}

/// Stops answering after a while.
pub struct Sleeper {
    pub place: usize,
}

impl Handler for Sleeper {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        if self.place == 1 && cx.now().as_micros() > 10_000_000 {
            return Ok(());
        }
        cx.reply(request, "echo_ok").field("echo", request.required("echo")?).send()
    }
}

#[test]
fn a_node_that_falls_silent_is_caught() {
    let caught = test(&Echo, |place| Sleeper { place });
    assert_caught(
        caught,
        &["n1 fell silent: it was asked from 10.", "why: ", "n1 sent nothing to anybody from then on"],
    );
}

/// Counts on its own, and forgets that others do too.
pub struct Counting {
    pub next: u64,
}

impl Handler for Counting {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        self.next += 1;
        cx.reply(request, "generate_ok").field("id", self.next).send()
    }
}

#[test]
fn an_id_that_comes_twice_is_caught() {
    let caught = test(&UniqueIds, |place| Counting { next: 200 * place as u64 });
    assert_caught(
        caught,
        &[
            "the id 401 was given out 3 times, by n2 at ",
            "cannot have heard of that: nothing led there from n2",
        ],
    );
}

/// Handles nothing yet.
struct Unfinished;

impl Handler for Unfinished {
    fn on_request(&mut self, request: &Request<'_>, _: &mut Context<'_, Self>) -> Result<(), RpcError> {
        Err(RpcError::not_supported(request.kind()))
    }
}

#[test]
fn what_a_node_does_not_handle_yet_is_named() {
    let named = "every generate was answered with error 10, not supported";
    let (verdict, explanation) = test(&UniqueIds, |_| Unfinished);
    assert!(verdict != Verdict::Valid && explanation.starts_with(named), "{verdict:?}: {explanation}");
    let (_, explanation) = test(&UniqueIds, |place| Counting { next: 200 * place as u64 });
    assert!(!explanation.contains("not supported"), "{explanation}");
}

/// Keeps what it is told, and tells the others of most of it, once.
pub struct Gossip {
    pub values: Vec<i64>,
    /// Which values it tells nobody.
    pub keeps: fn(i64) -> bool,
    /// It shows an element twice from when it has so many.
    pub shows_twice_at: usize,
    /// It refuses to say what it has, in the end.
    pub refuses: bool,
}

impl Gossip {
    pub const WHOLE: Self =
        Self { values: Vec::new(), keeps: |_| false, shows_twice_at: usize::MAX, refuses: false };
}

impl Handler for Gossip {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "topology" => cx.reply(request, "topology_ok").send(),
            "broadcast" => {
                let value = request.integer("message")?;
                if !(self.keeps)(value) {
                    let others: Vec<String> = cx.cluster().peers().map(str::to_owned).collect();
                    for other in others {
                        cx.call(&other, "tell").field("value", value).forget()?;
                    }
                }
                self.values.push(value);
                cx.reply(request, "broadcast_ok").send()
            }
            "tell" => {
                self.values.push(request.integer("value")?);
                if self.values.len() == self.shows_twice_at {
                    self.values.push(self.values[0]);
                }
                Ok(())
            }
            _ if self.refuses && cx.now().as_micros() > 35_000_000 => {
                Err(RpcError::temporarily_unavailable("not now"))
            }
            _ => cx.reply(request, "read_ok").field("messages", &self.values).send(),
        }
    }
}

#[test]
fn a_broadcast_that_works_is_let_through() {
    let (verdict, explanation) = test(&Broadcast, |_| Gossip::WHOLE);
    assert_eq!(verdict, Verdict::Valid, "{explanation}");
}

#[test]
fn a_lost_broadcast_is_caught() {
    let caught = test(&Broadcast, |_| Gossip { keeps: |value| value == 77, ..Gossip::WHOLE });
    assert_caught(caught, &["77 is lost: it was known to be added at "]);
}

#[test]
fn an_element_that_is_shown_twice_is_caught() {
    let caught = test(&Broadcast, |_| Gossip { shows_twice_at: 40, ..Gossip::WHOLE });
    assert_caught(caught, &["is 2 times in the answer of n", "why: n", " has it twice all the same"]);
}

/// Keeps what it is told to itself.
#[derive(Default)]
pub struct Hermit(Vec<i64>);

impl Handler for Hermit {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "broadcast" => {
                self.0.push(request.integer("message")?);
                cx.reply(request, "broadcast_ok").send()
            }
            "read" => cx.reply(request, "read_ok").field("messages", &self.0).send(),
            _ => cx.reply(request, "topology_ok").send(),
        }
    }
}

#[test]
fn nodes_that_never_speak_to_each_other_are_told_just_that() {
    let (verdict, explanation) = test(&Broadcast, |_| Hermit::default());
    assert_eq!(verdict, Verdict::Invalid);
    assert_eq!(explanation, "no node ever sent another a message: what one is told, the others cannot know");
}

#[test]
fn what_nobody_could_read_in_the_end_is_not_called_valid() {
    let (verdict, explanation) = test(&Broadcast, |_| Gossip { refuses: true, ..Gossip::WHOLE });
    assert_ne!(verdict, Verdict::Valid, "{explanation}");
    assert!(explanation.contains("no final read of n2 succeeded"), "{explanation}");
}

/// Adds up what it is told, and forgets some of it; it never asks the others.
#[derive(Default)]
pub struct Forgetful {
    sum: i64,
    adds: u32,
}

impl Handler for Forgetful {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        if request.kind() == "read" {
            return cx.reply(request, "read_ok").field("value", self.sum).send();
        }
        let delta = request.integer("delta")?;
        self.adds += 1;
        if !self.adds.is_multiple_of(10) {
            self.sum += delta;
        }
        cx.reply(request, "add_ok").send()
    }
}

#[test]
fn a_counter_that_forgets_is_caught() {
    let workloads: [&dyn Workload; 2] = [&GCounter, &PnCounter];
    for workload in workloads {
        assert_caught(
            test(workload, |_| Forgetful::default()),
            &[
                "the final read of n0 at 40.000 s returned ",
                ", but the acknowledged adds",
                "why: n0 cannot have heard of ",
                "more is missing of what it had acknowledged itself",
            ],
        );
    }
}

/// Asks the service once about each key, and believes it for ever.
#[derive(Default)]
pub struct Believer {
    known: BTreeMap<i64, i64>,
}

impl Handler for Believer {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let key = request.integer("key")?;
        match request.kind() {
            "read" => {
                if let Some(value) = self.known.get(&key) {
                    return cx.reply(request, "read_ok").field("value", value).send();
                }
                cx.wait(request, async move |node| {
                    let value: i64 = Kv::<Lin, Self>::new(&node).read(key).await?;
                    node.with(move |this: &mut Self, _| this.known.insert(key, value)).await;
                    Ok(messenger::Answer::new("read_ok").field("value", value))
                })
            }
            "write" => {
                let value = request.integer("value")?;
                cx.wait(request, async move |node| {
                    Kv::<Lin, Self>::new(&node).write(key, value).await?;
                    Ok(messenger::Answer::new("write_ok"))
                })
            }
            _ => {
                let (from, to) = (request.integer("from")?, request.integer("to")?);
                cx.wait(request, async move |node| {
                    match Kv::<Lin, Self>::new(&node).cas(key, from, to).await? {
                        Cas::Swapped => Ok(messenger::Answer::new("cas_ok")),
                        _ => Err(RpcError::precondition_failed("it is something else")),
                    }
                })
            }
        }
    }
}

#[test]
fn a_stale_read_is_caught() {
    let words = ["read", "order", "why: read of n", "n2 had acknowledged it itself, and did not go by it"];
    assert_caught(test(&LinKv, |_| Believer::default()), &words);
}

/// Answers `echo` with a field that no answer has.
pub struct Chatty;

impl Handler for Chatty {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let reply = cx.reply(request, "echo_ok").field("echo", request.required("echo")?);
        reply.field("by_the_way", 1).send()
    }
}

#[test]
fn an_answer_with_a_field_too_many_is_caught() {
    let words = ["expected no fields but type, in_reply_to, msg_id, echo", "by_the_way"];
    assert_caught(test(&Echo, |_| Chatty), &words);
}
