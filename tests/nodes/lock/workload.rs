//! A workload of somebody's own: a lock that at most one client holds at a time. It is written with nothing but what the
//! library shows to everybody.

use messenger::workbench::checker::{Place, Verdict};
use messenger::workbench::settings::Settings;
use messenger::workbench::workload::{
    Client, Data, Fact, FinalStep, Finding, Generator, GeneratorContext, Invocation, MalformedReply,
    Operation, Reply, RequestBody, Rpc, Step, Workload,
};
use messenger::{Duration, ErrorCode};
use serde_json::{Value, json};

static ACQUIRE: Rpc = Rpc {
    request: "acquire",
    about: "Asks for the lock",
    fields: &[],
    reply: "acquire_ok",
    reply_fields: &[],
    errors: &[(ErrorCode::TEMPORARILY_UNAVAILABLE, "somebody else holds it")],
};

static RELEASE: Rpc = Rpc {
    request: "release",
    about: "Gives the lock back; only who holds it asks for that",
    fields: &[],
    reply: "release_ok",
    reply_fields: &[],
    errors: &[],
};

#[derive(Debug)]
pub struct Lock;

impl Workload for Lock {
    fn name(&self) -> &'static str {
        "lock"
    }

    fn about(&self) -> &'static str {
        "A lock that at most one client holds at a time"
    }

    fn rpcs(&self) -> Vec<&'static Rpc> {
        vec![&ACQUIRE, &RELEASE]
    }

    fn generator(&self, settings: &Settings) -> Box<dyn Generator> {
        Box::new(Workers { holds: vec![false; settings.workers] })
    }

    fn client(&self, _: &Settings) -> Box<dyn Client> {
        Box::new(LockClient)
    }

    fn is_idempotent(&self, _: &str) -> bool {
        false
    }

    fn final_phase(&self) -> Option<Duration> {
        Some(Duration::from_secs(10))
    }

    fn check(&self, history: &[Invocation], _: &Settings) -> Box<dyn Finding> {
        Box::new(Exclusion::of(history))
    }
}

/// Whoever holds the lock gives it back, and whoever does not asks for it. At last everybody gives it back.
#[derive(Debug)]
struct Workers {
    holds: Vec<bool>,
}

impl Generator for Workers {
    fn next(&mut self, worker: usize, _: &mut GeneratorContext<'_>) -> Operation {
        Operation::new(if self.holds[worker] { "release" } else { "acquire" }, Data::Null)
    }

    fn completed(&mut self, worker: usize, invocation: &Invocation) {
        self.holds[worker] = invocation.operation.f == "acquire" && invocation.answer().is_some();
    }

    fn final_step(&mut self, worker: usize, _: &mut GeneratorContext<'_>) -> FinalStep {
        if self.holds[worker] {
            FinalStep::Do(Operation::new("release", Data::Null))
        } else {
            FinalStep::Done
        }
    }
}

#[derive(Debug)]
struct LockClient;

impl Client for LockClient {
    fn begin(&mut self, operation: &Operation, request: &mut RequestBody) -> Step {
        request.call(if operation.f == "acquire" { &ACQUIRE } else { &RELEASE });
        Step::Call
    }

    fn reply(&mut self, _: &Operation, _: Reply<'_>, _: &mut RequestBody) -> Result<Step, MalformedReply> {
        Ok(Step::ok(Data::Null))
    }
}

/// Whether two held the lock at once. It is surely held from the answer to `acquire` until the client begins to give it
/// back.
#[derive(Debug)]
struct Exclusion {
    held: usize,
    /// Who got the lock while who else surely had it.
    broken: Vec<(Place, Place)>,
}

impl Exclusion {
    fn of(history: &[Invocation]) -> Self {
        let mut times: Vec<_> = history
            .iter()
            .enumerate()
            .filter(|(_, of)| of.operation.f == "acquire" && of.answer().is_some())
            .map(|(place, acquired)| {
                let mut later = history[place..].iter().filter(|of| of.process == acquired.process);
                let released = later.find(|of| of.operation.f == "release");
                let until = released.map_or(messenger::Instant::END, |of| of.interval.invoked);
                (acquired.interval.completed, until, acquired.answered())
            })
            .collect();
        times.sort_by_key(|&(from, ..)| from);
        let overlap = |pair: &[(_, messenger::Instant, Place)]| {
            let &[(_, until, first), (from, _, second)] = pair else { return None };
            (from < until).then_some((second, first))
        };
        Self { held: times.len(), broken: times.windows(2).filter_map(overlap).collect() }
    }
}

impl Finding for Exclusion {
    fn verdict(&self) -> Verdict {
        match (self.held, self.broken.len()) {
            (0, _) => Verdict::Unknown,
            (_, 0) => Verdict::Valid,
            _ => Verdict::Invalid,
        }
    }

    fn explain(&self) -> Vec<String> {
        let sentence = |(second, first): &(Place, Place)| {
            format!("the lock was given by {second}, but whoever got it from {first} had not given it back")
        };
        self.broken.iter().take(3).map(sentence).collect()
    }

    fn json(&self) -> Value {
        json!({"held": self.held, "broken": self.broken.len()})
    }

    fn facts(&self) -> Vec<Fact> {
        vec![("times held", self.held.to_string()), ("times broken", self.broken.len().to_string())]
    }
}
