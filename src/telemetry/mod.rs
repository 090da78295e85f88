//! What people look at: counts, times, the newest messages; and, from what several nodes wrote down, which messages
//! went where and when.

pub mod diagram;
pub(crate) mod label;
pub mod metrics;
pub mod recording;
pub mod sequence;
pub mod trace;

/// Whether this build observes at all. It always does, but for the build that `perf/observing` compares with.
const ENABLED: bool = !cfg!(messenger_unobserved);
