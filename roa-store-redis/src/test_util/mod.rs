//! A private `redis-server` for tests and benchmarks.

mod server;

pub use server::RedisServer;
