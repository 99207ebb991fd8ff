//! [`LabWorkerPool`]: workers that come and go with the labs.
//!
//! # Layout
//! - What is declared: [`LabWorkerPool`] with [`Scaling`], [`ScalingPolicy`] and [`Hours`]
//! - What is observed: [`PoolStatus`] with its last [`ScalingDecision`]s
//! - What is to be done: [`decide`], a pure function of the pool, its workers and the time
//! - What acts on it: [`PoolController`]
//!
//! # Rules
#![doc = include_str!("../docs/pool-rules.md")]

mod backoff;
mod controller;
mod decide;
mod hours;
mod kind;
mod scaling;
mod status;

pub use controller::{POOL_FINALIZER, PoolController};
pub use decide::{Decision, PoolView, WorkerView, decide};
pub use hours::{Hours, TimeOfDay};
pub use kind::{LabWorkerPool, Pool, WorkerTemplate};
pub use scaling::{Scaling, ScalingPolicy};
pub use status::{Decisions, Direction, PoolStatus, ScalingDecision};
