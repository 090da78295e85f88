//! The picture over time that the page hangs on: its data, and the script that draws them.
//!
//! The data are text elements of the page with a JSON array a line, so that hundreds of thousands of messages need not
//! be parsed before somebody looks at them.

use std::fmt::{self, Write};

use serde_json::json;

use super::super::checker::Completion;
use super::super::history::{Invocation, Outcome};
use super::super::journal::{Address, Dropped, Entry, Numbers};
use super::super::world::World;
use super::finished::Report;
use crate::json::write::WriteJson;
use crate::time::Instant;

/// The styles of the section, for the page's own style sheet.
pub const STYLE: &str = include_str!("timeline.css");

const SCRIPT: &str = include_str!("timeline.js");

/// So many operations are in the picture.
const OPERATIONS_MAX: usize = 200_000;

/// So many bytes of an answer are in the picture; `history.jsonl` has all of it.
const ANSWER_MAX: usize = 2_000;

/// A page with more bytes of messages than this would take seconds to open: of long ones it has the beginning, and
/// `journal.jsonl` has all.
const BODIES_MAX: usize = 32 << 20;

/// So many bytes of a long one.
const BODY_MAX: usize = 500;

/// Writes the section, if there was an operation or a message.
pub fn write(report: &Report<'_>, html: &mut String) -> fmt::Result {
    let world = report.world;
    if world.history().is_empty() && world.journal().entries().is_empty() {
        return Ok(());
    }
    html.push_str(SECTION);
    element(html, "application/json", "timeline-data", &data(report))?;
    let operations = world.history().iter().take(OPERATIONS_MAX);
    let operations: Vec<String> = operations.map(|invocation| operation(world, invocation)).collect();
    element(html, "text/plain", "timeline-operations", &operations.join("\n"))?;
    let entries = world.journal().entries();
    let is_large = entries.iter().map(|entry| entry.body.len()).sum::<usize>() > BODIES_MAX;
    let messages: Vec<String> = entries.iter().map(|entry| message(entry, is_large)).collect();
    element(html, "text/plain", "timeline-messages", &messages.join("\n"))?;
    write!(html, "<script>\n//<![CDATA[\n{SCRIPT}//]]>\n</script>\n</section>\n")
}

/// A text that the script reads. The text is JSON, in which `<` and `&` can only be in strings.
fn element(html: &mut String, kind: &str, id: &str, text: &str) -> fmt::Result {
    let text = text.replace('&', "\\u0026").replace('<', "\\u003c");
    writeln!(html, "<script type=\"{kind}\" id=\"{id}\">\n{text}\n</script>")
}

fn data(report: &Report<'_>) -> String {
    let world = report.world;
    let history = world.history();
    let settings = world.settings();
    let faults: Vec<_> = world
        .faults()
        .iter()
        .map(|window| {
            json!({
                "kind": window.fault.name(),
                "target": window.target,
                "nodes": window.nodes,
                "from": window.from.as_micros(),
                "to": window.to.map(Instant::as_micros),
            })
        })
        .collect();
    let mut services: Vec<String> = Vec::new();
    for entry in world.journal().entries() {
        if let Address::Service(service) = entry.dest
            && !services.iter().any(|name| name == service.name())
        {
            services.push(service.name().to_owned());
        }
    }
    let mut once: Vec<&str> = Vec::new();
    for invocation in history {
        let f = invocation.operation.f;
        if !once.contains(&f) && world.workload().writes_once(f) {
            once.push(f);
        }
    }
    let ends =
        history.iter().map(|invocation| invocation.interval.completed).filter(|end| *end < Instant::END);
    let last =
        ends.chain(world.journal().entries().iter().map(|entry| entry.sent)).max().unwrap_or(Instant::START);
    let offending = report.results.offending(history);
    json!({
        "nodes": (0..settings.nodes).map(|node| Address::Node(node).to_string()).collect::<Vec<_>>(),
        "workers": settings.workers,
        "services": services,
        "faults": faults,
        "offending": offending.into_iter().filter(|index| *index < OPERATIONS_MAX).collect::<Vec<_>>(),
        "once": once,
        "from": 0,
        "to": last.as_micros(),
        "operations": history.len(),
    })
    .to_string()
}

/// `[process, client, node, invoked, completed, type, f, asked, got, final]`; times in microseconds.
fn operation(world: &World, invocation: &Invocation) -> String {
    let Invocation { process, node, operation, interval, outcome, is_final, .. } = invocation;
    let client = world.clients().get(process).copied();
    let end = world.now().as_micros();
    let got = match outcome {
        Outcome::Ok(value) if *value == operation.value => "null".to_owned(),
        Outcome::Ok(value) => cut(&text(value)),
        Outcome::Fail(reason) | Outcome::Info(reason) => text(&**reason),
        Outcome::Silence { .. } => text("no answer in time"),
    };
    let kind = match outcome.completion() {
        Completion::Ok => 0,
        Completion::Fail => 1,
        Completion::Info => 2,
    };
    format!(
        "[{process},{},{node},{},{},{kind},{},{},{got},{is_final}]",
        client.map_or_else(|| "null".to_owned(), |client| client.to_string()),
        interval.invoked.as_micros(),
        interval.completed.as_micros().min(end),
        text(operation.f),
        cut(&text(&operation.value)),
    )
}

/// `[id, sent, [received], why it was dropped, src, dest, body]`; times in microseconds.
fn message(entry: &Entry, is_large: bool) -> String {
    let received: Vec<u64> = entry.received.iter().map(|at| at.as_micros()).collect();
    let dropped = match entry.dropped {
        None => "null",
        Some(Dropped::Loss) => "\"lost by the network\"",
        Some(Dropped::Partition) => "\"lost: the partition cut its link\"",
        Some(Dropped::DeadReceiver) => "\"lost: its receiver was dead\"",
    };
    format!(
        "[{},{},{},{dropped},\"{}\",\"{}\",{}]",
        entry.id,
        entry.sent.as_micros(),
        text(&received),
        entry.src,
        entry.dest,
        if is_large && entry.body.len() > BODY_MAX { beginning(&entry.body) } else { entry.body.to_string() }
    )
}

/// What makes a message a request or an answer, and the beginning of its text.
fn beginning(body: &str) -> String {
    let Numbers { msg_id, in_reply_to, kind } = serde_json::from_str(body).unwrap_or_default();
    let mut short =
        json!({"type": kind, "…": format!("{} ({} bytes)", &body[..cut_at(body, BODY_MAX)], body.len())});
    for (name, number) in [("msg_id", msg_id), ("in_reply_to", in_reply_to)] {
        if let Some(number) = number {
            short[name] = number.into();
        }
    }
    short.to_string()
}

fn text<T: WriteJson + ?Sized>(value: &T) -> String {
    let mut text = Vec::new();
    value.write_json(&mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// A JSON text; if it is long a JSON string with its beginning.
fn cut(json: &str) -> String {
    if json.len() <= ANSWER_MAX {
        return json.to_owned();
    }
    text(format!("{}… ({} bytes)", &json[..cut_at(json, ANSWER_MAX)], json.len()).as_str())
}

/// The last place up to that one where a character begins.
fn cut_at(text: &str, most: usize) -> usize {
    (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0)
}

const SECTION: &str = r#"<section id="timeline">
<h2>What happened</h2>
<noscript><p>This picture needs JavaScript. The files below have everything that it shows.</p></noscript>
<div class="tools">
<button id="timeline-in" type="button">zoom in</button><button id="timeline-out" type="button">zoom out</button><button id="timeline-all" type="button">show all</button>
<span id="timeline-note" class="note"></span>
</div>
<div class="lanes"><canvas id="timeline-canvas" tabindex="0" role="img" aria-label="The operations of each client, and the messages and faults of each node, over time. The list below has the operations in words."></canvas></div>
<div id="timeline-detail" aria-live="polite"></div>
<div class="tools">
<label>show <select id="timeline-filter"><option value="all">all operations</option><option value="offending">those that are wrong</option><option value="not ok">those that did not succeed</option></select></label>
<label>with <input id="timeline-find" size="12"/></label>
<button id="timeline-previous" type="button">previous page</button><button id="timeline-next" type="button">next page</button>
<span id="timeline-page" class="note"></span>
</div>
<div class="wide"><table>
<thead><tr><th>operation</th><th>asked at</th><th>node</th><th>asked</th><th>ended</th><th>answer</th></tr></thead>
<tbody id="timeline-list"></tbody>
</table></div>
"#;
