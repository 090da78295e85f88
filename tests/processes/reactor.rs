//! The reactor at work: real pipes, files, sockets and terminals, and everything that goes wrong there.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    INIT, INIT_OK, Node, answers, echo, echo_ok, ending_signals, example, kill, messenger, run, watch,
};
use rustix::fs::{OFlags, fcntl_getfl};

/// The first of the classic mistakes: a node that reads to the end of stdin before it answers, or does
/// not flush, fails this.
#[test]
fn answers_while_stdin_is_open() {
    let mut node = Node::initialised();
    for n in 1..100 {
        assert_eq!(node.ask(&echo(n, "\"now\"")), echo_ok(n, "\"now\"", n));
    }
    node.end();
}

#[test]
fn answers_what_comes_in_pieces() {
    let mut node = Node::initialised();
    let line = echo(1, r#""h\u00e9llo é""#) + "\n";
    for byte in line.as_bytes() {
        node.stdin.as_mut().unwrap().write_all(&[*byte]).unwrap();
        thread::yield_now();
    }
    assert_eq!(node.line(), echo_ok(1, r#""h\u00e9llo é""#, 1));
    node.end();
}

#[test]
fn echoes_every_value_byte_for_byte() {
    let deep = format!("{}{}", "[".repeat(1022), "]".repeat(1022));
    let values = [
        "0",
        "-0",
        "1.0",
        "1e2",
        "1E+2",
        "-0.0e-0",
        "1e400",
        "9007199254740993",
        "18446744073709551616",
        "-123456789012345678901234567890123456789012345678901234567890",
        "null",
        "true",
        "false",
        "\"\"",
        "[]",
        "{}",
        r#"{"b":1,"a":2,"b":{"z":[],"a":{}}}"#,
        r#"" \" \\ \/ \b\f\n\r\t \u00e9\uD83D\uDE00\ud800 ""#,
        "\"h\u{e9}\u{1f600}\u{2028}\u{7f}\"",
        "[ 1 ,\t2 , { \"a\" : [ ] } ]",
        &deep,
    ];
    let lines: Vec<String> = (1..).zip(values).map(|(id, value)| echo(id, value)).collect();
    let input = format!("{INIT}\n{}\n", lines.join("\n"));
    let output = run(messenger(&[]), input.as_bytes());
    let expected: Vec<String> = (1..).zip(values).map(|(id, value)| echo_ok(id, value, id)).collect();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(stdout.lines().skip(1).collect::<Vec<_>>(), expected);
}

#[test]
fn an_answer_names_the_msg_id_as_it_was_written() {
    for id in ["0", "-5", "9007199254740993", "123456789012345678901234567890"] {
        let line = format!(r#"{{"src":"c1","dest":"n1","body":{{"type":"echo","msg_id":{id},"echo":1}}}}"#);
        let mut node = Node::initialised();
        let answer = node.ask(&line);
        assert!(answer.contains(&format!(r#""in_reply_to":{id},"msg_id":1}}}}"#)), "{answer}");
    }
}

#[test]
fn an_echo_of_8_mib_comes_back_whole() {
    let value = format!("\"{}\"", "0123456789abcdef".repeat(8 * 1024 * 1024 / 16));
    let input = format!("{INIT}\n{}\n{}\n", echo(1, &value), echo(2, "2"));
    let output = run(messenger(&[]), input.as_bytes());
    let expected = format!("{INIT_OK}\n{}\n{}\n", echo_ok(1, &value, 1), echo_ok(2, "2", 2));
    assert!(output.stdout == expected.as_bytes(), "{} bytes came back", output.stdout.len());
}

/// The limit is 64 MiB by default; memory is what a line of that size needs, and no more with a line of
/// any length. With a lower limit it stays far below.
#[test]
fn a_line_without_end_is_skipped_in_constant_memory() {
    for (args, bound) in [(&[][..], 80 << 20), (&["--max-line", "1MiB"][..], 8 << 20)] {
        let mut node = Node::spawn(&mut messenger(args));
        assert_eq!(node.ask(INIT), INIT_OK);
        let mib = vec![b'x'; 1 << 20];
        for _ in 0..70 {
            node.stdin.as_mut().unwrap().write_all(&mib).unwrap();
        }
        node.send("");
        assert_eq!(node.ask(&echo(1, "1")), echo_ok(1, "1", 1));
        // The pages of the program itself are the file system's.
        let peak = node.memory("VmHWM") - node.memory("RssFile");
        assert!(peak < bound, "{peak} bytes at the peak with {args:?}");
        let rest = node.memory("RssAnon");
        assert!(rest < 8 << 20, "{rest} bytes after it");
        let stderr = node.end();
        assert!(stderr.contains(&format!("line 2: {} bytes are more", 70 << 20)), "{stderr}");
    }
}

#[test]
fn a_blocked_stdout_costs_no_memory_and_no_answer() {
    const COUNT: u64 = 400_000;
    let mut node = Node::initialised();
    let mut stdin = node.stdin.take().unwrap();
    let writer = thread::spawn(move || {
        for first in (1..=COUNT).step_by(1000) {
            let lines: String = (first..first + 1000).map(|n| echo(n, "\"Please wait\"") + "\n").collect();
            stdin.write_all(lines.as_bytes()).unwrap();
        }
        stdin
    });
    until_it_stops_reading(&node);
    assert!(!writer.is_finished(), "the node took everything in though nobody reads its answers");
    assert!(node.memory("VmHWM") < 64 << 20, "{} bytes", node.memory("VmHWM"));
    for n in 1..=COUNT {
        assert_eq!(node.line(), echo_ok(n, "\"Please wait\"", n));
    }
    node.stdin = Some(writer.join().unwrap());
    assert!(node.memory("VmHWM") < 64 << 20, "{} bytes", node.memory("VmHWM"));
    node.end();
}

/// Returns once everything between us and a node whose answers nobody reads is full.
fn until_it_stops_reading(node: &Node) {
    let (mut seen, mut times) = (0, 0);
    while times < 5 {
        thread::sleep(Duration::from_millis(50));
        let proc = |file| std::fs::read_to_string(format!("/proc/{}/{file}", node.child.id())).unwrap();
        let read: u64 =
            proc("io").lines().next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
        // A node that is merely waiting for a processor is not asleep.
        let sleeps = proc("stat").rsplit(')').next().unwrap().trim_start().starts_with('S');
        times = if read == seen && sleeps { times + 1 } else { 0 };
        seen = read;
    }
}

/// Waiting for a reader costs no processor time: neither side may spin.
#[test]
fn an_idle_node_sleeps() {
    let ticks = |node: &Node| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", node.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let idle = Node::initialised();
    let mut blocked = Node::initialised();
    let mut stdin = blocked.stdin.take().unwrap();
    thread::spawn(move || while stdin.write_all((echo(1, "1") + "\n").as_bytes()).is_ok() {});
    // Its input has ended, but nobody reads what it had to say.
    let mut ended = Node::spawn(&mut messenger(&["--drain-timeout", "0"]));
    ended.send(&format!("{INIT}\n{}", echo(1, &format!("\"{}\"", "x".repeat(300_000)))));
    drop(ended.stdin.take());
    until_it_stops_reading(&blocked);
    until_it_stops_reading(&ended);
    let before = [ticks(&idle), ticks(&blocked), ticks(&ended)];
    thread::sleep(Duration::from_millis(500));
    let after = [ticks(&idle), ticks(&blocked), ticks(&ended)];
    // A tick is 10 ms; a spinning node takes 50 of them. How few are left does not depend on the machine.
    assert!(
        std::iter::zip(before, after).all(|(before, after)| after - before <= 1),
        "{before:?} to {after:?}"
    );
    assert_eq!(ended.line(), INIT_OK);
    assert_eq!(ended.line(), echo_ok(1, &format!("\"{}\"", "x".repeat(300_000)), 1));
    assert!(ended.wait().success());
}

#[test]
fn regular_files_and_dev_null() {
    let dir = std::env::temp_dir().join(format!("messenger-files-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (input, output) = (dir.join("in"), dir.join("out"));
    let lines: String = (1..=5000).map(|n| echo(n, "\"x\"") + "\n").collect();
    std::fs::write(&input, format!("skip me\n{INIT}\n{lines}")).unwrap();
    std::fs::write(&output, "kept\n").unwrap();

    // Both files are used where they stand: the offset of the one, the end of the other.
    let mut stdin = File::open(&input).unwrap();
    stdin.seek(SeekFrom::Start(8)).unwrap();
    let stdout = File::options().append(true).open(&output).unwrap();
    let status = messenger(&[]).stdin(stdin).stdout(stdout).stderr(Stdio::null()).status().unwrap();
    assert!(status.success());
    let answers: String = (1..=5000).map(|n| echo_ok(n, "\"x\"", n) + "\n").collect();
    assert!(std::fs::read_to_string(&output).unwrap() == format!("kept\n{INIT_OK}\n{answers}"));

    let null = || File::options().read(true).write(true).open("/dev/null").unwrap();
    assert!(messenger(&[]).stdin(null()).stdout(null()).stderr(null()).status().unwrap().success());
    let from_file = messenger(&[]).stdin(File::open(&input).unwrap()).stdout(null()).stderr(null()).status();
    assert!(from_file.unwrap().success());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn sockets_and_their_flags() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let theirs = OwnedFd::from(theirs);
    let before = fcntl_getfl(&theirs).unwrap();
    let mut child = messenger(&[])
        .stdin(theirs.try_clone().unwrap())
        .stdout(theirs.try_clone().unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _watchdog = watch(&child);
    let mut reader = BufReader::new(ours.try_clone().unwrap());
    let mut line = String::new();
    for (request, answer) in [(INIT.to_owned(), INIT_OK.to_owned()), (echo(1, "1"), echo_ok(1, "1", 1))] {
        (&ours).write_all((request + "\n").as_bytes()).unwrap();
        line.clear();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), answer);
    }
    assert!(fcntl_getfl(&theirs).unwrap().contains(OFlags::NONBLOCK));
    ours.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(fcntl_getfl(&theirs).unwrap(), before, "the flags of a shared descriptor are put back");
}

/// Whatever ends a node, the socket that it shares blocks again for those that it shares it with.
#[test]
fn signals_leave_a_shared_socket_as_it_was() {
    for signal in ending_signals() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let theirs = OwnedFd::from(theirs);
        let before = fcntl_getfl(&theirs).unwrap();
        let mut child = messenger(&[])
            .stdin(theirs.try_clone().unwrap())
            .stdout(theirs.try_clone().unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let _watchdog = watch(&child);
        (&ours).write_all((INIT.to_owned() + "\n").as_bytes()).unwrap();
        BufReader::new(&ours).read_line(&mut String::new()).unwrap();
        kill(child.id(), signal);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}");
        assert_eq!(fcntl_getfl(&theirs).unwrap(), before, "{signal}");
    }
}

#[test]
fn a_hangup_that_is_to_be_ignored_is_ignored() {
    let mut command = std::process::Command::new("bash");
    command.args(["-c", &format!("trap '' HUP; exec {}", env!("CARGO_BIN_EXE_messenger"))]);
    let mut node = Node::spawn(&mut command);
    assert_eq!(node.ask(INIT), INIT_OK);
    kill(node.child.id(), "HUP");
    assert_eq!(node.ask(&echo(1, "1")), echo_ok(1, "1", 1));
    node.end();
}

/// As long as need be is not for ever.
#[test]
fn a_node_that_drains_for_as_long_as_it_takes_ends_when_it_is_done() {
    let mut node = Node::spawn(&mut example("patient"));
    assert_eq!(node.ask(INIT), INIT_OK);
    assert_eq!(node.ask(&echo(1, "1")), echo_ok(1, "1", 1));
    node.end();
}

/// A line that there is no memory for is skipped like one that is too long, and the node goes on.
#[test]
fn a_line_beyond_memory_is_skipped() {
    let mut command = std::process::Command::new("bash");
    let binary = env!("CARGO_BIN_EXE_messenger");
    command.args(["-c", &format!("ulimit -v 400000; exec {binary} --max-line 1GiB")]);
    let mut node = Node::spawn(&mut command);
    assert_eq!(node.ask(INIT), INIT_OK);
    let mib = vec![b'1'; 1 << 20];
    for line in [r#"{"src":"c1","dest":"n1","body":{"type":"echo","echo":""#, "["] {
        let stdin = node.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        for _ in 0..300 {
            stdin.write_all(&mib).unwrap();
        }
        node.send("");
        assert_eq!(node.ask(&echo(1, "1")).replace("\"msg_id\":2", "\"msg_id\":1"), echo_ok(1, "1", 1));
    }
    assert!(node.end().contains("bytes are more than a line may have, or than there is memory for"));
}

#[test]
fn the_flags_of_a_shared_pipe_are_never_touched() {
    let (reader, writer) = std::io::pipe().unwrap();
    let (out_reader, out_writer) = std::io::pipe().unwrap();
    let mut child = messenger(&[])
        .stdin(reader.try_clone().unwrap())
        .stdout(out_writer.try_clone().unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _watchdog = watch(&child);
    (&writer).write_all(format!("{INIT}\n").as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(out_reader).read_line(&mut line).unwrap();
    for shared in [OwnedFd::from(reader), OwnedFd::from(out_writer)] {
        assert!(!fcntl_getfl(&shared).unwrap().contains(OFlags::NONBLOCK));
    }
    drop(writer);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_terminal() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    let terminal = File::options().read(true).write(true).open(name).unwrap();
    let mut child = messenger(&[])
        .stdin(terminal.try_clone().unwrap())
        .stdout(terminal.try_clone().unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _watchdog = watch(&child);
    let mut controller = File::from(controller);
    // All at once, as when it is pasted: a terminal hands out a line a read.
    controller.write_all(format!("{INIT}\n{}\n{}\n", echo(1, "1"), echo(2, "2")).as_bytes()).unwrap();
    let mut screen = BufReader::new(controller.try_clone().unwrap());
    let (mut line, mut answers) =
        (String::new(), vec![INIT_OK.to_owned(), echo_ok(1, "1", 1), echo_ok(2, "2", 2)]);
    // It echoes what is typed.
    while !answers.is_empty() {
        line.clear();
        screen.read_line(&mut line).unwrap();
        answers.retain(|answer| answer != line.trim_end());
    }
    assert!(
        !fcntl_getfl(&terminal).unwrap().contains(OFlags::NONBLOCK),
        "the shell's terminal is left alone"
    );
    controller.write_all(b"\x04").unwrap();
    assert!(child.wait().unwrap().success(), "Ctrl-D ends it");
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(stderr.contains("Ctrl-D"), "{stderr}");
}

#[test]
fn a_closed_stdout_ends_it_quietly() {
    let mut command = messenger(&[]);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut child = command.stdin(Stdio::piped()).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    drop(command);
    let _watchdog = watch(&child);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all((INIT.to_owned() + "\n").as_bytes()).unwrap();
    let mut stdout = BufReader::new(reader);
    stdout.read_line(&mut String::new()).unwrap();
    drop(stdout);
    // More than once: a process that another test is just starting may hold our end for a moment.
    while stdin.write_all((echo(1, "1") + "\n").as_bytes()).is_ok() {}
    assert!(child.wait().unwrap().success());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(stderr.starts_with("messenger: info: n1: ") && stderr.lines().count() == 2, "{stderr}");
}

#[test]
fn signals_flush_and_end() {
    for signal in ending_signals() {
        let mut node = Node::initialised();
        assert_eq!(node.ask(&echo(1, "1")), echo_ok(1, "1", 1));
        kill(node.child.id(), signal);
        assert!(node.child.wait().unwrap().success(), "{signal}");
        let mut stderr = String::new();
        node.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert!(stderr.contains("n1: 2 lines in, 2 messages out"), "{stderr}");
    }
}

#[test]
fn a_signal_leaves_a_blocked_stdout_time_to_be_read() {
    let mut node = Node::initialised();
    let mut stdin = node.stdin.take().unwrap();
    let value = format!("\"{}\"", "x".repeat(300_000));
    let line = echo(1, &value) + "\n";
    stdin.write_all(line.as_bytes()).unwrap();
    // Its answer does not fit into the pipe. Once that has begun to come, the node has it all.
    assert_eq!(node.stdout.fill_buf().unwrap()[0], b'{');
    kill(node.child.id(), "TERM");
    thread::sleep(Duration::from_millis(50));
    assert_eq!(node.line(), echo_ok(1, &value, 1));
    assert!(node.wait().success());
}

#[test]
fn a_signal_does_not_wait_for_ever() {
    let mut node = Node::spawn(&mut messenger(&["--drain-timeout", "0.1"]));
    assert_eq!(node.ask(INIT), INIT_OK);
    node.send(&echo(1, &format!("\"{}\"", "x".repeat(300_000))));
    assert_eq!(node.stdout.fill_buf().unwrap()[0], b'{');
    kill(node.child.id(), "TERM");
    assert!(node.child.wait().unwrap().success());
}

#[test]
fn a_second_signal_ends_the_wait() {
    let mut node = Node::spawn(&mut messenger(&["--drain-timeout", "10000"]));
    assert_eq!(node.ask(INIT), INIT_OK);
    node.send(&echo(1, &format!("\"{}\"", "x".repeat(300_000))));
    assert_eq!(node.stdout.fill_buf().unwrap()[0], b'{');
    kill(node.child.id(), "TERM");
    while node.child.try_wait().unwrap().is_none() {
        // Signals of one kind that come too fast are one signal.
        thread::sleep(Duration::from_millis(20));
        kill(node.child.id(), "TERM");
    }
    assert!(node.child.wait().unwrap().success());
}

/// stderr is a pipe too: a node must not hang because nobody empties it.
#[test]
fn a_full_stderr_does_not_block() {
    let mut node = Node::initialised();
    for _ in 0..5 {
        node.send(&"nonsense\n".repeat(1000));
    }
    assert_eq!(node.ask(&echo(1, "1")), echo_ok(1, "1", 1));
    let stderr = node.end();
    assert!(stderr.len() >= 60_000, "the pipe was not full");
}

#[test]
fn panics_on_a_full_stderr_do_not_block_either() {
    let mut node = Node::spawn(&mut example("panicking"));
    assert_eq!(node.ask(INIT), INIT_OK);
    for n in 1..=2000 {
        let answer = node.ask(&echo(n, "1"));
        assert!(answer.contains("the handler of \\\"echo\\\" panicked: no \\\"echo\\\" today"), "{answer}");
    }
    let stderr = node.end();
    assert!(stderr.contains("error: a panic at tests/nodes/panicking.rs:"), "{stderr}");
}

#[test]
fn a_peer_that_hangs_up_on_its_answers_is_no_error() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let theirs = OwnedFd::from(theirs);
    let mut child = messenger(&[])
        .stdin(theirs.try_clone().unwrap())
        .stdout(theirs)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _watchdog = watch(&child);
    (&ours).write_all(format!("{INIT}\n").as_bytes()).unwrap();
    BufReader::new(&ours).read_line(&mut String::new()).unwrap();
    (&ours).write_all((echo(1, "1") + "\n").as_bytes()).unwrap();
    drop(ours);
    assert!(child.wait().unwrap().success());
}

/// In real time, and only from below: a call waits for its second, and the end of the input for the call.
#[test]
fn the_end_of_the_input_waits_for_pending_calls() {
    let proxy =
        r#"{"src":"c1","dest":"n1","body":{"type":"proxy","msg_id":2,"target":"n2","inner":{"type":"x"}}}"#;
    let start = Instant::now();
    let (messages, stderr) = answers(&[INIT, proxy]);
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(
        (&messages[2]["body"]["code"], &messages[2]["body"]["text"]),
        (&0.into(), &"RPC timeout".into())
    );
    assert!(stderr.contains("1 calls, 1 calls reaped"), "{stderr}");
    let output = run(messenger(&["--drain-timeout", "0"]), format!("{INIT}\n{proxy}\n").as_bytes());
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().lines().count(),
        2,
        "it does not wait for longer than it may"
    );
}

fn proxies(count: u64) -> String {
    let proxy = |id| {
        format!(
            r#"{{"src":"c1","dest":"n1","body":{{"type":"proxy","msg_id":{id},"target":"n2","inner":{{"type":"x"}}}}}}"#
        )
    };
    (1..=count).map(|id| proxy(id) + "\n").collect()
}

/// More is due than stdout takes, and nobody reads it until the node has given up waiting.
#[test]
fn it_ends_though_its_output_was_full_when_it_gave_up_waiting() {
    let mut node = Node::spawn(&mut messenger(&["--drain-timeout", "1.2"]));
    let mut stdin = node.stdin.take().unwrap();
    let input = format!("{INIT}\n{}", proxies(20_000));
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()));
    thread::sleep(Duration::from_millis(2500));
    let mut output = String::new();
    node.stdout.read_to_string(&mut output).unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.ends_with('\n') && output.starts_with(INIT_OK));
    assert!(node.wait().success());
}

/// A node that was stopped finds that all its timers are over. The answers that came meanwhile come first.
#[test]
fn a_stopped_node_that_continues_takes_its_answers_before_its_timers() {
    const COUNT: usize = 100;
    loop {
        let mut node = Node::initialised();
        let start = Instant::now();
        node.send(proxies(COUNT as u64).trim_end());
        for _ in 0..COUNT {
            assert!(node.line().contains(r#""dest":"n2""#));
        }
        kill(node.child.id(), "STOP");
        if start.elapsed() > Duration::from_millis(500) {
            // The machine is so slow that a call may have been over before the node was stopped.
            continue;
        }
        for id in 1..=COUNT {
            node.send(&format!(r#"{{"src":"n2","dest":"n1","body":{{"type":"x_ok","in_reply_to":{id}}}}}"#));
        }
        thread::sleep(Duration::from_millis(1200));
        kill(node.child.id(), "CONT");
        let answered = (0..COUNT).filter(|_| node.line().contains("proxy_ok")).count();
        assert_eq!(answered, COUNT);
        return;
    }
}

#[test]
fn nothing_but_messages_on_stdout() {
    let (messages, stderr) = answers(&["", "{", INIT, "nonsense", &echo(1, "1"), "[]"]);
    assert_eq!(messages.len(), 2);
    assert_eq!(stderr.lines().count(), 6, "four complaints, the summary and the report: {stderr}");
}
