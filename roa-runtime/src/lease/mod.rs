//! Leadership and shards in the store itself, fenced.
//!
//! Records among the store's own, all written by ordinary commits:
//! - an *ownership* for each lease and each shard, which changes only when its owner does; its revision is the fencing
//!   token that each write of the owner carries a guard on ([`Ownership`](roa_core::Ownership));
//! - one *heartbeat* for each process, whatever it owns, which it renews. So a renewal never moves an ownership.
//!
//! A process takes over what another one has when it has seen no sign of life of that one for the lease's duration, by
//! its own monotonic clock (L2). It first removes the other's heartbeat, if that has not moved, so that no renewal that is
//! still on its way can happen; then it takes the ownerships, under the condition that neither they nor the heartbeat
//! have changed since. A process counts itself as the owner no longer than from the *begin* of its last good renewal to
//! the renew deadline, which is shorter (L3, L4); to know that, it needs neither the store nor a timer. The time of day
//! plays no part (L7).
//!
//! A lease stays with who has it. A shard goes to who should have it among the members that live, by rendezvous hashing:
//! the one that has it lets the calls that run end, gives it back, and then the other takes it.
//!
//! What this costs the store: in each process and retry period, one commit and one look; and one commit for each
//! hand-over of any number of shards. Changes of owners are looked at at once, at most eight times in a retry period.

mod config;
mod coordinator;
mod group;
mod handle;
mod layout;
mod membership;
mod observer;
mod owner;
mod patient_store;
mod record;
mod term;
mod territory;
#[cfg(test)]
mod tests;
mod transactions;
mod view;

pub use config::{LeaseConfig, LeaseConfigError};
pub use coordinator::Coordinator;
pub use handle::{Lease, LeaseState};
pub use layout::{Layout, LayoutError, LayoutMismatch, LayoutRecord};
pub use membership::Membership;
pub(crate) use membership::Nudge;
pub(crate) use owner::owner_of;
pub use term::Permit;
pub(crate) use term::TermToken;
pub(crate) use territory::Holding;
pub use territory::Territory;
