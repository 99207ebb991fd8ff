//! A private `redis-server`, and a proxy that fails on demand: for tests and benchmarks.

mod proxy;
mod server;

pub use proxy::{Direction, Fault, Proxy};
pub use server::RedisServer;
