//! What nodes of this crate can do, one file a workload.

pub mod messenger;
