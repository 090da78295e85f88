//! Maelstrom's services: what `lin-kv`, `seq-kv`, `lww-kv` and `lin-tso` answer.
//!
//! Keys and values are JSON. Two are the same if they mean the same, so `1` and `"1"` are two keys.

use std::collections::{BTreeMap, HashMap, VecDeque};

use fastrand::Rng;

use super::checker::canonical::canonical;
use crate::json::value::Value;
use crate::json::write::{Raw, WriteJson as _};
use crate::wire::envelope::Body;
use crate::wire::error::ErrorCode;

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
#[derive(Debug)]
pub struct Services {
    lin: Store,
    seq: Sequential,
    lww: LastWriteWins,
    timestamp: u64,
}

/// Values, as they were written, by the canonical texts of their keys.
type Store = BTreeMap<String, String>;

/// How many states `seq-kv` remembers.
const STATES: usize = 32;

/// The newest states, the newest last, and which of all states each client saw last.
#[derive(Debug)]
struct Sequential {
    states: VecDeque<Store>,
    /// The number of the oldest state that is remembered.
    oldest: u64,
    seen: HashMap<String, u64>,
}

/// Two replicas, each with a clock and for each key when it was written and what.
#[derive(Debug, Default)]
struct LastWriteWins {
    replicas: [BTreeMap<String, (u64, String)>; 2],
    clocks: [u64; 2],
}

/// A request to a key-value store.
enum Request {
    Read,
    Write(String),
    Cas { from: String, to: String, creates: bool },
}

/// Why a request was refused: the code, and a text.
type Refusal = (ErrorCode, String);

/// Nothing is stored.
impl Default for Services {
    fn default() -> Self {
        Self {
            lin: Store::new(),
            seq: Sequential { states: VecDeque::from([Store::new()]), oldest: 0, seen: HashMap::new() },
            lww: LastWriteWins::default(),
            timestamp: 0,
        }
    }
}

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
            Service::LinKv | Service::LinTso => apply(&mut self.lin, &key, request),
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

/// Applies a request to a state; what was read, if it was a read.
fn apply(store: &mut Store, key: &str, request: Request) -> Result<Option<String>, Refusal> {
    let missing = || (ErrorCode::KEY_DOES_NOT_EXIST, format!("there is no key {key}"));
    match request {
        Request::Read => store.get(key).cloned().map(Some).ok_or_else(missing),
        Request::Write(value) => {
            store.insert(key.to_owned(), value);
            Ok(None)
        }
        Request::Cas { from, to, creates } => {
            match store.get(key) {
                None if creates => {}
                None => return Err(missing()),
                Some(value) if is_same(value, &from) => {}
                Some(value) => return Err(mismatch(&from, value)),
            }
            store.insert(key.to_owned(), to);
            Ok(None)
        }
    }
}

fn is_same(value: &str, other: &str) -> bool {
    canonical(value) == canonical(other)
}

fn mismatch(from: &str, value: &str) -> Refusal {
    (ErrorCode::PRECONDITION_FAILED, format!("expected {from}, but the value is {value}"))
}

impl Sequential {
    /// In some state that is no older than what this client saw last; a change happens in the newest.
    fn apply(
        &mut self,
        client: &str,
        key: &str,
        request: Request,
        rng: &mut Rng,
    ) -> Result<Option<String>, Refusal> {
        let newest = self.oldest + self.states.len() as u64 - 1;
        let seen = self.seen.get(client).copied().unwrap_or_default().max(self.oldest);
        let chosen = rng.u64(seen..=newest);
        let place = usize::try_from(chosen - self.oldest).unwrap_or_default();
        let changes = match (&request, self.states[place].get(key)) {
            (Request::Read, _) => false,
            (Request::Write(value), old) => old.is_none_or(|old| !is_same(old, value)),
            (Request::Cas { from, to, .. }, Some(old)) => is_same(old, from) && !is_same(from, to),
            (Request::Cas { creates, .. }, None) => *creates,
        };
        if !changes {
            self.seen.insert(client.to_owned(), chosen);
            return apply(&mut self.states[place].clone(), key, request);
        }
        let mut state = self.states[self.states.len() - 1].clone();
        self.seen.insert(client.to_owned(), newest);
        let value = apply(&mut state, key, request)?;
        self.states.push_back(state);
        if self.states.len() > STATES {
            self.states.pop_front();
            self.oldest += 1;
        }
        self.seen.insert(client.to_owned(), newest + 1);
        Ok(value)
    }
}

impl LastWriteWins {
    /// Merges one replica into the other by chance, and then asks one of them.
    fn apply(&mut self, key: &str, request: Request, rng: &mut Rng) -> Result<Option<String>, Refusal> {
        let from = rng.usize(0..2);
        let source = self.replicas[from].clone();
        let target = &mut self.replicas[1 - from];
        for (key, theirs) in source {
            // On a tie the one that is merged from wins.
            if target.get(&key).is_none_or(|ours| ours.0 <= theirs.0) {
                target.insert(key, theirs);
            }
        }
        self.clocks[1 - from] = self.clocks[0].max(self.clocks[1]);

        let asked = rng.usize(0..2);
        let (replica, clock) = (&mut self.replicas[asked], &mut self.clocks[asked]);
        let value = replica.get(key).map(|(_, value)| value.clone());
        let missing = || (ErrorCode::KEY_DOES_NOT_EXIST, format!("there is no key {key}"));
        let new = match request {
            Request::Read => return value.map(Some).ok_or_else(missing),
            Request::Write(value) => value,
            Request::Cas { from, to, .. } => match value.ok_or_else(missing)? {
                value if is_same(&value, &from) => to,
                value => return Err(mismatch(&from, &value)),
            },
        };
        *clock += 1;
        replica.insert(key.to_owned(), (*clock, new));
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
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
