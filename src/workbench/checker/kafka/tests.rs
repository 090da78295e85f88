//! Histories of a few operations, each for one rule.

mod definitions;

use super::super::Interval;
use super::*;

/// One operation each, in the order in which they are done, one after the other.
#[derive(Default)]
struct Script {
    history: History,
    now: u64,
}

impl Script {
    fn message(&mut self, key: &str, value: i64) -> Message {
        let key = self.history.key(key);
        self.history.message(key, Payload::Integer(value))
    }

    fn push(&mut self, process: u64, completion: Completion, action: Action) -> &mut Self {
        self.now += 1_000_000;
        let (invoked, completed) = (Instant::from_micros(self.now), Instant::from_micros(self.now + 500_000));
        let interval = Interval { invoked, completed };
        self.history.push(LogOperation { process, node: None, interval, completion, action });
        self
    }

    fn send(&mut self, process: u64, key: &str, value: i64, offset: i64) -> &mut Self {
        let message = self.message(key, value);
        self.push(process, Completion::Ok, Action::Send { message, offset: Some(offset) })
    }

    /// A send without an answer, or one that failed.
    fn attempt(&mut self, process: u64, key: &str, value: i64, completion: Completion) -> &mut Self {
        let message = self.message(key, value);
        self.push(process, completion, Action::Send { message, offset: None })
    }

    fn poll(&mut self, process: u64, key: &str, pairs: &[(i64, i64)]) -> &mut Self {
        let list = pairs.iter().map(|&(offset, value)| (offset, self.message(key, value))).collect();
        let lists = vec![(self.history.key(key), list)];
        self.push(process, Completion::Ok, Action::Poll { lists, commit: Commit::None })
    }

    fn assign(&mut self, process: u64, keys: &[&str], committed: &[(&str, i64)]) -> &mut Self {
        let committed = committed.iter().map(|&(key, offset)| (self.history.key(key), offset)).collect();
        let keys = keys.iter().map(|key| self.history.key(key)).collect();
        self.push(process, Completion::Ok, Action::Assign { keys, start: Start::Committed, committed })
    }

    fn rewind(&mut self, process: u64, keys: &[&str]) -> &mut Self {
        let keys = keys.iter().map(|key| self.history.key(key)).collect();
        let action = Action::Assign { keys, start: Start::Rewind, committed: Vec::new() };
        self.push(process, Completion::Ok, action)
    }

    /// The names of the anomalies.
    fn found(&self) -> Vec<&'static str> {
        check(&self.history).anomalies.keys().map(|kind| kind.name()).collect()
    }

    fn explain(&self) -> Vec<String> {
        check(&self.history).explain()
    }

    fn verdict(&self) -> Verdict {
        check(&self.history).verdict
    }
}

fn script() -> Script {
    Script::default()
}

/// The cases K04, K10, K12 and K13 of the oracles.
#[test]
fn agrees_with_small_histories_that_were_judged() {
    let mut skips = script();
    for (process, value) in [(3, 1), (4, 2), (5, 3), (6, 4), (7, 7)] {
        skips.attempt(process, "x", value, Completion::Info);
    }
    skips.poll(0, "x", &[(1, 1), (2, 2)]).poll(1, "x", &[(3, 3)]).poll(0, "x", &[(4, 4)]);
    skips.send(2, "x", 6, 6).poll(0, "x", &[(7, 7)]);
    assert_eq!(skips.found(), ["lost-write", "unseen", "poll-skip"]);
    assert_eq!(check(&skips.history).anomalies[&Kind::Skip].total, 2);

    let mut twice = script();
    twice.send(0, "x", 1, 1).attempt(1, "x", 2, Completion::Info).poll(2, "x", &[(2, 2), (3, 1)]);
    assert_eq!(twice.found(), ["duplicate"]);

    let mut early = script();
    early.poll(1, "x", &[(0, 1)]).send(0, "x", 1, 0);
    assert_eq!(early.found(), ["G1c-realtime"]);

    let mut sparse = script();
    sparse.send(0, "x", 1, 5).send(0, "x", 2, 9).poll(1, "x", &[(5, 1), (9, 2)]);
    assert_eq!((sparse.found(), sparse.verdict()), (vec![], Verdict::Valid));
}

#[test]
fn offsets_of_any_size_cost_nothing() {
    let mut huge = script();
    let last = i64::MAX;
    huge.assign(1, &["x"], &[]).send(0, "x", 1, 1 << 53).send(0, "x", 2, last);
    huge.poll(1, "x", &[(1 << 53, 1), (last, 2)]);
    assert_eq!((huge.found(), huge.verdict()), (vec![], Verdict::Valid));
}

#[test]
fn without_messages_nothing_is_known() {
    assert_eq!(script().verdict(), Verdict::Unknown);
    let mut nothing = script();
    nothing.attempt(0, "x", 1, Completion::Info).poll(1, "x", &[]);
    assert_eq!(nothing.verdict(), Verdict::Unknown);
    assert_eq!(nothing.explain(), ["no message was sent or polled, so nothing can be said about them"]);
}

#[test]
fn what_failed_is_not_polled_and_what_may_have_happened_may() {
    let mut failed = script();
    failed.attempt(0, "x", 1, Completion::Fail).poll(1, "x", &[(0, 1)]);
    assert_eq!(failed.found(), ["G1a"]);
    let mut maybe = script();
    maybe.attempt(0, "x", 1, Completion::Info).poll(1, "x", &[(0, 1)]);
    assert_eq!((maybe.found(), maybe.verdict()), (vec![], Verdict::Valid));
    let mut unsent = script();
    unsent.send(0, "x", 1, 0).poll(1, "x", &[(0, 1), (1, 9)]);
    assert_eq!(unsent.found(), ["phantom"]);
    assert_eq!(
        unsent.explain(),
        ["phantom: key x: message 9 was polled at offset 1 (process 1, 2.500 s), but nobody ever sent it"]
    );
}

#[test]
fn two_messages_at_one_offset_and_what_comes_of_it() {
    let mut reused = script();
    reused.send(0, "x", 1, 0).send(1, "x", 2, 0).poll(2, "x", &[(0, 2)]);
    assert_eq!(reused.found(), ["inconsistent-offsets", "lost-write", "unseen"]);
    assert_eq!(
        reused.explain()[0],
        "inconsistent-offsets: key x: two messages are at offset 0: 1 (process 0, 1.500 s) and 2 (process 1, \
         2.500 s)"
    );
}

#[test]
fn a_poll_follows_the_log() {
    let mut sent = script();
    for value in 0..5 {
        sent.send(0, "x", value, 10 * value);
    }
    let with = |pairs: &[(i64, i64)]| {
        let mut script = Script { history: sent.history.clone(), now: sent.now };
        script.poll(8, "x", &[(0, 0), (10, 1), (20, 2), (30, 3), (40, 4)]).poll(1, "x", pairs);
        (script.found(), script.explain())
    };
    assert_eq!(with(&[(0, 0), (10, 1)]).0, [""; 0]);
    let (found, explained) = with(&[(0, 0), (30, 3)]);
    assert_eq!(found, ["int-poll-skip"]);
    assert_eq!(
        explained,
        [
            "int-poll-skip: key x: one poll (process 1, 7.500 s) returned 0 at offset 0 and next 3 at offset 30, \
          without 1 at offset 10 and 1 more"
        ]
    );
    assert_eq!(with(&[(10, 1), (0, 0)]).0, ["int-nonmonotonic-poll"]);
    assert_eq!(with(&[(10, 1), (10, 1)]).0, ["int-nonmonotonic-poll"]);
}

#[test]
fn a_process_polls_on_where_it_was_until_it_is_assigned_anew() {
    let mut sent = script();
    for value in 0..4 {
        sent.send(0, "x", value, value).send(0, "y", value, value);
    }
    sent.assign(9, &["x", "y"], &[]);
    for key in ["x", "y"] {
        sent.poll(9, key, &[(0, 0), (1, 1), (2, 2), (3, 3)]);
    }
    let with = |act: &dyn Fn(&mut Script)| {
        let mut script = Script { history: sent.history.clone(), now: sent.now };
        script.assign(1, &["x"], &[]).poll(1, "x", &[(0, 0), (1, 1)]);
        act(&mut script);
        script.found()
    };
    assert_eq!(
        with(&|script| {
            script.poll(1, "x", &[(2, 2)]);
        }),
        [""; 0]
    );
    assert_eq!(
        with(&|script| {
            script.poll(1, "x", &[(3, 3)]);
        }),
        ["poll-skip"]
    );
    let again = ["nonmonotonic-poll", "below-requested-offset"];
    assert_eq!(
        with(&|script| {
            script.poll(1, "x", &[(1, 1)]);
        }),
        again
    );
    // An empty list is no reason to forget.
    assert_eq!(
        with(&|script| {
            script.poll(1, "x", &[]).poll(1, "x", &[(3, 3)]);
        }),
        ["poll-skip"]
    );
    let kept = |script: &mut Script| {
        script.assign(1, &["y", "x"], &[("x", 0)]).poll(1, "x", &[(3, 3)]);
    };
    assert_eq!(with(&kept), ["poll-skip"]);
    let away = |script: &mut Script| {
        script.assign(1, &["y"], &[]).assign(1, &["x"], &[]).poll(1, "x", &[(0, 0)]);
    };
    assert_eq!(with(&away), [""; 0]);
    assert_eq!(
        with(&|script| {
            script.rewind(1, &["x"]).poll(1, "x", &[(0, 0)]);
        }),
        [""; 0]
    );
    let failed = |script: &mut Script| {
        let action = Action::Poll { lists: Vec::new(), commit: Commit::None };
        script.push(1, Completion::Fail, action).poll(1, "x", &[(3, 3)]);
    };
    assert_eq!(with(&failed), [""; 0], "it may have been given what it does not tell");
    assert_eq!(
        with(&|script| {
            script.poll(1, "y", &[(0, 0)]);
        }),
        ["unasked-key"]
    );
    assert_eq!(
        with(&|script| {
            script.poll(2, "x", &[(0, 0)]);
        }),
        ["unasked-key"],
        "asks for nothing"
    );
}

#[test]
fn committed_offsets_were_committed_by_somebody() {
    let with = |committed: &[(&str, i64)]| {
        let mut script = script();
        script.send(0, "x", 1, 0).send(0, "x", 2, 1).assign(1, &["x"], &[]).poll(1, "x", &[(0, 1), (1, 2)]);
        script.assign(2, &["x", "y"], committed);
        script.found()
    };
    assert_eq!(with(&[]), [""; 0]);
    assert_eq!(with(&[("x", 0)]), [""; 0], "it need not be fresh");
    assert_eq!(with(&[("x", 1)]), [""; 0]);
    assert_eq!(with(&[("x", 2)]), ["commit-from-nowhere"]);
    assert_eq!(with(&[("y", 0)]), ["commit-from-nowhere"]);

    let mut unsure = script();
    unsure.send(0, "x", 1, 0).assign(1, &["x"], &[]).poll(1, "x", &[(0, 1)]);
    unsure.push(2, Completion::Info, Action::Poll { lists: Vec::new(), commit: Commit::None });
    assert_eq!(
        unsure.assign(3, &["x"], &[("x", 9)]).found(),
        [""; 0],
        "nobody knows what process 2 committed"
    );
}

#[test]
fn a_consumer_starts_after_what_was_committed() {
    let mut script = script();
    script.send(0, "x", 1, 0).send(0, "x", 2, 1).send(0, "x", 3, 2).assign(1, &["x"], &[]);
    script.poll(1, "x", &[(0, 1), (1, 2), (2, 3)]).assign(2, &["x"], &[("x", 1)]).poll(
        2,
        "x",
        &[(1, 2), (2, 3)],
    );
    assert_eq!(script.found(), ["below-requested-offset"]);
    assert_eq!(
        script.explain(),
        [
            "below-requested-offset: key x: a poll (process 2, 7.500 s) asked for offset 2 and what follows, and was \
          given 2 at offset 1, too"
        ]
    );
}

#[test]
fn commits_that_never_succeed_are_no_commits() {
    let with = |commits: &[Commit]| {
        let mut script = script();
        script.send(0, "x", 1, 0).assign(1, &["x"], &[]).poll(1, "x", &[(0, 1)]);
        for &commit in commits {
            script.push(1, Completion::Ok, Action::Poll { lists: Vec::new(), commit });
        }
        script.verdict()
    };
    assert_eq!(with(&[]), Verdict::Valid);
    assert_eq!(with(&[Commit::Failed, Commit::Ok]), Verdict::Valid);
    assert_eq!(with(&[Commit::Failed, Commit::None]), Verdict::Unknown);
    assert_eq!(with(&[Commit::Failed; COMMITS_MIN - 1]), Verdict::Unknown);
    assert_eq!(with(&[Commit::Failed; COMMITS_MIN]), Verdict::Invalid);
}

#[test]
fn what_was_sent_comes_after_what_was_sent_before() {
    let mut back = script();
    back.send(0, "x", 1, 5).assign(0, &["y"], &[]).send(0, "x", 2, 4);
    back.assign(1, &["x"], &[]).poll(1, "x", &[(4, 2), (5, 1)]);
    assert_eq!(back.found(), ["nonmonotonic-send"], "an assign does not change what was sent");
}

#[test]
fn who_could_not_look_in_the_end_saw_nothing() {
    let with = |completion| {
        let mut script = script();
        script.send(0, "x", 1, 0).rewind(1, &["x"]).rewind(2, &["x"]).poll(1, "x", &[]);
        script.push(2, completion, Action::Poll { lists: Vec::new(), commit: Commit::None });
        (script.verdict(), script.found(), script.explain().len())
    };
    assert_eq!(with(Completion::Ok), (Verdict::Invalid, vec!["unseen"], 1));
    assert_eq!(with(Completion::Info), (Verdict::Unknown, vec!["unseen"], 2));
}

#[test]
fn lag_is_how_long_there_was_something_newer() {
    let mut script = script();
    script.send(0, "x", 1, 0).send(0, "x", 2, 1).assign(1, &["x"], &[]).poll(1, "x", &[(0, 1)]);
    script.poll(1, "x", &[(1, 2)]);
    let report = check(&script.history);
    // The second message was there at 2.5 s, and at 4 s a poll began that ends before it.
    let worst = report.worst_lag.map(|lag| (lag.at.as_micros(), lag.process, lag.lag.as_micros()));
    assert_eq!(worst, Some((4_000_000, 1, 1_500_000)));
    assert_eq!((report.lags_by_process.len(), report.lags_by_key.len()), (1, 1));
}

#[test]
fn unseen_messages_are_counted_over_time() {
    let mut script = script();
    script.send(0, "x", 1, 0).send(0, "x", 2, 1).poll(1, "x", &[(0, 1)]).send(0, "y", 1, 0);
    let counts: Vec<_> = check(&script.history)
        .unseen
        .into_iter()
        .map(|(at, Key(key), count)| (at.as_micros() / 1_000, key, count))
        .collect();
    assert_eq!(counts, [(1_500, 0, 1), (2_500, 0, 2), (3_500, 0, 1), (4_500, 1, 1)]);
}

/// A broken node answers every send with the same offset.
#[test]
fn many_messages_at_one_offset_are_sorted_once() {
    let mut script = script();
    for value in 0..100_000 {
        script.send(0, "x", value, 0);
    }
    let report = check(&script.history);
    assert_eq!(report.anomalies[&Kind::InconsistentOffsets].total, 1);
    assert_eq!(report.anomalies[&Kind::Unseen].total, 100_000);
}
