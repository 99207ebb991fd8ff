//! The sample domain of ROA: short-lived lab environments for students, declared as resources.
//!
//! # Layout
//! - The kinds: [`LabInstance`], [`LabTemplate`]; [`kinds`] registers them
//! - A lab's life: [`LabState`], [`MACHINE`]
//! - What drives it: [`LabController`], [`LabReconciler`], with [`LabSettings`] and [`LabPolicy`]
//! - How a lab comes to exist outside of the store: [`provision`], [`Provisioners`]

mod accounts;
mod conditions;
mod controller;
mod instance;
mod metrics;
mod policy;
pub mod provision;
mod provisioners;
mod quantity;
mod reconciler;
mod registry;
mod state;
mod template;

pub use controller::{FINALIZER, LabController, LabSettings};
pub use instance::{Allocation, Lab, LabInstance, LabStatus, Resources, Step};
pub use metrics::LabMetrics;
pub use policy::{Capacity, LabPolicy};
pub use provisioners::Provisioners;
pub use quantity::{Quantity, QuantityError};
pub use reconciler::LabReconciler;
pub use registry::{GROUP, VERSION, kinds};
pub use state::{LabState, MACHINE};
pub use template::{LabTemplate, NoStatus, Template, builtin};
