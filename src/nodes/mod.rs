//! What nodes of this crate can do, one file a workload.

pub mod broadcast;
pub mod counter;
pub mod course;
pub mod g_set;
mod gossip;
pub mod kafka;
pub mod lin_kv;
#[cfg(feature = "workbench")]
pub mod own;
pub mod planted;
#[cfg(feature = "serde")]
pub mod raft;
mod record;
mod replica;
pub mod seq_kv_counter;
mod txn;
pub mod txn_list_append;
pub mod txn_rw_register;
pub mod unique_ids;

use crate::json::text::excerpt;
use crate::node::{Context, Request};
use crate::time::Duration;
use crate::wire::error::{ErrorCode, RpcError};

/// A name for a node between its start and its end: no other node has it, nor does the same one after another start.
/// Ask for it once, in `on_init`.
///
/// It is the node's id and a number that comes both from the node's seed, which a shell on real time takes from
/// chance, and from the time. So a simulation may start a node again with the seed that it had, as it has to if runs
/// are to repeat, if only its clock goes on.
fn incarnation<W>(cx: &mut Context<'_, W>) -> String {
    let number = cx.rng().u64(..) ^ cx.now().as_micros();
    format!("{}-{number:x}", cx.id())
}

/// How long a service may take for an answer, where a node asks it twice before it answers itself.
const fn service_patience(answer_within: Duration) -> Duration {
    Duration::from_micros(answer_within.as_micros() / 20 * 9)
}

/// Refuses what only the nodes of a cluster tell each other, if somebody else sent it.
///
/// # Errors
/// Code 10, if the sender is no other node of this cluster.
fn only_from_peers<W>(request: &Request<'_>, cx: &Context<'_, W>) -> Result<(), RpcError> {
    if cx.cluster().peers().any(|peer| peer == request.src()) {
        return Ok(());
    }
    let (kind, src) = (request.kind(), excerpt(request.src()));
    let text =
        format!("{kind:?} is for the nodes of this cluster among themselves: {src:?} is none of the others");
    Err(RpcError::new(ErrorCode::NOT_SUPPORTED, text))
}
