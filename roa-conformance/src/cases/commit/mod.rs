//! Commits: comparing and writing in one step.

mod cas;
mod outcome;
mod race;
mod revisions;
mod txn;
mod values;

use crate::mutants::CommitMutation as Wrong;
use crate::mutants::Mutation::{Commit, Read};
use crate::mutants::ReadMutation;
use crate::{Case, Facility, Need};

pub(super) const CASES: &[Case] = &[
    Case::new(1, "create_absent_ok", "S3", body!(cas::create_absent_ok)).rejects(&[Commit(Wrong::LosesCreates)]),
    Case::new(2, "create_existing_conflict", "S3", body!(cas::create_existing_conflict))
        .rejects(&[Commit(Wrong::CreatesOverTheExisting)]),
    Case::new(3, "update_matching_rev", "S3", body!(cas::update_matching_rev))
        .rejects(&[Commit(Wrong::KeepsOldValues)]),
    Case::new(4, "update_stale_conflict_carries_current", "S3", body!(cas::update_stale_conflict_carries_current))
        .rejects(&[Commit(Wrong::ConflictsNameNoRevision)]),
    Case::new(5, "update_absent_notfound", "S3", body!(cas::update_absent_notfound))
        .rejects(&[Commit(Wrong::UpdatesCreate)]),
    Case::new(6, "delete_matching", "S3", body!(cas::delete_matching)).rejects(&[Commit(Wrong::DeletesWrite)]),
    Case::new(7, "delete_stale", "S3", body!(cas::delete_stale)).rejects(&[Commit(Wrong::DeletesIgnoreTheRevision)]),
    Case::new(8, "failed_cas_leaves_head", "S3", body!(cas::failed_cas_leaves_head))
        .rejects(&[Commit(Wrong::ConflictsMoveTheHead)]),
    Case::new(9, "revisions_dense_and_monotone", "S1", body!(revisions::revisions_dense_and_monotone))
        .needs(&[Need::Dense])
        .rejects(&[Commit(Wrong::SkipsRevisions)]),
    Case::new(10, "recreate_new_life", "S9", body!(revisions::recreate_new_life))
        .rejects(&[Read(ReadMutation::LivesGoOn)]),
    Case::new(11, "version_and_create_rev", "S9", body!(revisions::version_and_create_rev))
        .rejects(&[Read(ReadMutation::VersionsStandStill)]),
    Case::new(12, "two_writers_one_winner_x1000", "S2, S3", body!(race::two_writers_one_winner))
        .rejects(&[Commit(Wrong::ChecksThenWrites), Commit(Wrong::AcknowledgesLosers)]),
    Case::new(13, "counter_increments_64_tasks_exact", "S2", body!(race::counter_increments_64_tasks_exact))
        .rejects(&[Commit(Wrong::ChecksThenWrites), Commit(Wrong::AcknowledgesLosers)]),
    Case::new(14, "multi_op_one_revision", "S4", body!(txn::multi_op_one_revision))
        .rejects(&[Commit(Wrong::SplitsTransactions)]),
    Case::new(15, "guard_pass", "S3, L5", body!(txn::guard_pass)).rejects(&[Commit(Wrong::GuardsNeverHold)]),
    Case::new(16, "guard_stale_rejected_nothing_applied", "S3, L5", body!(txn::guard_stale_rejected_nothing_applied))
        .rejects(&[Commit(Wrong::GuardsAlwaysHold)]),
    Case::new(17, "duplicate_key_in_txn_rejected", "S4", body!(txn::duplicate_key_in_txn_rejected))
        .rejects(&[Commit(Wrong::LastWriteOfAKeyWins)]),
    Case::new(18, "identical_update_new_revision", "S11", body!(revisions::identical_update_new_revision))
        .rejects(&[Commit(Wrong::HidesIdenticalWrites)]),
    Case::new(19, "limits_key_value_ops", "S12", body!(txn::limits_key_value_ops))
        .rejects(&[Commit(Wrong::TruncatesLargeTransactions)]),
    Case::new(20, "binary_keys_and_values_roundtrip", "S9", body!(values::binary_keys_and_values_roundtrip))
        .rejects(&[Commit(Wrong::TakesValuesForText)]),
    Case::new(21, "empty_value_ok", "S9", body!(values::empty_value_ok))
        .rejects(&[Read(ReadMutation::EmptyValuesVanish)]),
    Case::new(22, "max_revision_2pow53_refused", "S1", body!(revisions::max_revision_2pow53_refused))
        .needs(&[Need::Facility(Facility::Opening)])
        .rejects(&[Commit(Wrong::UsesTheLastRevisionAgain)]),
    Case::new(23, "ambiguous_reported_on_cut", "S4, S5", body!(outcome::ambiguous_reported_on_cut))
        .rejects(&[Commit(Wrong::PausesBetweenWrites), Commit(Wrong::LostRepliesAreFailures)]),
    Case::new(24, "stale_epoch_commit_fenced", "S14", body!(outcome::stale_epoch_commit_fenced))
        .rejects(&[Commit(Wrong::IgnoresTheEpoch)]),
];
