//! Short words for conversations with node n1 of several; the test plays the others.

#![allow(clippy::cast_precision_loss, clippy::needless_pass_by_value, reason = "short spans, short tests")]

use messenger::node::Config;
use messenger::workbench::TestCluster;
use messenger::workbench::test_cluster::Said;
use messenger::{Duration, Handler, Instant};
use serde_json::{Value, json};

/// Node n1 of n1, n2 and n3.
pub fn n1<H: Handler>(handler: H, config: Config) -> TestCluster {
    let mut cluster = TestCluster::of(["n1", "n2", "n3"]).with_played_network();
    cluster.start_with("n1", handler, config);
    cluster
}

/// Node n1 of as many as that.
pub fn n1_of<H: Handler>(nodes: usize, handler: H) -> TestCluster {
    let names = (1..=nodes).map(|number| format!("n{number}"));
    let mut cluster = TestCluster::of(names).with_played_network();
    cluster.start("n1", handler);
    cluster
}

/// A message of n1.
pub fn message(dest: &str, body: Value) -> Value {
    json!({"src": "n1", "dest": dest, "body": body})
}

pub trait Talk {
    /// n1 gets a message.
    fn receive(&mut self, src: &str, body: Value);
    /// n1 gets a message; receivers and bodies of what it says to that. What it said before is thrown away.
    fn hear(&mut self, src: &str, body: &Value) -> Vec<(String, Value)>;
    /// Time passes; receivers and bodies of what n1 says in it. What it said before is thrown away.
    fn hear_ms(&mut self, millis: u64) -> Vec<(String, Value)>;
    /// Time passes; what n1 says in it is kept for whoever takes it.
    fn pass_ms(&mut self, millis: u64);
    /// n1 stands still for so long.
    fn hold_up(&mut self, span: Duration);
    /// n1 is killed, and started again a millisecond later.
    fn restart<H: Handler>(&mut self, handler: H);
    /// Takes what n1 sent and when, in milliseconds with a fraction.
    fn sent(&mut self) -> Vec<(f64, Value)>;
    /// Takes the lines that n1 wrote, as they were written.
    fn lines(&mut self) -> String;
    /// Takes the bodies of what n1 sent.
    fn bodies(&mut self) -> Vec<Value>;
    /// When n1 sent what nobody has taken yet, in milliseconds with a fraction.
    fn times(&self) -> Vec<f64>;
    /// How many records the log of n1 has, and how many bytes.
    fn log(&self) -> (usize, usize);
}

impl Talk for TestCluster {
    fn receive(&mut self, src: &str, body: Value) {
        self.tell(src, "n1", body);
    }

    fn hear(&mut self, src: &str, body: &Value) -> Vec<(String, Value)> {
        self.take();
        self.tell(src, "n1", body);
        pairs(self.take())
    }

    fn hear_ms(&mut self, millis: u64) -> Vec<(String, Value)> {
        self.take();
        self.pass_ms(millis);
        pairs(self.take())
    }

    fn pass_ms(&mut self, millis: u64) {
        self.pass(Duration::from_millis(millis));
    }

    fn hold_up(&mut self, span: Duration) {
        self.pause("n1");
        self.pass(span);
        self.resume("n1");
    }

    fn restart<H: Handler>(&mut self, handler: H) {
        self.kill("n1");
        self.pass_ms(1);
        self.start("n1", handler);
    }

    fn sent(&mut self) -> Vec<(f64, Value)> {
        let sent =
            |said: Said| (millis(said.at), json!({"src": said.src, "dest": said.dest, "body": said.body}));
        self.take().into_iter().map(sent).collect()
    }

    fn lines(&mut self) -> String {
        self.take().into_iter().flat_map(|said| [said.line, "\n".to_owned()]).collect()
    }

    fn bodies(&mut self) -> Vec<Value> {
        self.take().into_iter().map(|said| said.body).collect()
    }

    fn times(&self) -> Vec<f64> {
        self.said().map(|said| millis(said.at)).collect()
    }

    fn log(&self) -> (usize, usize) {
        self.records("n1").fold((0, 0), |(records, bytes), record| (records + 1, bytes + record.len()))
    }
}

fn pairs(said: Vec<Said>) -> Vec<(String, Value)> {
    said.into_iter().map(|said| (said.dest, said.body)).collect()
}

fn millis(at: Instant) -> f64 {
    at.as_micros() as f64 / 1000.0
}
