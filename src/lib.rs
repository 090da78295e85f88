//! stub
pub mod node;
pub mod observe;
pub mod reactor;
pub mod time;
pub mod wire;
pub mod workload;
