//! What must always hold in a handler, and what should happen sometimes: [`always!`](crate::always) and
//! [`sometimes!`](crate::sometimes).
//!
//! In virtual time the thread that runs the nodes [watches](Watch) them. A node that is a process knows by the variable
//! [`WORKBENCH`] in its environment that it is tested, and writes a line to stderr, which a node in any language may write,
//! too:
//!
//! | line | means |
//! | --- | --- |
//! | `always! broken: TEXT; STATE` | ends the test, which is invalid |
//! | `sometimes! yes: TEXT` | the situation occurred |
//! | `sometimes! no: TEXT` | it was looked for, and not there |
//!
//! Of a line of more than 64 KiB the beginning is read: it still ends a test, and names no situation.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::env;
use std::fmt::{Debug, Write as _};
use std::io::{self, Write as _};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use log::error;

/// Asserts in a handler that something holds: `always!(condition, "text", state…)`.
///
/// Where it does not, a test ends as invalid, with the text and the state: each expression and its value. `messenger
/// explore` cuts such a test down as long as the same text is its reason. A node that nobody tests logs it as an error,
/// once for each place, and goes on.
///
/// ```
/// # let (applied, committed) = (1, 2);
/// messenger::always!(applied <= committed, "nothing is applied before it is committed", applied, committed);
/// ```
#[macro_export]
macro_rules! always {
    ($condition:expr, $text:literal $(, $state:expr)* $(,)?) => {
        if !$condition {
            static IS_LOGGED: ::std::sync::atomic::AtomicBool = ::std::sync::atomic::AtomicBool::new(false);
            $crate::assertions::broken(&IS_LOGGED, $text, &[$((::std::stringify!($state), &$state)),*]);
        }
    };
}

/// Names a situation in a handler that should occur in some test: `sometimes!(condition, "text")`. At its end `messenger
/// explore` tells which never did.
///
/// It knows of those that were reached; so one which is in code that never ran is not among them. To be told of it
/// even so, name it where it is surely reached: `sometimes!(false, "text")` in
/// [`on_init`](crate::Handler::on_init). Of the same text it takes one that occurred. The condition is looked at in tests
/// only.
///
/// ```
/// # let votes = 3;
/// messenger::sometimes!(votes == 2, "an election is won by one vote");
/// ```
#[macro_export]
macro_rules! sometimes {
    ($condition:expr, $text:literal $(,)?) => {
        if $crate::assertions::is_tested() {
            static TOLD: ::std::sync::atomic::AtomicU8 = ::std::sync::atomic::AtomicU8::new(0);
            $crate::assertions::looked(&TOLD, $text, $condition);
        }
    };
}

/// The variable in the environment of a node which says that it is tested.
pub const WORKBENCH: &str = "MESSENGER_NODE_PROCESS";

static IS_TESTED_PROCESS: LazyLock<bool> = LazyLock::new(|| env::var_os(WORKBENCH).is_some());

thread_local! {
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
    static SEEN: RefCell<Seen> = RefCell::default();
}

/// What was seen on this thread.
#[derive(Default)]
struct Seen {
    broken: Option<String>,
    sometimes: BTreeMap<&'static str, bool>,
}

/// Takes note of all assertions on this thread for as long as it lives.
#[derive(Debug)]
pub struct Watch(());

impl Watch {
    /// Begins to watch.
    #[must_use]
    pub fn start() -> Self {
        IS_WATCHED.set(true);
        SEEN.take();
        Self(())
    }

    /// What was broken since it was asked last: the text and the state.
    pub fn take_broken(&self) -> Option<String> {
        SEEN.with_borrow_mut(|seen| seen.broken.take())
    }

    /// Each situation that was looked for, and whether it occurred.
    pub fn sometimes(&self) -> BTreeMap<&'static str, bool> {
        SEEN.with_borrow(|seen| seen.sometimes.clone())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        IS_WATCHED.set(false);
    }
}

/// What a line on the stderr of a node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told<'a> {
    /// Something does not hold: the text and the state.
    Broken(&'a str),
    /// A situation, and whether it occurred.
    Sometimes(&'a str, bool),
}

impl<'a> Told<'a> {
    /// Reads a line, if it says anything of assertions.
    pub fn parse(line: &'a str) -> Option<Self> {
        let rest = |prefix| line.strip_prefix(prefix).map(str::trim_end);
        rest("always! broken: ")
            .map(Self::Broken)
            .or_else(|| rest("sometimes! yes: ").map(|text| Self::Sometimes(text, true)))
            .or_else(|| rest("sometimes! no: ").map(|text| Self::Sometimes(text, false)))
    }
}

/// Of [`always!`](crate::always): the condition does not hold.
#[doc(hidden)]
#[cold]
pub fn broken(is_logged: &AtomicBool, text: &'static str, state: &[(&str, &dyn Debug)]) {
    let mut told = text.to_owned();
    for (name, value) in state {
        let _ = write!(told, "; {name} = {value:?}");
    }
    if IS_WATCHED.get() {
        SEEN.with_borrow_mut(|seen| {
            seen.broken.get_or_insert(told);
        });
    } else if *IS_TESTED_PROCESS {
        tell(&format!("always! broken: {}", told.replace('\n', " ")));
    } else if !is_logged.swap(true, Ordering::Relaxed) {
        error!("this should always hold: {told}");
    }
}

/// Of [`sometimes!`](crate::sometimes): whether the condition is to be looked at.
#[doc(hidden)]
#[inline]
pub fn is_tested() -> bool {
    IS_WATCHED.get() || *IS_TESTED_PROCESS
}

/// Of [`sometimes!`](crate::sometimes): what the condition is.
#[doc(hidden)]
pub fn looked(told: &AtomicU8, text: &'static str, occurs: bool) {
    const NO: u8 = 1;
    const YES: u8 = 2;
    if IS_WATCHED.get() {
        return SEEN.with_borrow_mut(|seen| *seen.sometimes.entry(text).or_default() |= occurs);
    }
    let now = if occurs { YES } else { NO };
    if told.fetch_max(now, Ordering::Relaxed) < now {
        tell(&format!("sometimes! {}: {text}", if occurs { "yes" } else { "no" }));
    }
}

/// Whoever reads it may be gone.
fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
