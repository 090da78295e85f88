//! What a node says leaves only when what it persisted is durable.

use messenger::node::{Config, Node};
use messenger::store::{BadRecord, Memory, Records, Store as _};
use messenger::wire::lines::Line;
use messenger::wire::out::OutBuffer;
use messenger::{Context, Duration, Handler, Instant, Request, RpcError};
use serde_json::{Value, json};

/// Keeps texts, and says what it knows.
#[derive(Default)]
struct Notes {
    texts: Vec<String>,
}

impl Handler for Notes {
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        cx.message("n2", "recovered").field("texts", &self.texts).send().unwrap();
    }

    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "note" => {
                let text = request.string("text")?;
                cx.message("n2", "noting").field("text", &*text).send()?;
                cx.persist(&*text);
                self.texts.push(text.into_owned());
            }
            "sum up" => {
                let all = self.texts.concat();
                cx.snapshot(&all);
                self.texts = vec![all];
            }
            "later" => {
                cx.after(Duration::from_millis(1), |_, cx| cx.message("n2", "timer").send().unwrap());
            }
            _ => {}
        }
        cx.reply(request, "ok").field("texts", &self.texts).send()
    }

    fn recover(&mut self, record: &[u8]) -> Result<(), BadRecord> {
        let text = String::from_utf8(record.to_vec()).map_err(|error| BadRecord(error.to_string()))?;
        assert!(text != "panic", "what a text");
        self.texts.push(text);
        Ok(())
    }
}

struct Shell {
    node: Node<Notes>,
    out: OutBuffer,
    now: Instant,
}

impl Shell {
    fn new(config: Config, store: &mut Memory) -> Self {
        let mut node = Node::new(Notes::default(), config);
        store.recover(&mut |record| node.recover(record)).unwrap();
        Self { node, out: OutBuffer::new(), now: Instant::START }
    }

    /// The types of what leaves at once.
    fn receive(&mut self, body: &Value) -> Vec<String> {
        let line = json!({"src": "c1", "dest": "n1", "body": body}).to_string();
        self.node.handle_line(self.now, Line::new(line.as_bytes()), &mut self.out);
        self.take()
    }

    fn init(&mut self) -> Vec<String> {
        self.receive(&json!({"type": "init", "msg_id": 1, "node_id": "n1", "node_ids": ["n1", "n2"]}))
    }

    fn note(&mut self, text: &str) -> Vec<String> {
        self.receive(&json!({"type": "note", "msg_id": 2, "text": text}))
    }

    fn durable(&mut self) -> Vec<String> {
        self.node.handle_durable(&mut self.out);
        self.take()
    }

    fn take(&mut self) -> Vec<String> {
        let text = String::from_utf8(self.out.waiting().to_vec()).unwrap();
        self.out.consume(self.out.len());
        let gist = |line: &str| {
            let body = &serde_json::from_str::<Value>(line).unwrap()["body"];
            let texts = body.get("texts").map(|texts| format!(" {texts}")).unwrap_or_default();
            format!("{}{texts}", body["type"].as_str().unwrap())
        };
        text.lines().map(gist).collect()
    }
}

fn texts(records: Option<&Records>) -> Vec<String> {
    records
        .into_iter()
        .flat_map(Records::iter)
        .map(|record| String::from_utf8_lossy(record).into_owned())
        .collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_turn_leaves_when_its_records_are_durable() {
    let mut shell = Shell::new(Config::default(), &mut Memory::default());
    assert_eq!(shell.init(), ["init_ok", "recovered []"]);
    // What was said before it was persisted waits as well.
    assert_eq!(shell.note("a"), NOTHING);
    assert!(!shell.node.is_idle());
    assert_eq!(texts(shell.node.poll_persist()), ["a"]);
    assert!(shell.node.poll_persist().is_none(), "it is being written");
    assert_eq!(shell.durable(), ["noting", r#"ok ["a"]"#]);
    assert!(shell.node.poll_persist().is_none() && shell.node.is_idle());
    assert_eq!(shell.receive(&json!({"type": "ask", "msg_id": 3})), [r#"ok ["a"]"#]);
}

/// What is said meanwhile may tell of what is not durable: it waits, and what is persisted meanwhile is one batch.
#[test]
fn later_turns_wait_for_what_came_before_them() {
    let mut shell = Shell::new(Config::default(), &mut Memory::default());
    shell.init();
    shell.note("a");
    shell.node.poll_persist();
    assert_eq!(shell.receive(&json!({"type": "later", "msg_id": 3})), NOTHING);
    shell.note("b");
    shell.note("c");
    shell.now += Duration::from_millis(1);
    let now = shell.now;
    shell.node.handle_timeout(now, &mut shell.out);
    assert_eq!(shell.take(), NOTHING);
    assert_eq!(shell.durable(), ["noting", r#"ok ["a"]"#]);
    assert_eq!(texts(shell.node.poll_persist()), ["b", "c"]);
    let rest = shell.durable();
    assert_eq!(rest, [r#"ok ["a"]"#, "noting", r#"ok ["a","b"]"#, "noting", r#"ok ["a","b","c"]"#, "timer"]);
    // Without anything persisted meanwhile it leaves with what it waited for.
    shell.note("d");
    shell.node.poll_persist();
    shell.receive(&json!({"type": "ask", "msg_id": 3}));
    assert_eq!(shell.durable().len(), 3);
    assert!(shell.node.is_idle());
}

#[test]
fn a_node_that_is_started_again_knows_what_was_durable() {
    let mut store = Memory::default();
    for (text, recovered) in [("a", "[]"), ("b", r#"["a"]"#), ("c", r#"["a","b"]"#)] {
        let mut shell = Shell::new(Config::default(), &mut store);
        assert_eq!(shell.init()[1], format!("recovered {recovered}"));
        shell.note(text);
        store.commit(shell.node.poll_persist().unwrap()).unwrap();
        // And this is lost.
        shell.note("lost");
    }
    let mut shell = Shell::new(Config::default(), &mut store);
    shell.init();
    shell.note("d");
    shell.receive(&json!({"type": "sum up", "msg_id": 3}));
    shell.note("e");
    let records = shell.node.poll_persist().unwrap();
    assert!(records.replaces());
    store.commit(records).unwrap();
    assert_eq!(Shell::new(Config::default(), &mut store).init()[1], r#"recovered ["abcd","e"]"#);
}

#[test]
fn a_record_that_cannot_be_made_out_is_an_error() {
    let mut node = Node::new(Notes::default(), Config::default());
    assert!(node.recover(b"\xff").unwrap_err().to_string().contains("invalid utf-8"));
    assert_eq!(node.recover(b"panic").unwrap_err().to_string(), "the handler panicked: what a text");
    // The log of another node.
    let mut node = Node::new(messenger::nodes::unique_ids::UniqueIds::default(), Config::default());
    let error = node.recover(b"abc").unwrap_err().to_string();
    assert_eq!(error, "this node persists nothing; found a record of 3 bytes");
}

/// Nobody reads for the disk: the node takes no more lines while too much waits for it.
#[test]
fn what_waits_for_the_disk_has_a_bound() {
    let mut shell = Shell::new(Config::default(), &mut Memory::default());
    shell.init();
    let mut lines = messenger::wire::lines::LineBuffer::new(1 << 20);
    let line =
        json!({"src": "c1", "dest": "n1", "body": {"type": "note", "msg_id": 2, "text": "x".repeat(1000)}});
    let (line, mut taken) = (line.to_string() + "\n", 0);
    for _ in 0..1000 {
        let room = lines.space();
        room[..line.len()].copy_from_slice(line.as_bytes());
        lines.filled(line.len());
        if !shell.node.handle_lines(shell.now, &mut lines, &mut shell.out) {
            break;
        }
        shell.node.poll_persist();
        taken += 1;
    }
    assert!((10..600).contains(&taken), "{taken}");
    assert!(shell.out.is_empty());
}

#[test]
fn whoever_asks_to_lose_what_was_acknowledged_may() {
    let config = Config { loses_acknowledged_writes: true, ..Config::default() };
    let mut shell = Shell::new(config, &mut Memory::default());
    shell.init();
    assert_eq!(shell.note("a"), ["noting", r#"ok ["a"]"#]);
    assert_eq!(texts(shell.node.poll_persist()), ["a"]);
    assert_eq!(shell.durable(), NOTHING);
}
