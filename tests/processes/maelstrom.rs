//! `perf/maelstrom` with a script in Maelstrom's place, because the real one needs Java and minutes.

use std::process::{Command, Output};

/// Runs it; `environment` is for the script in Maelstrom's place.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/perf/maelstrom"))
        .args(arguments)
        .env("MAELSTROM", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/maelstrom"))
        .env("MESSENGER", env!("CARGO_BIN_EXE_messenger"))
        .envs(environment.iter().copied())
        .output()
        .expect("bash is there")
}

/// One test after another: the results have one place.
#[test]
fn verdicts_rates_and_latencies_become_a_table() {
    let all = run(&[], &[]);
    let table = String::from_utf8_lossy(&all.stdout);
    assert_eq!(all.status.code(), Some(0), "{table}{}", String::from_utf8_lossy(&all.stderr));
    assert_eq!(table.lines().count(), 2 + 11 + 12, "{table}");
    let figures = "true | 2 of 3 | 19 | 2.00 | 4.00 | 4.00 | 1.5 | 250 / 391 |";
    assert!(table.lines().skip(2).all(|row| row.ends_with(figures)), "{table}");
    assert!(table.contains("| echo, rate 50000, 50 clients |"), "{table}");

    let bad = run(&["exercises"], &[("FAKE_INVALID", "g-set"), ("FAKE_CRASH", "lin-kv")]);
    let table = String::from_utf8_lossy(&bad.stdout);
    assert_eq!(bad.status.code(), Some(1), "{table}");
    assert!(table.contains("| g-set | false |"), "{table}");
    assert!(table.contains("| lin-kv | no results: see target/maelstrom/failed-lin-kv.log |"), "{table}");
}

#[test]
fn what_cannot_be_run_is_said_with_status_2() {
    for (arguments, environment, said) in [
        (vec![], vec![("MAELSTROM", "/nowhere/maelstrom")], "as $MAELSTROM or as maelstrom on the path"),
        (vec!["everything"], vec![], "expected exercises, throughput or nothing, got \"everything\""),
        (vec!["exercises", "throughput"], vec![], "expected one argument at most, got 2"),
    ] {
        let output = run(&arguments, &environment);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.contains(said)), (Some(2), true), "{stderr}");
    }
}
