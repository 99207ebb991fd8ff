//! ROA beside others that do the same work: kube-rs fed from memory, etcd and NATS JetStream as private servers.
//!
//! `cargo xtask bench --only peers`; it builds with the feature `peers`, for which `protoc` must be there. A server that
//! is not installed is left out, and that is said.

#![expect(clippy::unwrap_used, reason = "a benchmark that can't set up must stop")]

#[path = "peers/etcd.rs"]
mod etcd;
#[path = "peers/kube_rs.rs"]
mod kube_rs;
#[path = "peers/nats.rs"]
mod nats;
#[path = "peers/server.rs"]
mod server;
#[path = "peers/stores.rs"]
mod stores;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    benches,
    kube_rs::deliver,
    kube_rs::cache_apply,
    kube_rs::reconcile,
    stores::put,
    stores::watch,
    stores::list
);
criterion_main!(benches);
