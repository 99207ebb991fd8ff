//! [`GarbageCollector`]: what is owned goes when its owners are gone.
//!
//! It keeps a graph of who owns whom from the change feed, and examines the objects that a change concerns. The graph only
//! says where to look: before anything is deleted, the object is read from the store, and an owner that the graph does not
//! have is looked for there too (D7). It judges by how things are, not by what happened, so it may be stopped anywhere
//! (D8, D10).
//!
//! - **Background** (the default): the owner goes at once, then those that no other owner keeps.
//! - **Foreground**: the owner waits for the dependents that block its deletion.
//! - **Orphan**: the dependents lose their reference to the owner, which goes after that.
//!
//! An owner is in the namespace of its dependent, or of cluster scope (D6). A reference to an owner in another namespace
//! counts as one to nothing; a reference from cluster scope into a namespace, or to a kind that is not registered, can't be
//! resolved and keeps its object. Either leads to an event.

mod collector;
mod decide;
mod examine;
mod graph;
mod metrics;

pub use collector::{GarbageCollector, GarbageCollectorConfig};

pub(crate) use metrics::CollectorMetrics;
