//! A workload of somebody's own is tested as those of this crate are.

use std::fs;
use std::path::{Path, PathBuf};

use messenger::Duration;
use messenger::workbench::checker::Verdict;
use messenger::workbench::processes::{self, Program};
use messenger::workbench::report::Report;
use messenger::workbench::settings::Settings;
use messenger::workbench::simulation::{self, ScriptedNode};
use messenger::workbench::verdict::Results;
use messenger::workbench::world::World;
use serde_json::{Value, json};

use self::workload::Lock;

#[path = "../nodes/lock/workload.rs"]
mod workload;

fn settings() -> Settings {
    let time_limit = Duration::from_secs(2);
    Settings { nodes: 3, workers: 6, rate: Some(100.0), time_limit, seed: 1, ..Settings::default() }
}

/// In virtual time, with the same node as `tests/nodes/lock.py`.
fn simulate(each: bool) -> Results {
    let mut world = World::new(&Lock, settings()).unwrap();
    simulation::run(&mut world, |place, _| {
        let mut is_held = false;
        Box::new(ScriptedNode::new(move |_, line: &str| {
            let mut message: Value = serde_json::from_str(line).unwrap();
            let request = message["body"].clone();
            let kind = request["type"].as_str().unwrap();
            if kind != "init" && place > 0 && !each {
                message["dest"] = "n0".into();
                return vec![(Duration::ZERO, message.to_string())];
            }
            let mut body = json!({"type": format!("{kind}_ok")});
            match kind {
                "acquire" if is_held => body = json!({"type": "error", "code": 11, "text": "it is held"}),
                "acquire" => is_held = true,
                "release" => is_held = false,
                _ => {}
            }
            body["in_reply_to"] = request["msg_id"].clone();
            let reply = json!({"src": format!("n{place}"), "dest": message["src"], "body": body});
            vec![(Duration::ZERO, reply.to_string())]
        }))
    });
    Results::of(&world)
}

/// As processes, with a report; its folder.
fn run(name: &str, args: &[&str]) -> (Results, PathBuf) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lock").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("node-logs")).unwrap();
    let mut world = World::new(&Lock, settings()).unwrap();
    let program = Program {
        path: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nodes/lock.py"),
        args: args.iter().map(Into::into).collect(),
        logs: folder.join("node-logs"),
        data: folder.join("node-data"),
        shows_stderr: false,
    };
    processes::run(&mut world, &program, |_, _| {}).unwrap();
    let results = Results::of(&world);
    Report::new(&world, &results, "tests/nodes/lock.py").write(&folder).unwrap();
    (results, folder)
}

#[test]
fn a_lock_is_held_by_one_at_a_time() {
    for results in [simulate(false), run("right", &[]).0] {
        assert_eq!(results.verdict, Verdict::Valid, "{:?}", results.explain());
        assert!(results.finding.json()["held"].as_u64().unwrap() > 10);
    }
}

#[test]
fn a_lock_for_each_node_is_caught() {
    let (run, folder) = run("each", &["--each"]);
    for results in [simulate(true), run] {
        assert_eq!(results.verdict, Verdict::Invalid);
        let explanation = results.explain().join("\n");
        assert!(explanation.contains("the lock was given by n"), "{explanation}");
    }
    let page = fs::read_to_string(folder.join("index.html")).unwrap();
    assert!(page.contains("times broken") && page.contains("the lock was given by n"));
    let history = fs::read_to_string(folder.join("history.jsonl")).unwrap();
    assert!(history.contains(r#""type":"ok","process":0,"node":"n0","f":"acquire","value":null"#));
}
