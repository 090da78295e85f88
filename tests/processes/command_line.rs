//! The command line as a newcomer meets it.

use crate::support::{INIT, INIT_OK, messenger, run};

fn output(args: &[&str]) -> (Option<i32>, String, String) {
    let output = run(messenger(args), b"");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn help_and_version() {
    let (status, help, _) = output(&["--help"]);
    assert_eq!(status, Some(0));
    for word in
        ["Maelstrom", "node", "parse", "trace", "--max-line", "--drain-timeout", "--log-level", "64MiB"]
    {
        assert!(help.contains(word), "{word} is not in\n{help}");
    }
    assert_eq!(output(&["--version"]).1, format!("messenger {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_has_the_messages_of_a_workload_and_the_options_of_a_subcommand() {
    for (args, words) in [
        (
            &["help", "broadcast"][..],
            r#"{"src":"n1","dest":"c1","body":{"type":"read_ok","in_reply_to":1,"messages":"#,
        ),
        (&["help", "lin-kv"], "error 22: the value is not `from`"),
        (&["help", "test"], "--nemesis"),
        (&["help"], "lin-kv          Registers that are read, written"),
    ] {
        let (status, help, _) = output(args);
        assert_eq!(status, Some(0), "{args:?}");
        assert!(help.contains(words), "{words} is not in\n{help}");
    }
    let (status, _, complaint) = output(&["help", "dance"]);
    assert_eq!(status, Some(254));
    assert!(
        complaint.contains("there is no help on \"dance\"") && complaint.contains("g-counter"),
        "{complaint}"
    );
}

#[test]
fn what_makes_no_sense_is_refused_with_status_254() {
    for (args, reason) in [
        (&["dance"][..], "dance"),
        (&["node", "dance"], "dance"),
        (&["--max-line", "0"], "1 byte to 1 GiB"),
        (&["--max-line", "2GiB"], "1 byte to 1 GiB"),
        (&["--max-line", "10 parsecs"], "unit"),
        (&["--drain-timeout", "-1"], "-1"),
        (&["--drain-timeout", "soon"], "number of seconds"),
        (&["--log-level", "loud"], "loud"),
        (&["--chaos", "drop=0.1,drop=0.2"], r#"once each, found "drop twice""#),
        (&["--chaos", "drop=0.1", "--chaos", "drop=0.2"], "cannot be used multiple times"),
        (&["echo"], "Did you mean `messenger test -w echo`?"),
        (&["broadcast", "--bin", "./x"], "Did you mean `messenger test -w broadcast --bin ./x`?"),
        (&["-w", "echo", "--bin", "./x"], "Did you mean `messenger test -w echo --bin ./x`?"),
        (&["--workload=echo"], "Did you mean `messenger test --workload=echo`?"),
    ] {
        let (status, stdout, stderr) = output(args);
        assert_eq!((status, &*stdout), (Some(254), ""), "{args:?}");
        assert!(stderr.contains(reason), "{args:?} gave {stderr}");
    }
}

#[test]
fn the_default_node_by_either_name() {
    for args in [
        &[][..],
        &["node"],
        &["node", "messenger"],
        &["node", "messenger", "--max-line", "1000"],
        &["--max-line", "1K"],
    ] {
        let output = run(messenger(args), INIT.as_bytes());
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{INIT_OK}\n"), "{args:?}");
    }
}

#[test]
fn a_node_for_each_workload() {
    for (name, request, answer) in [
        ("unique-ids", r#""type":"generate""#, r#""type":"generate_ok""#),
        ("broadcast", r#""type":"read""#, r#""messages":[]"#),
        ("g-set", r#""type":"read""#, r#""value":[]"#),
        ("g-counter", r#""type":"add","delta":-1"#, r#""code":12"#),
        ("pn-counter", r#""type":"add","delta":-1"#, r#""type":"add_ok""#),
        ("lin-kv", r#""type":"read","key":1"#, r#""type":"read","key":1"#),
    ] {
        let request = format!(r#"{{"src":"c1","dest":"n1","body":{{{request},"msg_id":2}}}}"#);
        let args = ["node", name, "--drain-timeout", "0"];
        let output = run(messenger(&args), format!("{INIT}\n{request}\n").as_bytes());
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(stdout.lines().nth(1).is_some_and(|line| line.contains(answer)), "{name}: {stdout}");
    }
}

#[test]
fn the_log_level_is_obeyed() {
    let input = format!("{INIT}\nnonsense\n");
    let stderr = |level| {
        let output = run(messenger(&["--log-level", level]), input.as_bytes());
        String::from_utf8(output.stderr).unwrap().lines().count()
    };
    assert_eq!([stderr("off"), stderr("error"), stderr("warn"), stderr("info")], [0, 0, 1, 3]);
}

/// A verdict has a colour where one is wanted; in a pipe, and for who wants none, there is none.
#[test]
fn verdicts_have_colours_for_people_only() {
    let store = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("colours");
    let summary = |variables: &[(&str, &str)]| {
        let mut command = messenger(&["test", "-w", "echo", "--sim", "--time-limit", "1", "--store"]);
        command
            .arg(&store)
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE")
            .envs(variables.iter().copied());
        String::from_utf8(run(command, b"").stdout).unwrap()
    };
    assert!(summary(&[("CLICOLOR_FORCE", "1")]).contains("echo: \u{1b}[1m\u{1b}[32mvalid\u{1b}[0m\n"));
    for variables in [&[][..], &[("NO_COLOR", "1")], &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]] {
        assert!(summary(variables).contains("\necho: valid\n"), "{variables:?}");
    }
}

#[test]
fn an_exploration_that_decides_nothing_says_so_by_its_status() {
    for (workload, rate, expected) in [("lin-kv", "0", 2), ("echo", "100", 0)] {
        let args = ["explore", "-w", workload, "--seeds", "2", "--time-limit", "1", "--rate", rate];
        let (status, _, stderr) = output(&args);
        assert_eq!(status, Some(expected), "{stderr}");
    }
}
