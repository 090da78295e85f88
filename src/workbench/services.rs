//! Maelstrom's services: what `lin-kv`, `seq-kv`, `lww-kv` and `lin-tso` answer.
//!
//! Keys and values are JSON. Two are the same if they mean the same, so `1` and `"1"` are two keys.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use fastrand::Rng;

use super::checker::canonical::canonical;
use crate::json::value::Value;
use crate::json::write::{Raw, WriteJson as _};
use crate::wire::envelope::Body;
use crate::wire::error::ErrorCode;

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Service {
    /// Every operation at one moment.
    LinKv,
    /// Each client sees all changes in one order, maybe late.
    SeqKv,
    /// The last of several writes wins.
    LwwKv,
    /// Counts.
    LinTso,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::LinKv, Self::SeqKv, Self::LwwKv, Self::LinTso];

    /// Whom a node writes to.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinKv => "lin-kv",
            Self::SeqKv => "seq-kv",
            Self::LwwKv => "lww-kv",
            Self::LinTso => "lin-tso",
        }
    }
}

/// The state of all services.
#[derive(Debug, Default)]
pub struct Services {
    lin: Linearizable,
    seq: Sequential,
    lww: LastWriteWins,
    timestamp: u64,
}

/// The canonical text of a key.
type Key = String;

/// A value, as it was written.
type Json = String;

/// A request to a key-value store.
enum Request {
    Read,
    Write(Json),
    Cas { from: Json, to: Json, creates: bool },
}

/// Why a request was refused: the code, and a text.
type Refusal = (ErrorCode, String);

impl Services {
    /// Answers a request: appends the members of the answer's body but `in_reply_to`. `false` if there is no
    /// answer: an unknown request gets none.
    pub fn answer(
        &mut self,
        service: Service,
        src: &str,
        body: &Body<'_>,
        rng: &mut Rng,
        out: &mut Vec<u8>,
    ) -> bool {
        if service == Service::LinTso {
            if body.kind != "ts" {
                return false;
            }
            out.extend_from_slice(b"\"type\":\"ts_ok\",\"ts\":");
            self.timestamp.write_json(out);
            self.timestamp += 1;
            return true;
        }
        let value = |name| body.get(name).map(|value| value.raw().to_owned());
        let request = match &*body.kind {
            "read" => Some(Request::Read),
            "write" => value("value").map(Request::Write),
            "cas" => value("from").zip(value("to")).map(|(from, to)| {
                let creates = body.get("create_if_not_exists").and_then(Value::as_bool);
                Request::Cas { from, to, creates: creates.unwrap_or_default() }
            }),
            _ => None,
        };
        let (Some(request), Some(key)) = (request, body.get("key")) else { return false };
        let key = canonical(key.raw());
        let kind: &[u8] = match request {
            Request::Read => b"\"type\":\"read_ok\"",
            Request::Write(_) => b"\"type\":\"write_ok\"",
            Request::Cas { .. } => b"\"type\":\"cas_ok\"",
        };
        let outcome = match service {
            Service::LinKv | Service::LinTso => self.lin.apply(&key, request),
            Service::SeqKv => self.seq.apply(src, &key, request, rng),
            Service::LwwKv => self.lww.apply(&key, request, rng),
        };
        match outcome {
            Ok(value) => {
                out.extend_from_slice(kind);
                if let Some(value) = value {
                    out.extend_from_slice(b",\"value\":");
                    Raw(value.as_bytes()).write_json(out);
                }
            }
            Err((code, text)) => {
                out.extend_from_slice(b"\"type\":\"error\",\"code\":");
                code.0.write_json(out);
                out.extend_from_slice(b",\"text\":");
                text.write_json(out);
            }
        }
        true
    }
}

/// What a request does to a key.
enum Effect {
    /// It reads the value.
    Nothing,
    /// It puts this in the value's place.
    Put(Json),
}

impl Request {
    /// What it does to a key that has this value; or why it is refused.
    fn effect(self, key: &str, value: Option<&str>) -> Result<Effect, Refusal> {
        let missing = || (ErrorCode::KEY_DOES_NOT_EXIST, format!("there is no key {key}"));
        match (self, value) {
            (Self::Read, value) => value.map(|_| Effect::Nothing).ok_or_else(missing),
            (Self::Write(value), _) | (Self::Cas { to: value, creates: true, .. }, None) => {
                Ok(Effect::Put(value))
            }
            (Self::Cas { .. }, None) => Err(missing()),
            (Self::Cas { from, to, .. }, Some(value)) if is_same(value, &from) => Ok(Effect::Put(to)),
            (Self::Cas { from, .. }, Some(value)) => {
                Err((ErrorCode::PRECONDITION_FAILED, format!("expected {from}, but the value is {value}")))
            }
        }
    }
}

fn is_same(value: &str, other: &str) -> bool {
    value == other || canonical(value) == canonical(other)
}

/// One state.
#[derive(Debug, Default)]
struct Linearizable {
    values: BTreeMap<Key, Json>,
}

impl Linearizable {
    /// What was read, if it was a read.
    fn apply(&mut self, key: &str, request: Request) -> Result<Option<&str>, Refusal> {
        let value = self.values.get(key).map(String::as_str);
        match request.effect(key, value)? {
            Effect::Put(value) => {
                self.values.insert(key.to_owned(), value);
                Ok(None)
            }
            Effect::Nothing => Ok(self.values.get(key).map(String::as_str)),
        }
    }
}

/// How many states `seq-kv` remembers.
const STATES: u64 = 32;

/// The newest states, numbered from 0, and which of them each client saw last.
///
/// One change makes the next state of the last one, so a key needs to remember its own changes alone.
#[derive(Debug, Default)]
struct Sequential {
    /// For each key its values, each with the first state that has it, the newest last.
    values: BTreeMap<Key, VecDeque<(u64, Json)>>,
    newest: u64,
    seen: HashMap<String, u64>,
}

impl Sequential {
    /// In some state that is no older than what this client saw last; a change happens in the newest.
    fn apply(
        &mut self,
        client: &str,
        key: &str,
        request: Request,
        rng: &mut Rng,
    ) -> Result<Option<&str>, Refusal> {
        let oldest = (self.newest + 1).saturating_sub(STATES);
        let seen = self.seen.get(client).copied().unwrap_or_default().max(oldest);
        let chosen = rng.u64(seen..=self.newest);
        let value = self.value_in(chosen, key);
        let changes = match (&request, value) {
            (Request::Read, _) => false,
            (Request::Write(value), old) => old.is_none_or(|old| !is_same(old, value)),
            (Request::Cas { from, to, .. }, Some(old)) => is_same(old, from) && !is_same(from, to),
            (Request::Cas { creates, .. }, None) => *creates,
        };
        if !changes {
            self.seen.insert(client.to_owned(), chosen);
            let value = self.value_in(chosen, key);
            let is_read = matches!(request, Request::Read);
            request.effect(key, value)?;
            return Ok(value.filter(|_| is_read));
        }
        self.seen.insert(client.to_owned(), self.newest);
        let Effect::Put(value) = request.effect(key, self.value_in(self.newest, key))? else {
            return Ok(None);
        };
        self.newest += 1;
        let values = self.values.entry(key.to_owned()).or_default();
        values.push_back((self.newest, value));
        // The second one is what the oldest state has.
        let oldest = (self.newest + 1).saturating_sub(STATES);
        while values.get(1).is_some_and(|(since, _)| *since <= oldest) {
            values.pop_front();
        }
        self.seen.insert(client.to_owned(), self.newest);
        Ok(None)
    }

    fn value_in(&self, state: u64, key: &str) -> Option<&str> {
        let values = self.values.get(key)?;
        values.iter().rev().find(|(since, _)| *since <= state).map(|(_, value)| value.as_str())
    }
}

/// Two replicas, each with a Lamport clock.
#[derive(Debug, Default)]
struct LastWriteWins {
    /// For each key when each replica last had it written, and what; none if it has no such key.
    values: BTreeMap<Key, [Option<(u64, Json)>; 2]>,
    /// The keys in which the replicas differ: a merge has to look at no other.
    differing: BTreeSet<Key>,
    clocks: [u64; 2],
}

impl LastWriteWins {
    /// Merges one replica into the other, at half of the requests as in Maelstrom, and asks one of them. It knows no
    /// `create_if_not_exists`.
    fn apply(&mut self, key: &str, mut request: Request, rng: &mut Rng) -> Result<Option<&str>, Refusal> {
        if let Request::Cas { creates, .. } = &mut request {
            *creates = false;
        }
        let (from, to, asked) = (rng.usize(0..2), rng.usize(0..2), rng.usize(0..2));
        if from != to {
            self.merge(from, to);
        }
        match request.effect(key, self.value_of(asked, key))? {
            Effect::Nothing => Ok(self.value_of(asked, key)),
            Effect::Put(value) => {
                self.clocks[asked] += 1;
                self.values.entry(key.to_owned()).or_default()[asked] = Some((self.clocks[asked], value));
                self.differing.insert(key.to_owned());
                Ok(None)
            }
        }
    }

    fn merge(&mut self, from: usize, to: usize) {
        let values = &mut self.values;
        self.differing.retain(|key| {
            let Some(replicas) = values.get_mut(key) else { return false };
            let since = |replica: usize| replicas[replica].as_ref().map(|(since, _)| *since);
            // On a tie the one that is merged from wins.
            let takes = since(to) <= since(from);
            if takes {
                let theirs = replicas[from].clone();
                replicas[to] = theirs;
            }
            !takes
        });
        self.clocks[to] = self.clocks[0].max(self.clocks[1]);
    }

    fn value_of(&self, replica: usize, key: &str) -> Option<&str> {
        self.values.get(key)?[replica].as_ref().map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;
    use crate::json::parser::Parser;
    use crate::wire::envelope::UncheckedEnvelope;
    use crate::wire::lines::Line;

    /// What a service answers to `src`.
    fn ask(
        services: &mut Services,
        service: Service,
        src: &str,
        body: &str,
        rng: &mut Rng,
    ) -> Option<String> {
        let (mut parser, mut out) = (Parser::new(), Vec::new());
        let line = format!(r#"{{"src":"{src}","dest":"lin-kv","body":{{{body}}}}}"#);
        let unchecked = UncheckedEnvelope::parse(&mut parser, Line::new(line.as_bytes())).unwrap();
        let is_answered = services.answer(service, src, &unchecked.check().unwrap().body, rng, &mut out);
        is_answered.then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn lin_kv_reads_writes_and_compares_values_of_any_type() {
        let (mut services, mut rng) = (Services::default(), Rng::with_seed(1));
        for (body, answer) in [
            (r#""type":"read","key":1"#, r#""type":"error","code":20,"text":"there is no key 1""#),
            (r#""type":"write","key":1,"value":{"b": 1,"a":[2]}"#, r#""type":"write_ok""#),
            (r#""type":"read","key":1"#, r#""type":"read_ok","value":{"b": 1,"a":[2]}"#),
            (r#""type":"read","key":"1""#, r#""type":"error","code":20,"text":"there is no key \"1\"""#),
            (r#""type":"cas","key":1,"from":{"a":[2],"b":1},"to":3"#, r#""type":"cas_ok""#),
            (
                r#""type":"cas","key":1,"from":4,"to":5"#,
                r#""type":"error","code":22,"text":"expected 4, but the value is 3""#,
            ),
            (
                r#""type":"cas","key":2,"from":1,"to":5"#,
                r#""type":"error","code":20,"text":"there is no key 2""#,
            ),
            (r#""type":"cas","key":2,"from":1,"to":5,"create_if_not_exists":true"#, r#""type":"cas_ok""#),
            (r#""type":"read","key":2"#, r#""type":"read_ok","value":5"#),
        ] {
            let got = ask(&mut services, Service::LinKv, "n1", body, &mut rng);
            assert_eq!(got.as_deref(), Some(answer), "{body}");
        }
    }

    #[test]
    fn what_a_service_does_not_know_gets_no_answer() {
        let (mut services, mut rng) = (Services::default(), Rng::with_seed(1));
        for service in Service::ALL {
            for body in [r#""type":"dance""#, r#""type":"init","node_id":"n1""#] {
                assert_eq!(ask(&mut services, service, "n1", body, &mut rng), None);
            }
        }
    }

    #[test]
    fn lin_tso_counts_up_from_0() {
        let (mut services, mut rng) = (Services::default(), Rng::with_seed(1));
        for number in 0..3 {
            let answer = ask(&mut services, Service::LinTso, "n1", r#""type":"ts""#, &mut rng);
            assert_eq!(answer, Some(format!(r#""type":"ts_ok","ts":{number}"#)));
        }
    }

    /// The value that a client reads of key 1, -1 if there is none.
    fn read(services: &mut Services, service: Service, src: &str, rng: &mut Rng) -> i64 {
        let answer = ask(services, service, src, r#""type":"read","key":1"#, rng).unwrap();
        answer.strip_prefix(r#""type":"read_ok","value":"#).map_or(-1, |value| value.parse().unwrap())
    }

    #[test]
    fn seq_kv_may_be_stale_but_goes_back_for_nobody() {
        let (mut services, mut rng) = (Services::default(), Rng::with_seed(1));
        let (mut seen, mut stale) = ([-1; 3], 0);
        for value in 0..1000 {
            let write = format!(r#""type":"write","key":1,"value":{value}"#);
            ask(&mut services, Service::SeqKv, "n0", &write, &mut rng).unwrap();
            assert_eq!(
                read(&mut services, Service::SeqKv, "n0", &mut rng),
                value,
                "whoever writes sees that"
            );
            for (reader, seen) in seen.iter_mut().enumerate() {
                let read = read(&mut services, Service::SeqKv, &format!("n{}", reader + 1), &mut rng);
                // 32 states, of which this is the newest.
                assert!(*seen <= read && value - 32 < read && read <= value, "{seen} {read} {value}");
                *seen = read;
                stale += usize::from(read < value);
            }
        }
        assert!(stale > 1000, "{stale}");
    }

    /// The services as their description has them, with whole states: slow, and plainly right.
    #[derive(Default)]
    struct Plain {
        seq: VecDeque<Linearizable>,
        oldest: u64,
        seen: HashMap<String, u64>,
        lww: [BTreeMap<String, (u64, String)>; 2],
        clocks: [u64; 2],
    }

    type Reply = Result<Option<String>, Refusal>;

    fn copy(store: &Linearizable) -> Linearizable {
        Linearizable { values: store.values.clone() }
    }

    impl Plain {
        fn seq(&mut self, client: &str, key: &str, request: impl Fn() -> Request, rng: &mut Rng) -> Reply {
            if self.seq.is_empty() {
                self.seq.push_back(Linearizable::default());
            }
            let newest = self.oldest + self.seq.len() as u64 - 1;
            let seen = self.seen.get(client).copied().unwrap_or_default().max(self.oldest);
            let chosen = rng.u64(seen..=newest);
            let before = &self.seq[usize::try_from(chosen - self.oldest).unwrap()];
            let mut after = copy(before);
            let reply = after.apply(key, request()).map(|value| value.map(str::to_owned));
            let is_same_state = match (before.values.get(key), after.values.get(key)) {
                (Some(before), Some(after)) => canonical(before) == canonical(after),
                (before, after) => before == after,
            };
            if is_same_state {
                self.seen.insert(client.to_owned(), chosen);
                return reply;
            }
            let mut state = copy(self.seq.back().unwrap());
            self.seen.insert(client.to_owned(), newest);
            let reply = state.apply(key, request()).map(|value| value.map(str::to_owned))?;
            self.seq.push_back(state);
            if self.seq.len() > 32 {
                self.seq.pop_front();
                self.oldest += 1;
            }
            self.seen.insert(client.to_owned(), newest + 1);
            Ok(reply)
        }

        fn lww(&mut self, key: &str, request: Request, rng: &mut Rng) -> Reply {
            let (from, to, asked) = (rng.usize(0..2), rng.usize(0..2), rng.usize(0..2));
            if from != to {
                for (key, theirs) in self.lww[from].clone() {
                    if self.lww[to].get(&key).is_none_or(|ours| ours.0 <= theirs.0) {
                        self.lww[to].insert(key, theirs);
                    }
                }
                self.clocks[to] = self.clocks[0].max(self.clocks[1]);
            }
            let value = self.lww[asked].get(key).map(|(_, value)| value.clone());
            let missing = || (ErrorCode::KEY_DOES_NOT_EXIST, format!("there is no key {key}"));
            let new = match request {
                Request::Read => return value.map(Some).ok_or_else(missing),
                Request::Write(value) => value,
                Request::Cas { from, to, .. } => match value.ok_or_else(missing)? {
                    value if canonical(&value) == canonical(&from) => to,
                    value => {
                        let text = format!("expected {from}, but the value is {value}");
                        return Err((ErrorCode::PRECONDITION_FAILED, text));
                    }
                },
            };
            self.clocks[asked] += 1;
            self.lww[asked].insert(key.to_owned(), (self.clocks[asked], new));
            Ok(None)
        }
    }

    /// A client, a key and a request.
    type Call = (u8, u8, (u8, usize, usize, bool));

    fn request((kind, from, to, creates): (u8, usize, usize, bool)) -> Request {
        // Two ways to write one value, and one that only looks like it.
        const VALUES: [&str; 4] = ["1", "[1,{}]", "[1, {}]", "\"1\""];
        match kind {
            0 => Request::Read,
            1 => Request::Write(VALUES[from].to_owned()),
            _ => Request::Cas { from: VALUES[from].to_owned(), to: VALUES[to].to_owned(), creates },
        }
    }

    proptest! {
        #[test]
        fn stores_that_share_what_did_not_change_answer_like_plain_ones(
            calls in proptest::collection::vec(any::<Call>(), 1..400),
            seed in any::<u64>(),
        ) {
            let (mut seq, mut lww, mut plain) = (Sequential::default(), LastWriteWins::default(), Plain::default());
            let (mut rng, mut other) = (Rng::with_seed(seed), Rng::with_seed(seed));
            let owned = |reply: Result<Option<&str>, Refusal>| reply.map(|value| value.map(str::to_owned));
            for (client, key, (kind, from, to, creates)) in calls {
                let (client, key) = (format!("n{}", client % 3), (key % 3).to_string());
                let request = || request((kind % 3, from % 4, to % 4, creates));
                prop_assert_eq!(
                    owned(seq.apply(&client, &key, request(), &mut rng)),
                    plain.seq(&client, &key, request, &mut other)
                );
                prop_assert_eq!(
                    owned(lww.apply(&key, request(), &mut rng)),
                    plain.lww(&key, request(), &mut other)
                );
            }
        }
    }

    /// A request takes as long with a hundred thousand keys as with one; if it copied them, this would take an hour.
    #[test]
    fn no_request_copies_the_store() {
        let (mut services, mut rng) = (Services::default(), Rng::with_seed(1));
        for service in [Service::SeqKv, Service::LwwKv] {
            for key in 0..100_000 {
                let write = format!(r#""type":"write","key":{key},"value":{key}"#);
                ask(&mut services, service, "n0", &write, &mut rng).unwrap();
            }
            let read = r#""type":"read","key":99999"#;
            assert!(ask(&mut services, service, "n0", read, &mut rng).is_some());
        }
        let kept: usize = services.seq.values.values().map(VecDeque::len).sum();
        assert_eq!(kept, 100_000, "nothing is kept of what was never overwritten");
    }

    #[test]
    fn seq_kv_forgets_what_no_state_has_any_more() {
        let (mut seq, mut rng) = (Sequential::default(), Rng::with_seed(1));
        for value in 0..1_000 {
            seq.apply("n0", "1", Request::Write(value.to_string()), &mut rng).unwrap();
            assert!(seq.values["1"].len() <= 32);
        }
        assert_eq!(seq.values["1"].len(), 32);
    }

    #[test]
    fn lww_kv_loses_writes_that_it_confirmed() {
        let (mut services, mut rng) = (Services::default(), Rng::with_seed(1));
        let mut stale = 0;
        for value in 0..1000 {
            let write = format!(r#""type":"write","key":1,"value":{value}"#);
            assert!(ask(&mut services, Service::LwwKv, "n0", &write, &mut rng).unwrap().contains("write_ok"));
            stale += usize::from(read(&mut services, Service::LwwKv, "n0", &mut rng) < value);
        }
        assert!((10..900).contains(&stale), "{stale}");
        let cas = r#""type":"cas","key":9,"from":1,"to":5,"create_if_not_exists":true"#;
        assert!(ask(&mut services, Service::LwwKv, "n0", cas, &mut rng).unwrap().contains(r#""code":20"#));
    }
}
