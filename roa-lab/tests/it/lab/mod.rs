//! The life of labs, driven directly: a store in memory, a clock that stands still until it is moved, and a provisioner
//! that does as it is told.

mod capacity;
mod crash;
mod deletion;
mod drift;
mod elsewhere;
pub mod fake;
mod gone_node;
mod life;
mod machine;
mod manifests;
mod random_walk;
mod real;
mod retries;
mod storm;
mod trials;
mod two_nodes;
mod unclear;
mod waiting;
mod world;
