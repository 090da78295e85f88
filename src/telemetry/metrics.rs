//! What a node counts, and how long things take.

use std::fmt;
use std::mem;

use hdrhistogram::Histogram;

use super::ENABLED;
use super::label::Label;
use crate::json::text::excerpt;
use crate::json::write::WriteJson;
use crate::time::{Duration, Instant};

/// The longest time that a histogram tells apart, in microseconds: a minute. What takes longer counts as that, and
/// is counted apart.
const LONGEST_US: u64 = 60_000_000;

/// So many types of requests have a histogram each. The rest share one.
const TYPES_MAX: usize = 64;

/// So many peers have a histogram each: those that answered first. The rest share one.
const PEERS_MAX: usize = 64;

/// Types with longer names share it too.
const NAME_MAX: usize = 128;

/// A report is not longer than this. A pipe takes so much in one piece, or nothing: pipe(7).
const REPORT_MAX: usize = 4000;

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident: $what:literal,)*) => {
        /// How often each thing happened since the node started.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counters {
            /// Lines read, good or bad.
            pub lines: u64,
            /// Messages sent.
            pub sent: u64,
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl Counters {
            /// What there is beyond `lines` and `sent`: its name, how often, and what it means.
            fn others(&self) -> impl Iterator<Item = (&'static str, u64, &'static str)> {
                [$((stringify!($name), self.$name, $what)),*].into_iter()
            }
        }
    };
}

counters! {
    /// Lines that are not JSON, or no object.
    not_json: "not JSON",
    /// Lines that are JSON and no message.
    malformed: "malformed",
    /// Lines beyond the limit, skipped.
    too_long: "too long",
    /// Messages for somebody else, not handled.
    misaddressed: "for another node",
    /// Replies that nothing waits for, dropped.
    unmatched_replies: "replies that nothing waited for",
    /// Requests answered with an error.
    errors: "answered with an error",
    /// Handlers that panicked.
    panics: "handlers panicked",
    /// Calls to other nodes.
    calls: "calls",
    /// Attempts beyond the first of a call.
    retries: "retries",
    /// Calls whose time was up without an answer.
    reaped: "calls reaped",
    /// Calls that were not made, for want of room or because the peer's breaker was open.
    calls_refused: "calls refused",
    /// Answers to clients that had given up, dropped.
    late_answers: "answers too late",
    /// Requests that came again and got their first answer again.
    duplicates_answered: "duplicates answered from the cache",
    /// Requests that came again before their first answer, or whose answer was not kept; dropped.
    duplicates_dropped: "duplicates dropped",
    /// Records that were persisted.
    records: "records persisted",
    /// How often what was persisted was made durable, whatever there was of it together.
    syncs: "syncs",
    /// Messages that chaos dropped.
    chaos_dropped: "dropped by chaos",
    /// Messages that chaos sent twice.
    chaos_duplicated: "duplicated by chaos",
    /// Messages that did not fit into the trace file's buffer.
    trace_dropped: "missing from the trace",
}

/// `648 lines in, 648 messages out`, and after it whatever else happened.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lines in, {} messages out", self.lines, self.sent)?;
        for (_, count, what) in self.others().filter(|&(_, count, _)| count > 0) {
            write!(f, ", {count} {what}")?;
        }
        Ok(())
    }
}

/// How long requests and calls take. Nothing is allocated per message.
///
/// What a node sees of a request is its service time: from the arrival of its bytes to the end of the write that
/// takes its answer away, or, where a slow reader never lets the output run dry, to some write after the answer. How
/// long a request waited in the pipe before that, no node can know.
#[derive(Debug)]
pub struct Metrics {
    /// The turn that is measured: when its bytes arrived.
    turn: Instant,
    /// When the measuring began.
    since: Instant,
    all: LatencyHistogram,
    /// The types of requests. The first of them stands for those that have no place of their own.
    kinds: Vec<Kind>,
    /// The kind of the last request. The next one is often the same.
    latest: usize,
    /// The kinds of the requests that were answered in this turn.
    answered: Vec<KindId>,
    /// Answers that were not written yet, from other turns or to requests of other turns: their kind, the arrival,
    /// and how many.
    unwritten: Vec<(KindId, Instant, u64)>,
    /// The times of calls by peer, which is named by its place among the node's peers.
    round_trips: Vec<(usize, LatencyHistogram)>,
    /// Those of the peers for which there was no room.
    other_round_trips: LatencyHistogram,
}

/// So many groups of answers wait for their write. If there are more, their time ends then.
const UNWRITTEN_MAX: usize = 4096;

/// The requests of one type.
#[derive(Debug)]
struct Kind {
    name: Label,
    /// How many were answered in this turn.
    in_turn: u64,
    times: LatencyHistogram,
}

/// A type of requests, by its place in the list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KindId(usize);

/// What was measured of all requests since `init`, or since the node started where that is later.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// How many requests were answered.
    pub answered: u64,
    /// In what time.
    pub elapsed: Duration,
    /// The mean service time in microseconds.
    pub mean_us: f64,
    /// 99 of 100 took no longer than this many microseconds.
    pub p99_us: u64,
}

/// A histogram with fixed bounds: two digits, 1 µs to a minute.
#[derive(Debug)]
struct LatencyHistogram {
    histogram: Histogram<u64>,
    /// How many took longer than a minute.
    beyond: u64,
}

impl Metrics {
    /// Nothing was measured yet.
    pub(crate) fn new() -> Self {
        Self {
            turn: Instant::START,
            since: Instant::START,
            all: LatencyHistogram::new(),
            kinds: vec![Kind { name: Label::default(), in_turn: 0, times: LatencyHistogram::new() }],
            latest: 0,
            answered: Vec::new(),
            unwritten: Vec::new(),
            round_trips: Vec::new(),
            other_round_trips: LatencyHistogram::new(),
        }
    }

    /// Forgets what was measured, and begins anew.
    pub(crate) fn restart(&mut self, now: Instant) {
        *self = Self { turn: self.turn, since: now, ..Self::new() };
    }

    /// A turn begins, whose bytes arrived then.
    #[inline]
    pub(crate) fn start_turn(&mut self, arrived: Instant) {
        if self.turn != arrived {
            for KindId(place) in self.answered.drain(..) {
                let count = mem::take(&mut self.kinds[place].in_turn);
                self.unwritten.push((KindId(place), self.turn, count));
            }
            if self.unwritten.len() > UNWRITTEN_MAX {
                self.handle_written(arrived);
            }
            self.turn = arrived;
        }
    }

    /// All that was answered is written, now.
    #[inline]
    pub(crate) fn handle_written(&mut self, now: Instant) {
        let took = now - self.turn;
        for KindId(place) in self.answered.drain(..) {
            let kind = &mut self.kinds[place];
            let count = mem::take(&mut kind.in_turn);
            kind.times.record(took, count);
            self.all.record(took, count);
        }
        for (KindId(place), arrived, count) in self.unwritten.drain(..) {
            self.kinds[place].times.record(now - arrived, count);
            self.all.record(now - arrived, count);
        }
    }

    /// A request of this turn was answered.
    #[inline(always)]
    pub(crate) fn answered(&mut self, kind: &str) {
        if ENABLED {
            let kind = self.kind(kind);
            self.count(kind);
        }
    }

    /// A request of this turn was answered that nobody knows: its type is no type.
    pub(crate) fn answered_unknown(&mut self) {
        if ENABLED {
            self.count(KindId(0));
        }
    }

    #[inline(always)]
    fn count(&mut self, kind: KindId) {
        let KindId(place) = kind;
        let in_turn = &mut self.kinds[place].in_turn;
        *in_turn += 1;
        if *in_turn == 1 {
            self.answered.push(kind);
        }
    }

    /// A request of another turn was answered, which arrived then.
    pub(crate) fn answered_late(&mut self, kind: KindId, arrived: Instant) {
        if !ENABLED {
            return;
        }
        match self.unwritten.last_mut() {
            Some((latest, since, count)) if latest.0 == kind.0 && *since == arrived => *count += 1,
            _ => self.unwritten.push((kind, arrived, 1)),
        }
    }

    /// The type of that name.
    #[inline(always)]
    pub(crate) fn kind(&mut self, name: &str) -> KindId {
        if self.latest == 0 || !self.kinds[self.latest].name.is(name) {
            self.latest = self.find_kind(name);
        }
        KindId(self.latest)
    }

    #[cold]
    fn find_kind(&mut self, name: &str) -> usize {
        if name.len() > NAME_MAX {
            return 0;
        }
        let known = self.kinds[1..].iter().position(|kind| kind.name.is(name));
        match known {
            Some(place) => place + 1,
            None if self.kinds.len() > TYPES_MAX => 0,
            None => {
                self.kinds.push(Kind { name: Label::new(name), in_turn: 0, times: LatencyHistogram::new() });
                self.kinds.len() - 1
            }
        }
    }

    /// A call to this peer was answered after that time.
    #[inline]
    pub(crate) fn round_trip(&mut self, peer: usize, took: Duration) {
        if !ENABLED {
            return;
        }
        let times = match self.round_trips.iter().position(|&(known, _)| known == peer) {
            Some(place) => &mut self.round_trips[place].1,
            None if self.round_trips.len() == PEERS_MAX => &mut self.other_round_trips,
            None => {
                self.round_trips.push((peer, LatencyHistogram::new()));
                let (_, times) = self.round_trips.last_mut().expect("it was just put there");
                times
            }
        };
        times.record(took, 1);
    }

    /// What was measured of all requests until now.
    pub fn summary(&self, now: Instant) -> Summary {
        let times = &self.all.histogram;
        Summary {
            answered: times.len(),
            elapsed: now - self.since,
            mean_us: times.mean(),
            p99_us: times.value_at_quantile(0.99),
        }
    }

    /// The report, one JSON object. `peers` are the names of the node's peers.
    ///
    /// The types and peers with the most requests come first; those that do not fit are counted as `omitted`.
    pub(crate) fn report<'p>(
        &self,
        node: &str,
        now: Instant,
        counters: &Counters,
        peers: impl Iterator<Item = &'p str>,
    ) -> String {
        let mut out = Vec::new();
        out.extend_from_slice(b"{\"node\":");
        excerpt(node).write_json(&mut out);
        write_number(&mut out, "up_ms", now.as_micros() / 1000);
        write_number(&mut out, "lines", counters.lines);
        write_number(&mut out, "sent", counters.sent);
        for (name, count, _) in counters.others().filter(|&(_, count, _)| count > 0) {
            write_number(&mut out, name, count);
        }
        out.extend_from_slice(b",\"service_us\":{\"all\":");
        self.all.write_json(&mut out);
        let (others, kinds) = self.kinds.split_at(1);
        out.extend_from_slice(b",\"other_types\":");
        others[0].times.write_json(&mut out);
        out.extend_from_slice(b",\"by_type\":{");
        let names: Vec<_> = kinds.iter().map(|kind| kind.name.text()).collect();
        let kinds = names.iter().zip(kinds).map(|(name, kind)| (&**name, &kind.times));
        let mut omitted = write_times(&mut out, REPORT_MAX / 2, kinds);
        let peers: Vec<&str> = peers.collect();
        let calls: Vec<_> = self.round_trips.iter().map(|(peer, times)| (peers[*peer], times)).collect();
        let mut all = LatencyHistogram::new();
        for times in calls.iter().map(|(_, times)| *times).chain([&self.other_round_trips]) {
            all.histogram.add(&times.histogram).expect("they have the same bounds");
            all.beyond += times.beyond;
        }
        out.extend_from_slice(b"}},\"round_trip_us\":{\"all\":");
        all.write_json(&mut out);
        if !self.other_round_trips.histogram.is_empty() {
            out.extend_from_slice(b",\"other_peers\":");
            self.other_round_trips.write_json(&mut out);
        }
        out.extend_from_slice(b",\"by_peer\":{");
        omitted += write_times(&mut out, REPORT_MAX - 30, calls);
        out.extend_from_slice(b"}}");
        write_number(&mut out, "omitted", omitted);
        out.push(b'}');
        String::from_utf8(out).expect("it was written from strings")
    }
}

impl LatencyHistogram {
    fn new() -> Self {
        let histogram =
            Histogram::new_with_bounds(1, LONGEST_US, 2).expect("these are bounds for a histogram");
        Self { histogram, beyond: 0 }
    }

    fn record(&mut self, took: Duration, count: u64) {
        let micros = took.as_micros();
        if micros > LONGEST_US {
            self.beyond += count;
        }
        self.histogram.saturating_record_n(micros.min(LONGEST_US), count);
    }
}

/// `{"count":2,"mean":1.5,"p50":1,"p90":2,"p99":2,"p999":2,"max":2}`
impl WriteJson for LatencyHistogram {
    fn write_json(&self, out: &mut Vec<u8>) {
        let times = &self.histogram;
        out.extend_from_slice(b"{\"count\":");
        times.len().write_json(out);
        out.extend_from_slice(b",\"mean\":");
        ((times.mean() * 10.0).round() / 10.0).write_json(out);
        for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)] {
            write_number(out, name, times.value_at_quantile(quantile));
        }
        write_number(out, "max", times.max());
        if self.beyond > 0 {
            write_number(out, "beyond", self.beyond);
        }
        out.push(b'}');
    }
}

/// Appends members of an object until there is no room below `limit`; how many are missing.
fn write_times<'a>(
    out: &mut Vec<u8>,
    limit: usize,
    times: impl IntoIterator<Item = (&'a str, &'a LatencyHistogram)>,
) -> u64 {
    let mut times: Vec<_> = times.into_iter().filter(|(_, times)| !times.histogram.is_empty()).collect();
    times.sort_by_key(|(_, times)| std::cmp::Reverse(times.histogram.len()));
    let (mut text, mut omitted, mut is_first) = (Vec::new(), 0, true);
    for (name, times) in times {
        text.clear();
        name.write_json(&mut text);
        text.push(b':');
        times.write_json(&mut text);
        if out.len() + text.len() + 1 >= limit {
            omitted += 1;
            continue;
        }
        if !is_first {
            out.push(b',');
        }
        out.extend_from_slice(&text);
        is_first = false;
    }
    omitted
}

fn write_number(out: &mut Vec<u8>, name: &str, number: u64) {
    out.push(b',');
    name.write_json(out);
    out.push(b':');
    number.write_json(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn a_turn_is_measured_from_its_bytes_to_its_write() {
        let mut metrics = Metrics::new();
        metrics.restart(at(1_000_000));
        metrics.start_turn(at(1_000_100));
        let kind = metrics.kind("ask");
        for _ in 0..3 {
            metrics.answered("echo");
        }
        metrics.handle_written(at(1_000_140));
        assert_eq!(metrics.summary(at(3_000_000)).answered, 3);
        metrics.start_turn(at(1_002_000));
        metrics.answered_late(kind, at(1_000_100));
        // Stdout was full for two turns.
        metrics.answered("slow");
        metrics.start_turn(at(1_002_050));
        metrics.answered_unknown();
        metrics.handle_written(at(1_002_100));
        let summary = metrics.summary(at(3_000_000));
        assert_eq!((summary.answered, summary.elapsed), (6, Duration::from_secs(2)));
        let report = metrics.report("n1", at(3_000_000), &Counters::default(), [].into_iter());
        assert!(report.contains(r#""echo":{"count":3,"mean":40.0,"p50":40,"#), "{report}");
        assert!(report.contains(r#""ask":{"count":1,"mean":2004.0,"p50":2007,"#), "{report}");
        assert!(report.contains(r#""slow":{"count":1,"mean":100.0,"p50":100,"#), "{report}");
        assert!(report.contains(r#""other_types":{"count":1,"mean":50.0,"p50":50,"#), "{report}");
    }

    #[test]
    fn a_report_has_a_bound_and_stays_json() {
        let mut metrics = Metrics::new();
        let peers: Vec<String> = (0..100).map(|n| format!("{}{n}", "\"".repeat(1000))).collect();
        for n in 0..1000 {
            metrics.answered(if n == 0 { "all" } else { "" });
            metrics.answered(&format!("{}{n}", "type".repeat(n / 8)));
            metrics.round_trip(n % 100, Duration::from_secs(n as u64));
        }
        metrics.handle_written(at(100_000_000));
        let peers = peers.iter().map(String::as_str);
        let report = metrics.report(&"n".repeat(5000), at(100_000_000), &Counters::default(), peers);
        assert!(report.len() <= REPORT_MAX, "{}", report.len());
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["service_us"]["all"]["count"], 2000);
        assert_eq!(report["service_us"]["all"]["beyond"], 2000);
        assert_eq!(report["round_trip_us"]["all"]["beyond"], 939);
        assert!(report["omitted"].as_u64().unwrap() > 100, "{report}");
        assert!(metrics.kinds.len() <= TYPES_MAX + 1);
    }
}
