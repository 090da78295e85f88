//! What the README and the guide promise: their examples are those that are compiled, what they show is what happens, and what
//! they lead to is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::support::{example, message, messenger, run};
use messenger::workbench::workload;
use serde_json::Value;

const README: &str = include_str!("../../README.md");
const TESTING: &str = include_str!("../../src/guide/testing.md");

#[test]
fn the_example_node_is_the_one_that_is_compiled() {
    let example = include_str!("../nodes/three_ways.rs");
    let code = &example[example.find("use ").unwrap()..];
    assert!(include_str!("../../src/guide/calls.md").contains(code), "this is not in the guide:\n{code}");
}

#[test]
fn the_readme_is_one_page_and_every_link_leads_to_a_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(README.lines().count() <= 120, "{} lines", README.lines().count());
    for (folder, text) in [
        ("", README),
        ("src/guide", include_str!("../../src/guide/README.md")),
        ("packaging", include_str!("../../packaging/README.md")),
    ] {
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let files: Vec<_> = links.filter(|link| !link.starts_with("http")).collect();
        assert!(!files.is_empty());
        for file in files {
            assert!(root.join(folder).join(file).exists(), "{folder}/README.md leads to {file}");
        }
    }
}

#[test]
fn every_package_has_the_name_and_version_of_the_crate() {
    let npm: Value = serde_json::from_str(include_str!("../../packaging/npm/package.json")).unwrap();
    assert_eq!(npm["name"], env!("CARGO_PKG_NAME"));
    assert_eq!(npm["version"], env!("CARGO_PKG_VERSION"));
    // The wheel takes the version from Cargo.toml.
    let wheel = include_str!("../../packaging/pyproject.toml");
    assert!(
        wheel.contains(concat!("name = \"", env!("CARGO_PKG_NAME"), "\""))
            && wheel.contains("dynamic = [\"version\"]")
    );
}

/// `messenger help` prints them from the table that replies are checked by; the guide has them as they are now.
#[test]
fn the_guide_has_the_messages_of_every_workload() {
    let page = include_str!("../../src/guide/messages.md");
    for workload in workload::ALL {
        let manual = workload::manual::manual(workload);
        let (_, messages) = manual.split_once("\n\n").unwrap();
        let (messages, _) = messages.split_once("\nAny request but").unwrap();
        assert!(page.contains(&format!("```text\n{messages}```\n")), "expected in messages.md:\n{messages}");
    }
}

/// Subcommands and flags of this program, wherever they are shown.
#[test]
fn every_command_that_is_shown_is_one() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide");
    let pages = fs::read_dir(guide).unwrap().map(|page| fs::read_to_string(page.unwrap().path()).unwrap());
    let pages: Vec<String> = pages.chain([README.to_owned()]).collect();
    let mut flags: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in pages.iter().flat_map(|page| page.lines()) {
        for command in line.split("&& ").flat_map(|line| line.split('`')) {
            let Some(words) = command.trim().strip_prefix("messenger ") else { continue };
            let words = words.split(" -- ").next().unwrap();
            let subcommand = words.split(' ').next().unwrap();
            if !subcommand.starts_with(|c: char| c.is_ascii_lowercase()) {
                continue;
            }
            let known = flags.entry(subcommand).or_default();
            known.extend(words.split(' ').filter(|word| word.starts_with("--")));
        }
    }
    assert!(flags.len() > 5 && flags["test"].len() > 10, "{flags:?}");
    for (subcommand, flags) in flags {
        let output = run(messenger(&["help", subcommand]), b"");
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "there is no subcommand {subcommand}");
        for flag in flags {
            assert!(help.contains(flag), "{subcommand} has no {flag}");
        }
    }
}

#[test]
fn the_example_node_runs() {
    let output = run(example("unique_ids"), include_bytes!("../data/unique-ids.jsonl"));
    assert!(output.status.success());
    let stdout = String::from_utf8(output.stdout).unwrap();
    let messages: Vec<Value> = stdout.lines().map(message).collect();
    let mut ids: Vec<&str> =
        messages[1..].iter().map(|message| message["body"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 111);
    assert_eq!((ids[0], ids[110]), ("n0-0", "n0-110"));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 111);
}

/// What the guide shows a newcomer to type, and what it says will come.
#[test]
fn the_shown_conversation_is_what_happens() {
    let (_, shown) = TESTING.split_once("printf '%s\\n' \\\n").unwrap();
    let (command, answers) = shown.split_once("  | messenger\n").unwrap();
    let requests: Vec<&str> =
        command.lines().map(|line| line.trim().trim_end_matches(" \\").trim_matches('\'')).collect();
    let answers = answers.split_once("```json\n").unwrap().1.split_once("```").unwrap().0;
    let output =
        run(crate::support::messenger(&["--log-level", "off"]), (requests.join("\n") + "\n").as_bytes());
    assert_eq!(
        std::str::from_utf8(&output.stdout).unwrap().lines().collect::<Vec<_>>(),
        answers.lines().collect::<Vec<_>>()
    );
}
