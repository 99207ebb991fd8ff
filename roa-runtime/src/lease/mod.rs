//! Leadership on a lease in the store itself, fenced.
//!
//! Two records among the store's own, both written by ordinary commits:
//! - the *ownership* of the lease, which changes only when the owner does; its revision is the fencing token that each
//!   write of the owner carries a guard on ([`Ownership`](roa_core::Ownership));
//! - the owner's *heartbeat*, which it renews. So a renewal never moves the ownership.
//!
//! A candidate takes the lease over when it has seen neither of them change for the lease's duration, by its own
//! monotonic clock (L2), in a transaction under the condition that neither has changed since. The owner holds itself
//! for owner no longer than from the *begin* of its last good renewal to the renew deadline, which is shorter (L3, L4);
//! to know that, it needs neither the store nor a timer. The time of day plays no part (L7).
//!
//! What this costs the store: one commit in each retry period while the lease is held, and one for each change of the
//! owner. Who stands by only reads.

mod candidate;
mod config;
mod driver;
mod handle;
mod patient_store;
mod record;
#[cfg(test)]
mod tests;
mod transactions;

pub use config::{LeaseConfig, LeaseConfigError};
pub use driver::LeaseDriver;
pub use handle::{Lease, LeaseState};
