//! What people look at: what a node counted, and which messages went where and when.

pub mod diagram;
pub mod metrics;
pub mod recording;
pub mod sequence;
