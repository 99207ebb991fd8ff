//! Compaction, closing and opening, breaks of the history.

mod compact;
mod fence;
mod format;
mod reopen;
mod replaced;

use crate::mutants::LifecycleMutation as Wrong;
use crate::mutants::Mutation::Lifecycle;
use crate::{Case, Facility, Need};

/// What a case about old and foreign files needs.
const FIXTURES: &[Need] = &[Need::Facility(Facility::Fixtures)];
/// What a case about a backup needs.
const BACKUPS: &[Need] = &[Need::Facility(Facility::Backups)];

pub(super) const CASES: &[Case] = &[
    Case::new(71, "compact_keeps_live", "S10", body!(compact::compact_keeps_live))
        .rejects(&[Lifecycle(Wrong::CompactionForgetsEntries)]),
    Case::new(72, "compact_idempotent_and_monotone", "S10", body!(compact::compact_idempotent_and_monotone))
        .rejects(&[Lifecycle(Wrong::CompactionLowersTheFloor), Lifecycle(Wrong::CompactionKeepsNothing)]),
    Case::new(73, "compact_future_rejected", "S10", body!(compact::compact_future_rejected))
        .rejects(&[Lifecycle(Wrong::CompactionStopsAtTheHead)]),
    Case::new(74, "compact_concurrent_with_writes", "S1, S10", body!(compact::compact_concurrent_with_writes))
        .needs(&[Need::Dense])
        .rejects(&[Lifecycle(Wrong::CompactionMovesTheHead)]),
    Case::new(75, "reopen_preserves_all", "S1, S4", body!(reopen::reopen_preserves_all))
        .needs(&[Need::Reopens])
        .rejects(&[Lifecycle(Wrong::ReopeningLosesTheNewest)]),
    Case::new(76, "reopen_head_after_deleting_last_key", "S1", body!(reopen::reopen_head_after_deleting_last_key))
        .needs(&[Need::Reopens])
        .rejects(&[Lifecycle(Wrong::ReopeningDerivesTheHead)]),
    Case::new(77, "reopen_empty_log_floor", "S10", body!(reopen::reopen_empty_log_floor))
        .needs(&[Need::Reopens])
        .rejects(&[Lifecycle(Wrong::ReopeningLowersTheFloor)]),
    Case::new(78, "fence_expires_all_old_rvs", "S14", body!(fence::fence_expires_all_old_rvs))
        .needs(&[Need::Dense])
        .rejects(&[Lifecycle(Wrong::FencesDoNothing), Lifecycle(Wrong::FeedsOutliveFences)]),
    Case::new(79, "fence_race_two_clients_one_jump", "S14", body!(fence::fence_race_two_clients_one_jump))
        .rejects(&[Lifecycle(Wrong::FencesIgnoreTheEpoch)]),
    Case::new(80, "restore_from_backup_fenced", "S1, S14", body!(replaced::restore_from_backup_fenced))
        .needs(BACKUPS)
        .rejects(&[Lifecycle(Wrong::RestoringDoesNotFence)]),
    Case::new(81, "store_id_swap_expires", "S13", body!(replaced::store_id_swap_expires))
        .needs(&[Need::Dense])
        .rejects(&[Lifecycle(Wrong::AllStoresAreTheSame)]),
    Case::new(82, "newer_schema_refused", "S13", body!(format::newer_schema_refused))
        .needs(FIXTURES)
        .rejects(&[Lifecycle(Wrong::OpensNewerSchemas)]),
    Case::new(83, "foreign_file_refused", "S13", body!(format::foreign_file_refused))
        .needs(FIXTURES)
        .rejects(&[Lifecycle(Wrong::OpensForeignFiles)]),
    Case::new(84, "v1_fixture_opens", "S13", body!(format::v1_fixture_opens))
        .needs(FIXTURES)
        .rejects(&[Lifecycle(Wrong::OldStoresAreEmpty)]),
];
