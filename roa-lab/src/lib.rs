//! The sample domain of ROA: short-lived lab environments for students, declared as resources.
//!
//! # Layout
//! - What is declared: [`LabInstance`], [`LabTemplate`] and the built-in templates; [`kinds`] registers them
//! - What is observed: [`LabStatus`], with [`LabState`], [`History`] and [`conditions`]
//! - What acts on it: [`LabController`], [`LabReconciler`], both made from [`LabSettings`]
//! - How patient all of this is: [`LabPolicy`]; how much there is room for: [`Capacity`]; what is measured: [`LabMetrics`]
//! - How a lab comes to exist outside of the store: [`provision`], chosen by name from [`Provisioners`]
//! - The values of manifests: [`Quantity`], [`Written`]
//!
//! # States
#![doc = include_str!("docs/states.md")]

mod admission;
mod attempt;
mod builtin;
mod capacity;
mod controller;
mod email;
mod history;
mod instance;
mod kinds;
mod ledger;
mod metrics;
mod policy;
pub mod provision;
mod provisioners;
mod quantity;
mod reconciler;
mod resources;
mod settings;
mod state;
mod status;
mod template;
mod turn;
mod written;

pub use builtin::{BUILT_IN_TEMPLATES, builtin};
pub use capacity::Capacity;
pub use controller::{FINALIZER, LabController};
pub use history::{History, StateChange};
pub use instance::{Lab, LabInstance};
pub use kinds::{GROUP, VERSION, kinds};
pub use metrics::LabMetrics;
pub use policy::LabPolicy;
pub use provisioners::Provisioners;
pub use quantity::{Quantity, QuantityError};
pub use reconciler::LabReconciler;
pub use resources::{ResourceRequest, Resources};
pub use settings::LabSettings;
pub use state::{LabState, MACHINE};
pub use status::{Allocation, LabStatus, conditions};
pub use template::{LabTemplate, NoStatus, Template};
pub use written::Written;
