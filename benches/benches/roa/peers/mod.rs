//! ROA beside others that do the same work: kube-rs fed from memory, etcd and NATS JetStream as private servers.
//!
//! `cargo xtask bench --only peers`; it builds with the feature `peers`, for which `protoc` must be there. A server that
//! is not installed is left out, and that is said.

mod etcd;
mod kube_rs;
mod nats;
mod server;
mod stores;

use criterion::criterion_group;

/// What one object costs kube-rs's store; in a process of its own, as the others of `memory`.
pub(crate) use kube_rs::hold;

criterion_group!(
    benches,
    kube_rs::deliver,
    kube_rs::cache_apply,
    kube_rs::reconcile,
    stores::put,
    stores::watch,
    stores::list
);
