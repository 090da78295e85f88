//! A process of a node: started in a group of its own, and ended with whatever it started.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::assertions::WORKBENCH;

/// A process and whatever it started, until this is dropped: a node runs until it is killed, as under Maelstrom.
pub(in crate::workbench) struct Running {
    child: Child,
    /// The value of [`WORKBENCH`] in its environment.
    mark: String,
}

impl Running {
    pub(in crate::workbench) fn spawn(command: &mut Command) -> io::Result<Self> {
        static STARTED: AtomicU64 = AtomicU64::new(0);
        let mark = format!("{}-{}", std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed));
        // A group of its own, so that a Ctrl-C is for us alone.
        let child = command.process_group(0).env(WORKBENCH, &mark).spawn()?;
        Ok(Self { child, mark })
    }

    /// Its pipes, if it was started with all three and they were not taken.
    pub(in crate::workbench) fn pipes(&mut self) -> Option<(ChildStdin, ChildStdout, ChildStderr)> {
        self.child
            .stdin
            .take()
            .zip(self.child.stdout.take())
            .zip(self.child.stderr.take())
            .map(|((stdin, stdout), stderr)| (stdin, stdout, stderr))
    }

    /// How it ended, if it has.
    pub(in crate::workbench) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Ends it, and whatever it started.
    pub(in crate::workbench) fn kill(&mut self) {
        // What is killed may have started something meanwhile.
        const ROUNDS: usize = 10;
        for _ in 0..ROUNDS {
            if !self.signal(Signal::KILL) {
                break;
            }
        }
        let _ = self.child.wait();
    }

    /// Sends a signal to the process, its group, and whatever else carries its mark. Whether there was anything else.
    pub(super) fn signal(&self, signal: Signal) -> bool {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended, which others notice.
            let _ = kill_process_group(pid, signal);
        }
        let others: Vec<Pid> = marked(&self.mark).filter(|&other| Some(other) != pid).collect();
        for &other in &others {
            let _ = kill_process(other, signal);
        }
        !others.is_empty()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The processes that have this mark in their environment; none where there is no `/proc`. Dead ones have none.
fn marked(mark: &str) -> impl Iterator<Item = Pid> {
    let entry = format!("{WORKBENCH}={mark}").into_bytes();
    fs::read_dir("/proc").into_iter().flatten().filter_map(move |process| {
        let process = process.ok()?;
        let pid = Pid::from_raw(process.file_name().to_str()?.parse().ok()?)?;
        let environment = fs::read(process.path().join("environ")).ok()?;
        environment.split(|&byte| byte == 0).any(|variable| variable == entry).then_some(pid)
    })
}
