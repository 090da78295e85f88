//! Agreement with Maelstrom: what its original accepts of a node is accepted here, and where this workbench is stricter,
//! the report says so.
//!
//! Each test is a node of a few lines, written as its author might have, with the flags under which it was held against
//! the original. `perf/agreement` prints the table.

use std::collections::BTreeMap;

use messenger::workbench::checker::Verdict;
use messenger::workbench::checker::stats::Availability;
use messenger::workbench::fault::Fault;
use messenger::workbench::settings::Settings;
use messenger::workbench::simulation::{self, ScriptedNode};
use messenger::workbench::verdict::Results;
use messenger::workbench::workload;
use messenger::workbench::world::World;
use messenger::{Duration, Instant};
use serde_json::{Value, json};

/// Lines, and how long until each of them is said.
type Said = Vec<(Duration, String)>;

/// What a node does with a message.
type Script = Box<dyn FnMut(Instant, &Value) -> Said>;

/// A line, made of the one that a right node would have said.
type Line = fn(&Value) -> String;

/// What is done to the body of a right answer.
type Change = fn(&mut Value);

struct Outcome {
    verdict: Verdict,
    explanation: String,
}

/// Runs such nodes, of which each is told its place and how many there are.
fn run(workload: &str, settings: Settings, node: impl Fn(usize, usize) -> Script) -> Outcome {
    let (workload, nodes) = (workload::by_name(workload).unwrap(), settings.nodes);
    let mut world = World::new(workload, settings).unwrap();
    simulation::run(&mut world, |place, _| {
        let mut script = node(place, nodes);
        Box::new(ScriptedNode::new(move |now, line: &str| script(now, &serde_json::from_str(line).unwrap())))
    });
    let results = Results::of(&world);
    let outcome = Outcome { verdict: results.verdict, explanation: results.explain().join("\n") };
    println!("{:?} {}: {}", outcome.verdict, workload.name(), outcome.explanation);
    outcome
}

#[track_caller]
fn assert_valid(outcome: &Outcome) {
    assert_eq!(outcome.verdict, Verdict::Valid, "{}", outcome.explanation);
}

/// Invalid, for this reason.
#[track_caller]
fn assert_invalid(outcome: &Outcome, reason: &str) {
    assert_eq!(outcome.verdict, Verdict::Invalid, "{}", outcome.explanation);
    assert!(outcome.explanation.contains(reason), "expected {reason:?} in {}", outcome.explanation);
}

/// Invalid here alone, which the report says.
#[track_caller]
fn assert_stricter(outcome: &Outcome, reason: &str) {
    assert_invalid(outcome, reason);
    let sentence = "Maelstrom would not have noticed: ";
    assert!(outcome.explanation.contains(sentence), "{}", outcome.explanation);
}

fn settings(nodes: usize, workers: usize, rate: f64, seconds: u64) -> Settings {
    let time_limit = Duration::from_secs(seconds);
    Settings { nodes, workers, rate: Some(rate), time_limit, seed: 7, ..Settings::default() }
}

fn say(line: &Value) -> (Duration, String) {
    (Duration::ZERO, line.to_string())
}

/// The answer to a request: this body, with `in_reply_to`.
fn answer(request: &Value, mut body: Value) -> Value {
    body["in_reply_to"] = request["body"]["msg_id"].clone();
    json!({"src": request["dest"], "dest": request["src"], "body": body})
}

fn kind(message: &Value) -> &str {
    message["body"]["type"].as_str().unwrap_or_default()
}

/// What a right node answers to requests that are answered at once: `init`, `echo`, `topology`.
fn plain(request: &Value) -> Value {
    let mut body = json!({"type": format!("{}_ok", kind(request))});
    if kind(request) == "echo" {
        body["echo"] = request["body"]["echo"].clone();
    }
    answer(request, body)
}

/// A right echo node, but for what `odd` makes of its answers, which it counts from 0.
fn echo(mut odd: impl FnMut(usize, &Value, Value) -> Said + 'static) -> Script {
    let mut echoes = 0;
    Box::new(move |_, request| {
        let reply = plain(request);
        if kind(request) != "echo" {
            return vec![say(&reply)];
        }
        echoes += 1;
        odd(echoes - 1, request, reply)
    })
}

/// An echo node whose fifth answer is this line.
fn fifth(line: impl Fn(&Value) -> String + Copy + 'static) -> Script {
    echo(move |number, _, reply| match number {
        4 => vec![(Duration::ZERO, line(&reply))],
        _ => vec![say(&reply)],
    })
}

fn run_echo(node: impl Fn() -> Script) -> Outcome {
    run("echo", settings(2, 2, 10.0, 8), |_, _| node())
}

/// Gossips each message once to everybody, in a body that `dress` makes.
fn gossip(dress: fn(i64) -> Value) -> impl Fn(usize, usize) -> Script {
    move |place, nodes| {
        let mut messages = Vec::new();
        Box::new(move |_, message| match kind(message) {
            "read" => vec![say(&answer(message, json!({"type": "read_ok", "messages": messages})))],
            "broadcast" => {
                let value = message["body"]["message"].as_i64().unwrap();
                messages.push(value);
                let others = (0..nodes).filter(|other| *other != place);
                let gossip = others.map(|other| {
                    say(&json!({"src": format!("n{place}"), "dest": format!("n{other}"), "body": dress(value)}))
                });
                gossip.chain([say(&plain(message))]).collect()
            }
            "init" | "topology" => vec![say(&plain(message))],
            _ => {
                messages.extend(message["body"]["value"].as_i64());
                Vec::new()
            }
        })
    }
}

#[test]
fn a_body_between_nodes_may_be_any_object() {
    let bodies: [fn(i64) -> Value; 9] = [
        |value| json!({"value": value}),
        |value| json!({"type": 7, "value": value}),
        |value| json!({"type": null, "value": value}),
        |value| json!({"type": "gossip", "msg_id": null, "value": value}),
        |value| json!({"type": "gossip", "msg_id": "m1", "value": value}),
        |value| json!({"type": "gossip", "msg_id": 3.5, "value": value}),
        |value| json!({"type": "gossip", "msg_id": {"a": 1}, "value": value}),
        |value| json!({"type": "gossip", "in_reply_to": "1", "value": value}),
        |value| json!({"type": "gossip", "in_reply_to": null, "msg_id": -1, "value": value}),
    ];
    for dress in bodies {
        assert_valid(&run("broadcast", settings(3, 3, 10.0, 8), gossip(dress)));
    }
}

#[test]
fn a_counter_may_write_null_for_what_is_absent() {
    let node = |place: usize, nodes: usize| -> Script {
        let mut sum = 0;
        Box::new(move |_, message| {
            let delta = message["body"]["delta"].as_i64().unwrap_or_default();
            sum += delta;
            match kind(message) {
                "read" => vec![say(&answer(message, json!({"type": "read_ok", "value": sum})))],
                "add" => {
                    let body = json!({"type": "gossip", "in_reply_to": null, "msg_id": null, "delta": delta});
                    let others = (0..nodes).filter(|other| *other != place);
                    let gossip = others.map(|other| {
                        say(&json!({"src": format!("n{place}"), "dest": format!("n{other}"), "body": body}))
                    });
                    gossip.chain([say(&plain(message))]).collect()
                }
                "init" => vec![say(&plain(message))],
                _ => Vec::new(),
            }
        })
    };
    assert_valid(&run("pn-counter", settings(3, 3, 5.0, 3), node));
}

#[test]
fn of_init_ok_only_its_type_and_in_reply_to_count() {
    for odd in ["another field", "null", "spread"] {
        let node = move || -> Script {
            Box::new(move |_, request| {
                let mut reply = plain(request);
                if kind(request) == "init" {
                    match odd {
                        "another field" => reply["body"]["version"] = 3.into(),
                        "null" => reply["body"]["msg_id"] = Value::Null,
                        _ => {
                            let mut body = request["body"].clone();
                            body["type"] = "init_ok".into();
                            reply = answer(request, body);
                        }
                    }
                }
                vec![say(&reply)]
            })
        };
        assert_valid(&run_echo(node));
    }
    let wrong =
        || -> Script { Box::new(|_, request| vec![say(&answer(request, json!({"type": "initialised"})))]) };
    assert_invalid(&run_echo(wrong), "expected \"init_ok\", found \"initialised\"");
}

/// A leader keeps the registers; the others hand it what clients send, unchanged, and it answers the clients.
fn leader(place: usize, _: usize) -> Script {
    let mut registers = BTreeMap::new();
    Box::new(move |_, message| {
        let body = &message["body"];
        if kind(message) == "init" {
            return vec![say(&plain(message))];
        }
        if place > 0 {
            let mut passed = message.clone();
            passed["dest"] = "n0".into();
            return vec![say(&passed)];
        }
        let (key, value) = (body["key"].as_i64().unwrap(), body["value"].clone());
        let held = registers.get(&key).cloned();
        let reply = match (kind(message), held) {
            ("read", Some(held)) => json!({"type": "read_ok", "value": held}),
            ("write", _) => {
                registers.insert(key, value);
                json!({"type": "write_ok"})
            }
            ("cas", Some(held)) if held == body["from"] => {
                registers.insert(key, body["to"].clone());
                json!({"type": "cas_ok"})
            }
            ("cas", Some(_)) => json!({"type": "error", "code": 22, "text": "it is something else"}),
            _ => json!({"type": "error", "code": 20, "text": "there is no such key"}),
        };
        vec![say(&answer(message, reply))]
    })
}

#[test]
fn a_follower_may_pass_a_clients_message_on() {
    let calm = settings(3, 12, 30.0, 12);
    let faults = vec![Fault::Partition];
    let torn = Settings { faults, fault_interval: Duration::from_secs(3), ..calm.clone() };
    for settings in [calm, torn] {
        let outcome = run("lin-kv", settings, leader);
        assert_valid(&outcome);
        assert!(outcome.explanation.contains("named another sender"), "{}", outcome.explanation);
    }
}

#[test]
fn an_answer_may_be_in_another_nodes_name() {
    let node = |_, _| {
        echo(|_, _, mut reply| {
            reply["src"] = "n1".into();
            vec![say(&reply)]
        })
    };
    assert_valid(&run("echo", settings(2, 2, 10.0, 8), node));
    let nobody = || fifth(|reply| reply.to_string().replace("\"src\":\"n", "\"src\":\"n9"));
    assert_stricter(&run_echo(nobody), "it wrote in the name of \"n9");
}

/// Gives out ids, and refuses every tenth request in this way.
fn ids(
    refuses: fn(&Value) -> Option<Value>,
    id: fn(usize, usize) -> Value,
) -> impl Fn(usize, usize) -> Script {
    move |place, _| {
        let mut requests = 0;
        Box::new(move |_, request| {
            if kind(request) != "generate" {
                return vec![say(&plain(request))];
            }
            requests += 1;
            let refusal = refuses(request).filter(|_| requests % 10 == 0);
            vec![say(&refusal.unwrap_or_else(|| {
                answer(request, json!({"type": "generate_ok", "id": id(place, requests)}))
            }))]
        })
    }
}

#[test]
fn an_error_may_say_more_than_it_has_to() {
    let id = |place, number| json!(format!("{place}-{number}"));
    let patient = |request: &Value| {
        Some(answer(request, json!({"type": "error", "code": 11, "text": "busy", "retry_in_ms": 5})))
    };
    assert_valid(&run("unique-ids", settings(2, 2, 20.0, 5), ids(patient, id)));
    let wordless = |request: &Value| Some(answer(request, json!({"type": "error", "code": 11})));
    let reason = "text: expected a string, found nothing";
    assert_stricter(&run("unique-ids", settings(2, 2, 20.0, 5), ids(wordless, id)), reason);
}

/// Gives out an id when a majority of the nodes has heard of it.
fn majority(place: usize, nodes: usize) -> Script {
    let (mut given, mut open) = (0, BTreeMap::new());
    Box::new(move |now, message| {
        let me = format!("n{place}");
        match kind(message) {
            "generate" => {
                given += 1;
                open.insert(given, (message.clone(), 1));
                let others = (0..nodes).filter(|other| *other != place);
                let body = json!({"type": "heard", "number": given});
                others
                    .map(|other| say(&json!({"src": me, "dest": format!("n{other}"), "body": body})))
                    .collect()
            }
            "heard" => {
                let body = json!({"type": "yes", "number": message["body"]["number"]});
                vec![say(&json!({"src": me, "dest": message["src"], "body": body}))]
            }
            "yes" => {
                let number = message["body"]["number"].as_u64().unwrap();
                let Some((_, votes)) = open.get_mut(&number) else { return Vec::new() };
                *votes += 1;
                if *votes <= nodes / 2 {
                    return Vec::new();
                }
                let (request, _) = open.remove(&number).unwrap();
                let id = format!("{place}-{}-{number}", now.as_micros());
                vec![say(&answer(&request, json!({"type": "generate_ok", "id": id})))]
            }
            _ => vec![say(&plain(message))],
        }
    })
}

/// The survivor of a dead majority answers nothing, and neither does a node whose only peer is paused: that is right.
#[test]
fn silence_while_others_are_gone_is_no_fault() {
    for seed in 0..40 {
        let seconds = Duration::from_secs;
        let killed = Settings {
            faults: vec![Fault::Kill],
            fault_interval: seconds(6),
            seed,
            ..settings(3, 6, 20.0, 9)
        };
        let outcome = run("unique-ids", killed, majority);
        assert!(!outcome.explanation.contains("fell silent"), "{}", outcome.explanation);
        let paused = Settings {
            faults: vec![Fault::Pause],
            fault_interval: seconds(4),
            seed,
            ..settings(2, 2, 1.0, 20)
        };
        let outcome = run("unique-ids", paused, majority);
        assert!(!outcome.explanation.contains("fell silent"), "{}", outcome.explanation);
    }
}

#[test]
fn one_answer_that_is_lost_or_late_at_the_end_is_no_silence() {
    let test = || settings(1, 10, 10.0, 2);
    let counted = run("echo", test(), |_, _| echo(|_, _, reply| vec![say(&reply)]));
    assert_valid(&counted);
    // The number of the last request is not known beforehand: each of them is the one that is lost.
    for lost in 0..25 {
        let outcome = run("echo", test(), |_, _| {
            echo(move |number, _, reply| if number == lost { Vec::new() } else { vec![say(&reply)] })
        });
        assert_valid(&outcome);
        let late = run("echo", test(), |_, _| {
            echo(move |number, _, reply| {
                let delay = if number == lost { Duration::from_secs(6) } else { Duration::ZERO };
                vec![(delay, reply.to_string())]
            })
        });
        assert_valid(&late);
    }
    let once = || {
        echo(|number, _, reply| {
            let delay = if number == 4 { Duration::from_secs(6) } else { Duration::ZERO };
            vec![(delay, reply.to_string())]
        })
    };
    let outcome = run_echo(once);
    assert_valid(&outcome);
    let told = " came after the client had given up. Maelstrom stops listening";
    assert!(outcome.explanation.contains(told), "{}", outcome.explanation);
}

/// As in Raft, where the leader answers whoever asked a follower.
#[test]
fn a_node_for_which_another_one_answers_is_not_silent() {
    let node = |place: usize, _: usize| -> Script {
        Box::new(move |_, message| match kind(message) {
            "echo" if place == 0 => {
                let body = json!({"type": "forward", "request": message});
                vec![say(&json!({"src": "n0", "dest": "n1", "body": body}))]
            }
            "forward" => {
                let mut reply = plain(&message["body"]["request"]);
                reply["src"] = "n1".into();
                vec![say(&reply)]
            }
            _ => vec![say(&plain(message))],
        })
    };
    // The last requests of n0 are lost on the way.
    let planned_faults = vec!["partition n0|n1 at 1s".parse().unwrap()];
    assert_valid(&run("echo", Settings { planned_faults, ..settings(2, 2, 10.0, 2) }, node));
}

#[test]
fn a_node_that_answers_nothing_any_more_is_caught() {
    let node = || echo(|number, _, reply| if number < 9 { vec![say(&reply)] } else { Vec::new() });
    assert_stricter(&run_echo(node), "fell silent");
}

#[test]
fn availability_is_about_the_final_reads_too() {
    let node = |_: usize, _: usize| -> Script {
        let mut messages = Vec::new();
        Box::new(move |now, message| match kind(message) {
            "read" if now > Instant::from_micros(15_000_000) => {
                vec![say(&answer(message, json!({"type": "error", "code": 11, "text": "not now"})))]
            }
            "read" => vec![say(&answer(message, json!({"type": "read_ok", "messages": messages})))],
            _ => {
                messages.extend(message["body"]["message"].as_i64());
                vec![say(&plain(message))]
            }
        })
    };
    let total = Settings { availability: Availability::Total, ..settings(1, 1, 10.0, 8) };
    assert_invalid(&run("broadcast", total, node), "but all should");
}

#[test]
fn a_register_that_goes_wrong_late_is_caught() {
    let node = |_: usize, _: usize| -> Script {
        let (mut honest, mut operations) = (leader(0, 1), 0);
        Box::new(move |now, message| {
            operations += usize::from(kind(message) != "init");
            let said = honest(now, message);
            if kind(message) == "read" && operations > 150 {
                return vec![say(&answer(message, json!({"type": "read_ok", "value": 99})))];
            }
            said
        })
    };
    assert_invalid(&run("lin-kv", settings(1, 2, 100.0, 10), node), "read 99");
    assert_valid(&run("lin-kv", settings(1, 2, 100.0, 10), leader));
}

#[test]
fn a_read_that_denies_a_written_key_is_caught() {
    let node = |_: usize, _: usize| -> Script {
        let (mut honest, mut operations) = (leader(0, 1), 0);
        Box::new(move |now, message| {
            operations += usize::from(kind(message) == "read");
            let said = honest(now, message);
            if kind(message) == "read" && operations == 150 {
                let body = json!({"type": "error", "code": 20, "text": "no such key"});
                return vec![say(&answer(message, body))];
            }
            said
        })
    };
    assert_stricter(&run("lin-kv", settings(1, 2, 100.0, 10), node), "read nothing");
}

#[test]
fn an_echo_is_never_refused() {
    let refusing = || {
        echo(|number, request, reply| {
            let refusal = answer(request, json!({"type": "error", "code": 11, "text": "busy"}));
            vec![say(if number == 4 { &refusal } else { &reply })]
        })
    };
    assert_invalid(&run_echo(refusing), "but is a definite error: error 11: busy");
    let in_doubt = || {
        echo(|number, request, reply| {
            let refusal = answer(request, json!({"type": "error", "code": 13, "text": "crashed"}));
            vec![say(if number == 4 { &refusal } else { &reply })]
        })
    };
    assert_valid(&run_echo(in_doubt));
}

#[test]
fn ids_are_compared_by_what_they_mean() {
    let right: [fn(usize, usize) -> Value; 3] = [
        |place, number| json!([place, number]),
        |place, number| {
            if number % 2 == 0 {
                json!(10 * number + place)
            } else {
                json!((10 * number + place).to_string())
            }
        },
        |place, number| json!({"node": place, "number": number}),
    ];
    for id in right {
        assert_valid(&run("unique-ids", settings(2, 2, 20.0, 5), ids(|_| None, id)));
    }
    let escaped = |_: usize, _: usize| -> Script {
        let mut requests = 0;
        Box::new(move |_, request| {
            if kind(request) != "generate" {
                return vec![say(&plain(request))];
            }
            requests += 1;
            let line = answer(request, json!({"type": "generate_ok", "id": "a\u{2028}"})).to_string();
            let line = if requests % 2 == 0 { line.replace('\u{2028}', "\\u2028") } else { line };
            vec![(Duration::ZERO, line)]
        })
    };
    let outcome = run("unique-ids", settings(1, 1, 20.0, 5), escaped);
    assert_invalid(&outcome, "was given out");
    assert_eq!(outcome.explanation.lines().count(), 1, "it is one id: {}", outcome.explanation);
}

#[test]
fn a_line_that_is_no_message_ends_the_test() {
    let lines: [(Line, &str); 13] = [
        (|_| "got it".to_owned(), "not JSON"),
        (|_| String::new(), "found a blank line"),
        (|_| "[]".to_owned(), "expected an object"),
        (|reply| format!("{reply} and so on"), "expected the end of the line"),
        (|reply| format!("{reply}{reply}"), "expected the end of the line"),
        (|reply| format!("\u{feff}{reply}"), "not JSON"),
        (|reply| reply.to_string().replace("\"dest\":\"c", "\"dest\":\"c9999"), "which does not exist"),
        (
            |reply| reply.to_string().replace("\"dest\":\"c", "\"dest\":\"n7\",\"_\":\"c"),
            "expected no keys but",
        ),
        (
            |_| json!({"src": "n0", "dest": "n7", "body": {}}).to_string(),
            "it wrote to \"n7\", which does not exist",
        ),
        (
            |_| json!({"src": "n0", "dest": "kv", "body": {}}).to_string(),
            "it wrote to \"kv\", which does not exist",
        ),
        (|_| json!({"src": "n0", "dest": "n1", "body": 5}).to_string(), "body: expected an object, found 5"),
        (
            |_| json!({"id": "x5", "src": "n0", "dest": "n1", "body": {}}).to_string(),
            "id: expected an integer",
        ),
        (
            |_| json!({"id": 1.5, "src": "n0", "dest": "n1", "body": {}}).to_string(),
            "id: expected an integer",
        ),
    ];
    for (line, reason) in lines {
        assert_stricter(&run_echo(|| fifth(line)), reason);
    }
}

#[test]
fn an_id_is_looked_at_whatever_the_lines_before() {
    let with_id = |reply: &Value, id: Value| {
        let mut reply = reply.clone();
        reply["id"] = id;
        reply.to_string()
    };
    for id in [json!(true), json!(1.5), json!(null)] {
        let odd = id.clone();
        let node = move || {
            let odd = odd.clone();
            echo(move |number, _, reply| {
                let id = if number == 4 { odd.clone() } else { json!(-1) };
                vec![(Duration::ZERO, with_id(&reply, id))]
            })
        };
        assert_stricter(&run_echo(node), &format!("id: expected an integer, found {id}"));
    }
}

#[test]
fn a_line_may_be_written_as_one_likes() {
    let lines: [Line; 4] = [
        |reply| format!("  {reply}\t\r"),
        |reply| reply.to_string().replace(",\"src\"", ",\"id\":77,\"src\""),
        |reply| reply.to_string().replace("\"type\":\"echo_ok\"", "\"type\":\"no\",\"type\":\"echo_ok\""),
        |reply| reply.to_string().replace("\"type\"", "\"t\\u0079pe\""),
    ];
    for line in lines {
        assert_valid(&run_echo(|| fifth(line)));
    }
}

#[test]
fn an_answer_that_breaks_its_schema_ends_the_test() {
    let bodies: [(Change, &str); 6] = [
        (|body| body["by_the_way"] = 1.into(), "expected no fields but type, in_reply_to, msg_id, echo"),
        (|body| drop(body.as_object_mut().unwrap().remove("echo")), "echo: expected a value, found nothing"),
        (|body| body["type"] = "echo_yes".into(), "type: expected \"echo_ok\""),
        (|body| body["msg_id"] = Value::Null, "body.msg_id: expected an integer, found null"),
        (|body| body["in_reply_to"] = json!("1"), "body.in_reply_to: expected an integer"),
        (
            |body| drop(body.as_object_mut().unwrap().remove("in_reply_to")),
            "expected in_reply_to, the msg_id",
        ),
    ];
    for (change, reason) in bodies {
        let node = || {
            echo(move |number, _, mut reply| {
                if number == 4 {
                    change(&mut reply["body"]);
                }
                vec![say(&reply)]
            })
        };
        assert_stricter(&run_echo(node), reason);
    }
}

#[test]
fn an_answer_that_comes_twice_is_told_as_such() {
    let node = || echo(|_, _, reply| vec![say(&reply), say(&reply)]);
    let outcome = run_echo(node);
    assert_valid(&outcome);
    assert!(
        outcome.explanation.contains("came to a request that had its answer already"),
        "{}",
        outcome.explanation
    );
    assert!(!outcome.explanation.contains("given up"), "{}", outcome.explanation);
}

#[test]
fn answers_to_nothing_are_no_answers() {
    let node = || {
        echo(|_, request, mut reply| {
            reply["body"]["in_reply_to"] = (request["body"]["msg_id"].as_u64().unwrap() + 1_000).into();
            vec![say(&reply)]
        })
    };
    let outcome = run_echo(node);
    assert_invalid(&outcome, "fell silent");
    assert!(outcome.explanation.contains("came that nobody waited for"), "{}", outcome.explanation);
}

#[test]
fn answers_after_the_clients_patience_are_no_answers() {
    let node = || echo(|_, _, reply| vec![(Duration::from_secs(6), reply.to_string())]);
    assert_invalid(&run_echo(node), "no echo succeeded");
}

#[test]
fn a_node_has_ten_seconds_for_init() {
    let after = |seconds| {
        move || -> Script {
            Box::new(move |_, request| {
                let delay =
                    if kind(request) == "init" { Duration::from_secs(seconds) } else { Duration::ZERO };
                vec![(delay, plain(request).to_string())]
            })
        }
    };
    assert_valid(&run_echo(after(8)));
    assert_invalid(&run_echo(after(12)), "it did not answer `init` within 10 seconds");
}

/// A set on one node, whose reads show what `show` makes of it; how often it was read counts from 0.
fn set(
    show: fn(usize, Instant, &mut Vec<i64>),
    add: fn(&Value) -> Option<Value>,
) -> impl Fn(usize, usize) -> Script {
    move |_, _| {
        let (mut elements, mut reads) = (Vec::new(), 0);
        Box::new(move |now, message| {
            if kind(message) == "read" {
                let mut shown = elements.clone();
                show(reads, now, &mut shown);
                reads += 1;
                return vec![say(&answer(message, json!({"type": "read_ok", "value": shown})))];
            }
            elements.extend(message["body"]["element"].as_i64());
            vec![say(&add(message).unwrap_or_else(|| plain(message)))]
        })
    }
}

#[test]
fn a_set_that_says_what_is_not_so_is_caught() {
    let run = |show, add| run("g-set", settings(1, 2, 20.0, 8), set(show, add));
    assert_valid(&run(|_, _, _| {}, |_| None));
    let twice = |reads: usize, _: Instant, shown: &mut Vec<i64>| {
        if reads == 30 {
            shown.push(shown[0]);
        }
    };
    assert_stricter(&run(twice, |_| None), "0 is 2 times in the answer of n0");
    let invented = |reads: usize, _: Instant, shown: &mut Vec<i64>| {
        if reads == 30 {
            shown.push(123_456);
        }
    };
    assert_stricter(&run(invented, |_| None), "123456 is in the answer of n0 ");
    let denied = |message: &Value| {
        (message["body"]["element"] == 3)
            .then(|| answer(message, json!({"type": "error", "code": 14, "text": "aborted"})))
    };
    assert_stricter(&run(|_, _, _| {}, denied), "3 is in the answer of n0 ");
    // Of the two final reads the first lacks an element.
    let partial = |_: usize, now: Instant, shown: &mut Vec<i64>| {
        if now > Instant::from_micros(17_000_000) && shown.len() % 2 < 2 {
            shown.retain(|element| *element != 5);
        }
    };
    assert_invalid(&run(partial, |_| None), "5 is lost");
}

#[test]
fn an_element_that_one_final_read_lacks_is_lost() {
    let node = |place: usize, nodes: usize| -> Script {
        let mut honest = gossip(|value| json!({"value": value}))(place, nodes);
        Box::new(move |now, message| {
            let is_last = now > Instant::from_micros(17_000_000) && place == 0;
            if kind(message) == "read" && is_last {
                let said = honest(now, message);
                let mut reply: Value = serde_json::from_str(&said[0].1).unwrap();
                reply["body"]["messages"].as_array_mut().unwrap().remove(0);
                return vec![say(&reply)];
            }
            honest(now, message)
        })
    };
    assert_stricter(&run("broadcast", settings(2, 2, 20.0, 8), node), " is lost");
}

#[test]
fn silence_in_the_final_phase_is_told() {
    let node = |place: usize, nodes: usize| -> Script {
        let mut honest = gossip(|value| json!({"value": value}))(place, nodes);
        Box::new(move |now, message| {
            let is_last = now > Instant::from_micros(17_000_000) && place == 0;
            if is_last { Vec::new() } else { honest(now, message) }
        })
    };
    let outcome = run("broadcast", settings(2, 2, 20.0, 8), node);
    assert_stricter(&outcome, "n0 fell silent");
    assert!(outcome.explanation.contains("no final read of n0 succeeded"), "{}", outcome.explanation);
}

#[test]
fn whoever_is_not_asked_is_told_with_the_reason() {
    let few = run("echo", settings(5, 2, 10.0, 3), |_, _| echo(|_, _, reply| vec![say(&reply)]));
    assert!(few.explanation.contains("no client asked n2 n3 n4: there are more nodes than clients"));
    let short = run("echo", settings(10, 10, 1.0, 3), |_, _| echo(|_, _, reply| vec![say(&reply)]));
    assert!(
        short.explanation.contains("too few operations for every client to have one"),
        "{}",
        short.explanation
    );
}
