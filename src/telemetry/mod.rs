//! What people look at: counts, times, and the newest messages.

pub(crate) mod label;
pub mod metrics;
pub mod trace;

/// Whether this build observes at all. It always does, but for the build that `perf/observing` compares with.
const ENABLED: bool = !cfg!(messenger_unobserved);
