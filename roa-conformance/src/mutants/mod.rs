//! [`Mutant`]: a good store that does one thing wrong, so that it can be seen that a case notices.
//!
//! A [`Mutation`] is a mistake that a backend could really make. Each case names those that it must reject; the
//! suite's own tests run each case on a good store and on its mutants.

mod commit;
mod factory;
mod feed;
mod lifecycle;
mod notes;
mod read;
mod store;

pub use commit::CommitMutation;
pub use factory::MutantFactory;
pub use feed::FeedMutation;
pub use lifecycle::LifecycleMutation;
pub use read::ReadMutation;
pub use store::Mutant;

/// What a mutant does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mutation {
    /// Something about commits.
    Commit(CommitMutation),
    /// Something about reads.
    Read(ReadMutation),
    /// Something about change feeds.
    Feed(FeedMutation),
    /// Something about compaction, fences and opening.
    Lifecycle(LifecycleMutation),
}
