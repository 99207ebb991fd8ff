//! The `kube` crate: what operators written in Rust do.

mod controller;
mod discovery;
mod kinds;
mod objects;
mod restart;
mod watches;
