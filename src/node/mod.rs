//! The sans-IO core: bytes and the time go in, bytes come out.
//!
//! A [`Node`] knows no file descriptor and no clock. A shell hands it lines with
//! [`handle_line`](Node::handle_line) and writes what gathers in the [`OutBuffer`]; on real pipes that
//! is the [`reactor`](crate::reactor).

mod context;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use log::{debug, error, warn};

pub use self::context::{Cluster, Context, Message, Request};
use self::context::{Core, Origin};
use crate::observe::metrics::Counters;
use crate::time::Instant;
use crate::wire::error::{ErrorCode, RpcError};
use crate::wire::json::{Line, Parser};
use crate::wire::message::{Envelope, Outline, SchemaError};
use crate::wire::out::OutBuffer;

/// What a node does. Its state is its own: a handler has it to itself while it runs.
pub trait Workload: Sized {
    /// Called once, when the node has learned who it is and has said so with `init_ok`.
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        let _ = cx;
    }

    /// Handles a request of another node or of a client.
    ///
    /// Answer it with [`Context::reply`]. An `Err` is answered as an error message; so is a panic,
    /// with code 13. A request without `msg_id` is handled like any other and gets no answer,
    /// whatever this does.
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError>;
}

/// A node of the cluster, running workload `W`.
#[derive(Debug)]
pub struct Node<W> {
    parser: Parser,
    core: Core,
    workload: W,
}

impl<W: Workload> Node<W> {
    /// A node that waits for its `init`.
    pub fn new(workload: W) -> Self {
        Self { parser: Parser::new(), core: Core::default(), workload }
    }

    /// Handles one line of input at the time `now`. What there is to say goes to `out`.
    ///
    /// A line that is no message is reported to the log with its number, and counted.
    pub fn handle_line(&mut self, now: Instant, line: Line<'_>, out: &mut OutBuffer) {
        let Self { parser, core, workload } = self;
        core.counters.lines += 1;
        let outline = match Outline::parse(parser, line) {
            Ok(outline) => outline,
            Err(error) => {
                core.counters.not_json += 1;
                return warn!("line {}: not JSON: {error}", core.counters.lines);
            }
        };
        match outline.check() {
            Ok(envelope) => handle_message(core, workload, &envelope, now, out),
            Err(error) => refuse(core, &outline, error, out),
        }
    }

    /// Says that a line of `length` bytes was too long and was skipped.
    pub fn handle_too_long(&mut self, length: u64) {
        let counters = &mut self.core.counters;
        counters.lines += 1;
        counters.too_long += 1;
        warn!("line {}: {length} bytes are more than a line may have: skipped", counters.lines);
    }

    /// What was counted so far.
    pub const fn counters(&self) -> &Counters {
        &self.core.counters
    }

    /// Who the node is and whom it knows; `None` before `init`.
    pub const fn cluster(&self) -> Option<&Cluster> {
        self.core.cluster.as_ref()
    }

    /// The workload and its state.
    pub const fn workload(&self) -> &W {
        &self.workload
    }
}

fn handle_message<W: Workload>(
    core: &mut Core,
    workload: &mut W,
    envelope: &Envelope<'_>,
    now: Instant,
    out: &mut OutBuffer,
) {
    let line = core.counters.lines;
    if let Some(cluster) = &core.cluster
        && cluster.id() != envelope.dest
    {
        core.counters.misaddressed += 1;
        return warn!(
            "line {line}: dest is {:?}, this node is {:?}: not handled",
            envelope.dest,
            cluster.id()
        );
    }
    if let Some(id) = envelope.body.in_reply_to {
        core.counters.unmatched_replies += 1;
        return debug!("line {line}: nothing waits for a reply to {id}: dropped");
    }

    let request = Request::new(envelope);
    // A panic may leave the workload's own state half changed, which is for the workload to bear. The
    // core's state is whole whenever a handler runs, and an unfinished message is never sent.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut cx = Context::new(core, out, now);
        match (request.kind(), cx.is_initialised()) {
            ("init", _) => handle_init(workload, &request, &mut cx),
            (_, true) => workload.on_request(&request, &mut cx),
            (_, false) => Err(RpcError::temporarily_unavailable("this node waits for its init message")),
        }
    }));
    let error = match outcome {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error,
        Err(panic) => {
            core.counters.panics += 1;
            let text = format!("the handler of {:?} panicked: {}", request.kind(), panic_text(&*panic));
            error!("line {line}: {text}");
            RpcError::new(ErrorCode::CRASH, text)
        }
    };
    match request.origin() {
        Some(_) if request.is_answered() => {
            error!("line {line}: {:?} had its answer when its handler failed: {error}", request.kind());
        }
        Some(origin) => core.send_error(&origin, &error, out),
        None => warn!("line {line}: {:?} has no msg_id, so nobody hears of {error}", request.kind()),
    }
}

fn handle_init<W: Workload>(
    workload: &mut W,
    request: &Request<'_>,
    cx: &mut Context<'_, W>,
) -> Result<(), RpcError> {
    let id = request.string("node_id")?;
    let nodes = request.typed("node_ids", "an array of strings", |value| {
        let names = value.as_array()?.map(|name| Some(name.as_str()?.into_owned()));
        names.collect::<Option<Vec<String>>>()
    })?;
    let is_new = cx.identify(Cluster::new(id.into_owned(), nodes))?;
    cx.reply(request, "init_ok").send()?;
    if is_new {
        workload.on_init(cx);
    }
    Ok(())
}

/// A line that is JSON and no message is reported, and answered if it says whom to answer.
fn refuse(core: &mut Core, outline: &Outline<'_>, error: SchemaError, out: &mut OutBuffer) {
    core.counters.malformed += 1;
    warn!("line {}: not a message: {error}", core.counters.lines);
    let dest = outline.dest();
    let may_answer = match (&core.cluster, &dest) {
        _ if outline.claims_to_be_a_reply() => false,
        (Some(cluster), Ok(dest)) => cluster.id() == dest,
        (Some(_), Err(_)) | (None, Ok(_)) => true,
        // Nobody has told this node what to call itself.
        (None, Err(_)) => false,
    };
    if let (true, Ok(src), Ok(Some(msg_id))) = (may_answer, outline.src(), outline.msg_id()) {
        let origin = Origin { src: &src, dest: dest.as_deref().unwrap_or_default(), msg_id };
        core.send_error(&origin, &RpcError::from(error), out);
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
