//! Change feeds and watches: what is told of what was committed.

mod content;
mod end;
mod filter;
mod floor;
mod isolation;
mod order;
mod progress;
mod reliable;
mod snapshot;
mod start;

use crate::mutants::FeedMutation as Wrong;
use crate::mutants::Mutation::{Feed, Read};
use crate::mutants::ReadMutation;
use crate::{Case, Facility, Need};

/// The hub follows dense logs only.
const DENSE: &[Need] = &[Need::Dense];

pub(super) const CASES: &[Case] = &[
    Case::new(39, "ordered", "W1", body!(order::ordered)).needs(DENSE).rejects(&[Feed(Wrong::Swaps)]),
    Case::new(40, "unique", "W2", body!(order::unique)).needs(DENSE).rejects(&[Feed(Wrong::Repeats)]),
    Case::new(41, "atomic_multi_op", "W3", body!(order::atomic_multi_op))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::SplitsBatches)]),
    Case::new(42, "reliable_vs_log_100k", "W4", body!(reliable::reliable_vs_log))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::DropsBatches), Feed(Wrong::DropsChanges)]),
    Case::new(43, "start_after_exclusive", "W5", body!(start::start_after_exclusive))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::StartsInclusive)]),
    Case::new(44, "start_at_head_then_next", "W5", body!(start::start_at_head_then_next))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::MissesTheFirstAtTheHead)]),
    Case::new(45, "start_zero_from_empty_store", "W5", body!(start::start_zero_from_empty_store))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::BelowTheFloorMeansNow), Feed(Wrong::MissesTheFirstAtTheHead)]),
    Case::new(46, "resume_every_revision", "W6", body!(start::resume_every_revision))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::SkipsOneOnResume)]),
    Case::new(47, "below_floor_expired_first_item", "W7", body!(floor::below_floor_expired_first_item))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::BelowTheFloorMeansNow), Feed(Wrong::ExpiredNamesTheHead)]),
    Case::new(48, "at_floor_ok_at_floor_minus_1_expired", "W7", body!(floor::at_floor_ok_at_floor_minus_1_expired))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::TheFloorIsExpired), Feed(Wrong::BelowTheFloorByOneIsServed)]),
    Case::new(49, "future_toolarge", "W8", body!(floor::future_toolarge))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::FutureMeansNow)]),
    Case::new(50, "compact_while_watching_no_loss", "W4", body!(floor::compact_while_watching_no_loss))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::CompactionDropsDeletes)]),
    Case::new(51, "open_at_compacting_revision", "W7", body!(floor::open_at_compacting_revision))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::DropsDeletesAtTheFloor)]),
    Case::new(52, "delete_has_prev_after_compaction", "W13", body!(content::delete_has_prev_after_compaction))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::DeletesLoseTheValue)]),
    Case::new(53, "create_update_delete_kinds", "W12", body!(content::create_update_delete_kinds))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::PutsLosePrevious)]),
    Case::new(54, "prev_value_correct", "W13", body!(content::prev_value_correct))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::PreviousIsCurrent), Feed(Wrong::PutsLosePrevious)]),
    Case::new(55, "progress_after_events", "W10", body!(progress::progress_after_events))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::DropsChanges)]),
    Case::new(56, "progress_without_matches", "W10", body!(progress::progress_without_matches))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::Stalls)]),
    Case::new(57, "progress_monotone", "W10", body!(progress::progress_monotone))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::Repeats), Feed(Wrong::Swaps)]),
    Case::new(58, "filter_enter_leave", "W12", body!(filter::filter_enter_leave))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::PreviousIsCurrent), Feed(Wrong::PutsLosePrevious)]),
    Case::new(59, "single_key_watch", "W5", body!(content::single_key_watch))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::CutsNames)]),
    Case::new(60, "prefix_no_sibling_leak", "W5", body!(content::prefix_no_sibling_leak))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::CutsNamespaces)]),
    Case::new(61, "stalled_watcher_isolated", "W14", body!(isolation::stalled_watcher_isolated))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::UnreadFeedsBlockCommits)]),
    Case::new(62, "stalled_watcher_gets_expired_not_gap", "W9, W14", body!(isolation::stalled_watcher_gets_expired))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::SkipsToTheFloor)]),
    Case::new(63, "10k_watchers_one_writer", "W14", body!(isolation::ten_thousand_watchers_one_writer))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::DropsChanges), Feed(Wrong::DropsBatches)]),
    Case::new(64, "drop_frees", "W15", body!(isolation::drop_frees)).needs(DENSE).rejects(&[Feed(Wrong::FeedsLeak)]),
    Case::new(65, "list_then_watch_no_gap_race_x10k", "W16", body!(snapshot::list_then_watch_no_gap_race))
        .needs(DENSE)
        .rejects(&[Read(ReadMutation::ListsNameAnOlderRevision), Feed(Wrong::MissesTheFirstAtTheHead)]),
    Case::new(66, "initial_events_end_bookmark", "W17", body!(snapshot::initial_events_end_bookmark))
        .needs(&[Need::Dense, Need::ExactLists])
        .rejects(&[Read(ReadMutation::PagesDrift), Read(ReadMutation::PagesSkipOne)]),
    Case::new(67, "store_close_terminal_item", "W9", body!(end::store_close_terminal_item))
        .needs(&[Need::Dense, Need::Facility(Facility::Closes)])
        .rejects(&[Feed(Wrong::EndsSilently)]),
    Case::new(68, "latency_bound", "W11", body!(end::latency_bound)).needs(DENSE).rejects(&[Feed(Wrong::Delays)]),
    Case::new(69, "dense_violation_injected_stops", "W18", body!(end::dense_violation_injected_stops))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::HasNoChain)]),
    Case::new(70, "filter_change_same_commit", "W3, W12", body!(filter::filter_change_same_commit))
        .needs(DENSE)
        .rejects(&[Feed(Wrong::SplitsBatches)]),
];
