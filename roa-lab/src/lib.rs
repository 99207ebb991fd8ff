//! The sample domain of ROA: short-lived lab environments for students, declared as resources.
//!
//! # Layout
//! - What is declared: [`LabInstance`], [`LabTemplate`] and the built-in templates; [`kinds`] registers all kinds
//! - What is observed: [`LabStatus`], with [`LabState`], [`History`] and [`conditions`]
//! - What acts on it: [`LabController`], [`LabReconciler`], both made from [`LabSettings`]; on its own node, for labs that
//!   another process handles: [`NodeAgent`]
//! - Machines that labs are placed on: [`LabWorker`], with [`WorkerController`] and [`WorkerReconciler`]; as many as are
//!   needed: [`LabWorkerPool`], with [`PoolController`]; which of them a lab gets: [`Scheduling`]
//! - How patient all of this is: [`LabPolicy`]; how much there is room for: [`Capacity`]; what is measured: [`LabMetrics`]
//! - How a lab comes to exist outside of the store: [`provision`], chosen by name from [`Provisioners`]
//! - The values of manifests: [`Quantity`], [`Written`]
//!
//! # States
#![doc = include_str!("docs/states.md")]
//!
//! # Workers
#![doc = include_str!("docs/worker-phases.md")]
//!
//! # Pools
#![doc = include_str!("docs/pool-rules.md")]

mod admission;
mod attempt;
mod builtin;
mod capacity;
mod controller;
mod displaced;
mod history;
mod instance;
mod kinds;
mod ledger;
mod metrics;
mod policy;
mod pool;
pub mod provision;
mod provisioners;
mod reconciler;
mod resources;
mod scheduler;
mod schema;
mod settings;
mod state;
mod status;
mod template;
mod turn;
mod values;
mod wake;
mod worker;

pub use builtin::{BUILT_IN_TEMPLATES, builtin};
pub use capacity::Capacity;
pub use controller::{FINALIZER, LabController, NodeAgent};
pub use history::{History, StateChange};
pub use instance::{Lab, LabInstance};
pub use kinds::{GROUP, VERSION, kinds};
pub(crate) use metrics::Attempt;
pub use metrics::LabMetrics;
pub use policy::LabPolicy;
pub use pool::{
    Decision, Decisions, Direction, Hours, LabWorkerPool, POOL_FINALIZER, Pool, PoolController, PoolStatus, PoolView,
    Scaling, ScalingDecision, ScalingPolicy, TimeOfDay, WorkerTemplate, WorkerView, decide,
};
pub use provisioners::Provisioners;
pub use reconciler::{LabReconciler, Seen};
pub use resources::{ResourceRequest, Resources};
pub use scheduler::{Scheduling, Strategy};
pub use settings::LabSettings;
pub use state::{LabState, MACHINE};
pub use status::{Allocation, LabStatus, WorkerIdentity, conditions};
pub use template::{LabTemplate, NoStatus, Template};
pub use values::{Quantity, QuantityError, Written};
pub use wake::{concerns_labs, labs_concerned_by};
pub use worker::{
    Account, DesiredPhase, LabWorker, LabWorkerHeartbeat, SILENCE_ANNOTATION, SimulatedWorker, SimulatedWorkers,
    Utilisation, WORKER_FINALIZER, WORKER_MACHINE, Worker, WorkerCapacity, WorkerController, WorkerHeartbeat,
    WorkerObservation, WorkerPhase, WorkerProvisioner, WorkerProvisioners, WorkerReconciler, WorkerRequest, WorkerSeen,
    WorkerStatus, worker_conditions,
};
