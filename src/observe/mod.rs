//! What people look at.

pub mod metrics;
