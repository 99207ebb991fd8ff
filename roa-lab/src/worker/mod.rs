//! [`LabWorker`]: a machine that labs are placed on; how it comes, lives, drains and goes.
//!
//! # Layout
//! - What is declared: [`LabWorker`]; what is observed: [`WorkerStatus`] with [`WorkerPhase`] and [`Account`]
//! - That it lives: [`LabWorkerHeartbeat`], in an object of its own
//! - How it comes to exist: [`WorkerProvisioner`], chosen by name from [`WorkerProvisioners`]; [`SimulatedWorkers`]
//! - What acts on it: [`WorkerController`] and [`WorkerReconciler`]
//!
//! # Phases
#![doc = include_str!("../docs/worker-phases.md")]

mod account;
mod controller;
mod heartbeat;
mod kind;
mod phase;
mod provision;
mod reconciler;
mod simulated;
mod status;

pub use account::Account;
pub use controller::{WORKER_FINALIZER, WorkerController};
pub use heartbeat::{LabWorkerHeartbeat, WorkerHeartbeat};
pub use kind::{DesiredPhase, LabWorker, SimulatedWorker, Worker, WorkerCapacity};
pub use phase::{WORKER_MACHINE, WorkerPhase};
pub use provision::{WorkerObservation, WorkerProvisioner, WorkerProvisioners, WorkerRequest};
pub use reconciler::{WorkerReconciler, WorkerSeen};
pub use simulated::{SILENCE_ANNOTATION, SimulatedWorkers};
pub(crate) use status::percent;
pub use status::{Utilisation, WorkerStatus, worker_conditions};
