//! The default node: the messages of the course, a file for each kind of task.
//!
//! `1-N` is task N of chapter 1, and `1-C-N` is task N of chapter C; people say 2-4 for 1-2-4.
//!
//! | task | message | file |
//! | --- | --- | --- |
//! | 1-1 | | `messenger parse`, which prints who said what to whom: `src/cli/parse.rs` |
//! | 1-2, 1-5 | `init`, and whatever is no request | done by [`Node`](crate::node::Node), before a handler is asked |
//! | 1-3, 1-4 | `echo`, and an error for what is not known | this one |
//! | 1-2-1, 1-2-4 | `proxy`, `send_fire_forget`, `pending_count` | `proxy.rs` |
//! | 1-2-2, 1-2-5 | `relay`, `backoff_relay`, `compute_backoff` | `relay.rs` |
//! | 1-2-3 | `batch_echo` | `batch.rs` |
//! | 1-3-1 | `validate` | `validate.rs` |
//! | 1-3-2, 1-3-4 | `get_log`, `bench_echo`, `bench_stats` | `observe.rs` |
//! | 1-3-3 | `dedup_echo`, `dedup_stats` | `dedup.rs` |
//! | 1-3-5 | `chaos_on`, `chaos_off`, `chaos_stats` | `chaos.rs` |

mod batch;
mod chaos;
mod dedup;
mod observe;
mod proxy;
mod relay;
mod validate;

use self::batch::{Batches, HasBatches};
use self::dedup::Echoes;
use self::validate::Validator;
use crate::node::{Context, Handler, Request};
use crate::wire::error::RpcError;

/// Answers the messages of the course.
#[derive(Debug, Default)]
pub struct Messenger {
    batches: Batches,
    validator: Validator,
    echoes: Echoes,
}

impl Handler for Messenger {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "echo" => cx.reply(request, "echo_ok").field("echo", request.required("echo")?).send(),
            "proxy" => proxy::proxy(request, cx),
            "send_fire_forget" => proxy::send_fire_forget(request, cx),
            "pending_count" => proxy::pending_count(request, cx),
            "relay" => relay::relay(request, cx),
            "backoff_relay" => relay::backoff_relay(request, cx),
            "compute_backoff" => relay::compute_backoff(request, cx),
            "batch_echo" => self.batches.handle(request, cx),
            "validate" => self.validator.handle(request, cx),
            "get_log" => observe::get_log(request, cx),
            "bench_echo" => observe::bench_echo(request, cx),
            "bench_stats" => observe::bench_stats(request, cx),
            "dedup_echo" => self.echoes.handle(request, cx),
            "dedup_stats" => self.echoes.stats(request, cx),
            "chaos_on" => chaos::chaos_on(request, cx),
            "chaos_off" => chaos::chaos_off(request, cx),
            "chaos_stats" => chaos::chaos_stats(request, cx),
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}

impl HasBatches for Messenger {
    fn batches(&mut self) -> &mut Batches {
        &mut self.batches
    }
}
