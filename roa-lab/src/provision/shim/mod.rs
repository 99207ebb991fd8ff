//! The shim: the small process that runs one lab, and outlives the `roa` that started it.
//!
//! It holds the lab's lock, so that there is one at most; runs the command in a session of its own; keeps its newest
//! output; ends it when asked to, and writes down how it ended. It decides nothing and starts nothing twice: what comes
//! next is up to the provisioner.

mod capped_log;
mod child;
mod ending;
mod mask;
mod placeholders;
mod ports;
mod run;
mod session;

pub use run::{ShimError, ShimOutcome, run_shim};
