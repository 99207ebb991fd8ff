//! How a lab comes to exist outside of the store, is looked at, and is taken away again.
//!
//! # Layout
//! - The seam: [`Provisioner`], with what it is asked ([`ProvisionRequest`]) and what it says ([`Observation`])
//! - What a template says: [`ProcessTemplate`], [`SimulatedTemplate`]
//! - Real processes: [`ProcessProvisioner`], and [`run_shim`], which runs each of them; [`LabLogs`], what they wrote
//! - Labs that only seem to be: [`SimulatedProvisioner`]
//! - What a lab can serve with nothing installed: [`serve_static`]

mod bounded;
#[cfg(test)]
mod empty;
mod environment;
mod error;
mod gate;
mod process;
mod provisioner;
mod shim;
mod simulated;
mod static_site;
mod template;

pub(crate) use bounded::Bounded;
#[cfg(test)]
pub(crate) use empty::Empty;
pub use environment::{is_secret_variable, validate_environment};
pub use error::ProvisionError;
pub(crate) use gate::{Closed, Gate, default_config as default_breaker};
pub use process::{LabLogs, LogError, LogStream, ProcessConfig, ProcessProvisioner};
pub use provisioner::{LabIdentity, Observation, ProvisionRequest, Provisioner, StopProgress};
pub use shim::{ShimError, ShimOutcome, run_shim};
pub use simulated::SimulatedProvisioner;
pub use static_site::{StaticSite, StaticSiteError, serve_static};
pub use template::{ProcessTemplate, Readiness, SimulatedTemplate};
