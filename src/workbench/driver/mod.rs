//! What drives a world: processes in real time, or nodes of this crate in virtual time.

pub(in crate::workbench) mod hosts;
#[cfg(unix)]
pub mod processes;
#[cfg(unix)]
pub(in crate::workbench) mod running;
pub mod simulation;
#[cfg(unix)]
mod stderr;

/// Maximum bytes of a line of a node, and of one for a node in virtual time.
const LINE_MAX: usize = 64 * 1024 * 1024;
