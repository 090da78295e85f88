//! Logs: a right node through everything that may go wrong, and nodes broken on purpose, each in the way that an anomaly
//! is for.

use std::collections::BTreeMap;

use messenger::node::{Config, Node};
use messenger::nodes::own;
use messenger::wire::error::{ErrorCode, RpcError};
use messenger::workbench::checker::Verdict;
use messenger::workbench::checker::stats::Availability;
use messenger::workbench::fault::Fault;
use messenger::workbench::network::{Distribution, Latency};
use messenger::workbench::settings::Settings;
use messenger::workbench::simulation;
use messenger::workbench::verdict::Results;
use messenger::workbench::workload::kafka::Kafka;
use messenger::workbench::world::World;
use messenger::{Context, Duration, Handler, Request};

/// What is wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    Nothing,
    LosesWrites,
    ReusesOffsets,
    StoresTwice,
    LeavesOut,
    TurnsAround,
    GoesBack,
    Invents,
    HidesTheNewest,
    RefusesButStores,
    InsertsBefore,
    AnswersUnasked,
    MakesUpCommits,
    RefusesCommits,
    IgnoresCommits,
    /// That is none.
    Trickles,
    IgnoresLists,
    RefusesLists,
    ForgetsToSkip,
    Ignores,
}

/// A node that is alone and keeps its logs in memory. Its offsets have gaps.
#[derive(Debug)]
struct Logs {
    flaw: Flaw,
    by_key: BTreeMap<String, BTreeMap<i64, i64>>,
    committed: BTreeMap<String, i64>,
    requests: u64,
}

impl Logs {
    fn new(flaw: Flaw) -> Self {
        Self { flaw, by_key: BTreeMap::new(), committed: BTreeMap::new(), requests: 0 }
    }

    fn send(&mut self, key: String, message: i64, is_odd: bool) -> Result<i64, RpcError> {
        let log = self.by_key.entry(key).or_default();
        let last = log.last_key_value().map(|(offset, _)| *offset);
        let next = last.map_or(7, |last| last + 10);
        match self.flaw {
            Flaw::LosesWrites if is_odd => return Ok(next - 5),
            Flaw::ReusesOffsets if is_odd && last.is_some() => {
                log.insert(next - 10, message);
                return Ok(next - 10);
            }
            Flaw::InsertsBefore if is_odd && last.is_some() => {
                log.insert(next - 15, message);
                return Ok(next - 15);
            }
            Flaw::StoresTwice if is_odd => drop(log.insert(next + 1, message)),
            _ => {}
        }
        log.insert(next, message);
        if self.flaw == Flaw::RefusesButStores && is_odd {
            return Err(RpcError::temporarily_unavailable("try again later"));
        }
        Ok(next)
    }

    fn poll(&self, key: &str, from: i64, is_odd: bool) -> Vec<(i64, i64)> {
        let Some(log) = self.by_key.get(key) else { return Vec::new() };
        let from = match self.flaw {
            Flaw::GoesBack if is_odd => from - 10,
            Flaw::ForgetsToSkip => {
                log.range(from..).nth(1).map_or(from, |(next, _)| if is_odd { *next } else { from })
            }
            _ => from,
        };
        let mut list: Vec<_> =
            log.range(from..).take(8).map(|(&offset, &message)| (offset, message)).collect();
        match self.flaw {
            Flaw::LeavesOut if list.len() > 2 && is_odd => drop(list.remove(1)),
            Flaw::TurnsAround if is_odd => list.reverse(),
            Flaw::Invents if is_odd => list.push((list.last().map_or(from, |last| last.0 + 1), 1_000_000)),
            Flaw::HidesTheNewest => {
                let newest = log.last_key_value().map(|(offset, _)| *offset);
                list.retain(|(offset, _)| Some(*offset) != newest);
            }
            _ => {}
        }
        list
    }
}

impl Handler for Logs {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        self.requests += 1;
        let is_odd = self.requests.is_multiple_of(7);
        if self.flaw == Flaw::Ignores {
            return Ok(());
        }
        let offsets = || -> Result<Vec<(String, i64)>, RpcError> {
            let members = request.object("offsets")?.as_object().into_iter().flatten();
            Ok(members
                .filter_map(|(key, offset)| Some((key.as_str()?.into_owned(), offset.as_i64()?)))
                .collect())
        };
        match request.kind() {
            "send" => {
                let (key, message) = (request.string("key")?.into_owned(), request.integer("msg")?);
                let offset = self.send(key, message, is_odd)?;
                cx.reply(request, "send_ok").field("offset", offset).send()
            }
            "poll" => {
                let mut asked = offsets()?;
                if self.flaw == Flaw::AnswersUnasked && is_odd {
                    asked = self.by_key.keys().map(|key| (key.clone(), 0)).collect();
                }
                let lists = asked.into_iter().map(|(key, from)| {
                    let list = self.poll(&key, from, is_odd);
                    (key, list)
                });
                let mut lists: BTreeMap<String, Vec<(i64, i64)>> =
                    lists.filter(|(_, list)| !list.is_empty()).collect();
                if self.flaw == Flaw::Trickles {
                    lists = lists.into_iter().take(1).collect();
                    for list in lists.values_mut() {
                        list.truncate(1);
                    }
                }
                cx.reply(request, "poll_ok").field("msgs", &lists).send()
            }
            "commit_offsets" => {
                if self.flaw == Flaw::IgnoresCommits {
                    return Ok(());
                }
                if self.flaw == Flaw::RefusesCommits {
                    return Err(RpcError::new(ErrorCode::TXN_CONFLICT, "somebody else commits"));
                }
                for (key, offset) in offsets()? {
                    let committed = self.committed.entry(key).or_default();
                    *committed = offset.max(*committed);
                }
                cx.reply(request, "commit_offsets_ok").send()
            }
            "list_committed_offsets" if self.flaw == Flaw::IgnoresLists => Ok(()),
            "list_committed_offsets" if self.flaw == Flaw::RefusesLists => {
                Err(RpcError::not_supported("list_committed_offsets"))
            }
            "list_committed_offsets" => {
                let keys = request.array("keys")?.as_array().into_iter().flatten();
                let keys = keys.filter_map(|key| Some(key.as_str()?.into_owned()));
                let more = if self.flaw == Flaw::MakesUpCommits && is_odd { 1_000 } else { 0 };
                let committed: BTreeMap<String, i64> =
                    keys.filter_map(|key| Some((key.clone(), self.committed.get(&key)? + more))).collect();
                cx.reply(request, "list_committed_offsets_ok").field("offsets", &committed).send()
            }
            other => Err(RpcError::not_supported(other)),
        }
    }
}

fn settings(seed: u64) -> Settings {
    Settings {
        nodes: 1,
        workers: 4,
        rate: Some(50.0),
        time_limit: Duration::from_secs(20),
        latency: Latency { mean: Duration::from_millis(5), spread: Distribution::Exponential },
        seed,
        ..Settings::default()
    }
}

fn test(settings: Settings, flaw: Flaw) -> (Results, World) {
    let mut world = World::new(&Kafka, settings).unwrap();
    simulation::run(&mut world, |_, seed| {
        Box::new(Node::new(Logs::new(flaw), Config { seed, ..Config::default() }))
    });
    (Results::of(&world), world)
}

#[test]
fn a_right_node_is_valid_whatever_happens_but_its_death() {
    for seed in 0..40 {
        let faults = Fault::ALL.into_iter().filter(|fault| *fault != Fault::Kill).collect();
        let (results, _) = test(Settings { faults, ..settings(seed) }, Flaw::Nothing);
        assert_eq!(results.verdict, Verdict::Valid, "seed {seed}:\n{}", results.explain().join("\n"));
    }
}

/// It loses its memory: the checker has to see that.
#[test]
fn a_node_that_dies_loses_messages() {
    let faults = vec![Fault::Kill];
    let fault_interval = Duration::from_secs(3);
    let (results, _) = test(Settings { faults, fault_interval, ..settings(1) }, Flaw::Nothing);
    assert_eq!(results.verdict, Verdict::Invalid);
}

#[test]
fn all_kinds_of_operations_happen_and_every_message_is_polled_in_the_end() {
    let (results, world) = test(settings(1), Flaw::Nothing);
    assert_eq!(results.verdict, Verdict::Valid, "{:?}", results.explain());
    for f in ["send", "poll", "assign"] {
        assert!(results.stats.kinds[f].ok > 50, "{f}: {:?}", results.stats.kinds[f]);
    }
    let details = results.finding.json();
    assert_eq!(details["sent"], details["polled"], "{details}");
    assert!(details["commits_ok"].as_u64() > Some(50), "{details}");
    let crashes = world.history().iter().filter(|invocation| invocation.operation.f == "crash").count();
    assert!(crashes > world.settings().workers, "{crashes} crashes, of which each client has one at the end");
    // Half of the assigns begin where messages were committed; some of them later than at 0.
    let from_committed = world.history().iter().filter(|invocation| {
        let answer = invocation.answer().map(ToString::to_string).unwrap_or_default();
        invocation.operation.f == "assign"
            && answer.contains("\"from\":\"committed\"")
            && !answer.contains("\"committed\":{}")
    });
    assert!(from_committed.count() > 10);
}

#[test]
fn every_flaw_is_found_by_its_name_and_said_in_a_sentence() {
    for (flaw, name, sentence, why) in [
        (
            Flaw::LosesWrites,
            "lost-write",
            "it is lost",
            "n0 had acknowledged it itself, and did not go by it",
        ),
        (Flaw::ReusesOffsets, "inconsistent-offsets", "two messages are at offset", ""),
        (
            Flaw::StoresTwice,
            "duplicate",
            "is in the log twice, at offset",
            "n0 was asked once to write message ",
        ),
        (
            Flaw::LeavesOut,
            "int-poll-skip",
            "one poll (process",
            "n0 had acknowledged it itself, and did not go by it",
        ),
        (Flaw::TurnsAround, "int-nonmonotonic-poll", "which does not come after it", ""),
        (Flaw::GoesBack, "nonmonotonic-poll", "which it had passed already", ""),
        (Flaw::GoesBack, "below-requested-offset", "and what follows, and was given", ""),
        (Flaw::Invents, "phantom", "but nobody ever sent it", ""),
        (
            Flaw::HidesTheNewest,
            "unseen",
            "no poll had returned it by the end of the test",
            "n0 had acknowledged it itself, and did not go by it",
        ),
        (Flaw::RefusesButStores, "G1a", "but its send had failed", ""),
        (Flaw::InsertsBefore, "nonmonotonic-send", "where its earlier message", ""),
        (Flaw::AnswersUnasked, "unasked-key", "had not asked for this key", ""),
        (Flaw::MakesUpCommits, "commit-from-nowhere", "was said to be committed", ""),
        (
            Flaw::ForgetsToSkip,
            "poll-skip",
            "it was never given",
            "n0 had acknowledged it itself, and did not go by it",
        ),
    ] {
        let (results, _) = test(settings(1), flaw);
        let explanation = results.explain().join("\n");
        assert_eq!(results.verdict, Verdict::Invalid, "{flaw:?}");
        assert!(results.finding.anomalies().contains(&name.to_owned()), "{flaw:?}:\n{explanation}");
        let of_kind = explanation.lines().find(|line| line.starts_with(&format!("{name}: key ")));
        assert!(of_kind.is_some_and(|line| line.contains(sentence)), "{flaw:?}:\n{explanation}");
        let is_told = results.why.iter().any(|of| of.sentence.contains(why));
        assert!(why.is_empty() || is_told, "{flaw:?}: {why} is not in\n{explanation}");
    }
}

#[test]
fn commits_that_are_all_refused_are_an_error_of_the_node_but_not_of_its_polls() {
    let (results, _) = test(settings(1), Flaw::RefusesCommits);
    let explanation = results.explain().join("\n");
    assert_eq!((results.verdict, results.finding.anomalies()), (Verdict::Invalid, vec![]), "{explanation}");
    assert!(explanation.contains("commit_offsets succeeded"), "{explanation}");
}

/// What its polls returned was seen all the same.
#[test]
fn commits_that_are_never_answered_are_an_error_of_the_node_but_not_of_its_polls() {
    for seed in 0..10 {
        let (results, _) = test(settings(seed), Flaw::IgnoresCommits);
        let explanation = results.explain().join("\n");
        assert_eq!(
            (results.verdict, results.finding.anomalies()),
            (Verdict::Invalid, vec![]),
            "{explanation}"
        );
        assert!(explanation.contains("commit_offsets succeeded"), "{explanation}");
    }
}

/// A poll may return as few messages as the node likes. There is time for all of them in the end, however many they are.
#[test]
fn a_node_that_returns_one_message_at_a_time_is_valid() {
    let settings = Settings { rate: Some(300.0), faults: Vec::new(), ..settings(1) };
    let (results, world) = test(settings, Flaw::Trickles);
    assert_eq!(results.verdict, Verdict::Valid, "{:?}", results.explain());
    let sent = world.history().iter().filter(|of| of.operation.f == "send" && of.answer().is_some()).count();
    assert!(sent > 1_000, "more than there is time for if each poll waits: {sent}");
}

/// It is still asked to send and poll, and judged by that.
#[test]
fn a_node_that_never_tells_what_was_committed_is_not_called_valid_and_its_logs_are_judged() {
    for flaw in [Flaw::IgnoresLists, Flaw::RefusesLists] {
        let (results, _) = test(settings(1), flaw);
        let explanation = results.explain().join("\n");
        assert_eq!(
            (results.verdict, results.finding.anomalies()),
            (Verdict::Unknown, vec![]),
            "{explanation}"
        );
        assert!(explanation.contains("list_committed_offsets succeeded, so nobody knows"), "{explanation}");
        let ok = |kind: &str| results.stats.kinds.get(kind).map_or(0, |counts| counts.ok);
        assert!(ok("send") > 10 && ok("poll") > 10, "{explanation}");
    }
}

#[test]
fn a_node_that_ignores_everything_is_invalid() {
    let (results, _) = test(settings(1), Flaw::Ignores);
    assert_eq!(results.verdict, Verdict::Invalid, "{:?}", results.explain());
}

#[test]
fn a_broken_log_is_drawn() {
    let (results, world) = test(settings(1), Flaw::ReusesOffsets);
    let pictures = results.finding.pictures(world.history());
    assert!(pictures.iter().any(|picture| picture.file.starts_with("log-")), "{pictures:?}");
    for file in ["unseen.svg", "lag-by-client.svg", "lag-by-key.svg"] {
        assert!(pictures.iter().any(|picture| picture.file == file), "{file}");
    }
    for picture in pictures {
        roxmltree::Document::parse(&picture.svg).unwrap();
    }
}

/// Exercise 5c of Gossip Glomers: two nodes, 1,000 operations a second; also while they cannot reach each other.
#[test]
fn own_nodes_answer_everything_with_few_messages() {
    for faults in [vec![], vec![Fault::Partition]] {
        let settings = Settings {
            nodes: 2,
            workers: 4,
            rate: Some(1_000.0),
            faults: faults.clone(),
            fault_interval: Duration::from_secs(4),
            availability: Availability::Total,
            ..settings(1)
        };
        let mut world = World::new(&Kafka, settings).unwrap();
        assert!(own::simulate(&mut world));
        let results = Results::of(&world);
        assert_eq!(results.verdict, Verdict::Valid, "{faults:?}: {:?}", results.explain());
        assert!(results.messages_per_operation < 0.2, "{faults:?}: {}", results.messages_per_operation);
        let details = results.finding.json();
        // Each waits for its node's disk, which takes five milliseconds on average.
        assert!(details["sent"].as_u64() > Some(6_000), "{details}");
        assert_eq!(details["sent"], details["polled"], "{faults:?}");
    }
}
