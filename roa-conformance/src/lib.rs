#![doc = include_str!("docs/usage.md")]

mod case;
mod cases;
pub mod checker;
mod client;
mod factory;
mod failure;
mod fault;
mod feed;
pub mod fixture;
mod harness;
pub mod mutants;
mod rewrite;
mod runner;
mod settings;
mod watching;

pub use case::{Case, Need};
pub use cases::cases;
pub use factory::{Backup, Facility, FactoryError, Fixture, FreshOptions, Made, Opened, StoreFactory};
pub use failure::{CaseFailure, Outcome};
pub use fault::{CallFault, CommitFault, FaultPlan, FaultStore, FeedFault};
pub use runner::{Expected, run, run_pinned};
pub use settings::{Settings, SettingsError};
