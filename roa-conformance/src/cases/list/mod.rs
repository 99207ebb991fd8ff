//! Reads and lists: what is seen of what was committed.

mod exact;
mod paging;
mod read;
mod snapshot;

use crate::mutants::Mutation::Read;
use crate::mutants::ReadMutation as Wrong;
use crate::{Case, Need};

pub(super) const CASES: &[Case] = &[
    Case::new(25, "get_latest_after_ack", "S7", body!(read::get_latest_after_ack))
        .rejects(&[Read(Wrong::ReadsAreStale)]),
    Case::new(26, "list_sorted_bytewise", "S7", body!(read::list_sorted_bytewise))
        .rejects(&[Read(Wrong::ListsAreReversed), Read(Wrong::ListsIgnoreCase)]),
    Case::new(27, "prefix_boundaries_ff_and_separator", "S7", body!(read::prefix_boundaries_ff_and_separator))
        .rejects(&[Read(Wrong::PrefixesEndInASegment), Read(Wrong::PrefixesEndEarly)]),
    Case::new(28, "list_snapshot_under_writes", "S7", body!(snapshot::list_snapshot_under_writes))
        .rejects(&[Read(Wrong::ListsAreTorn)]),
    Case::new(29, "list_revision_covers_items", "S7", body!(snapshot::list_revision_covers_items))
        .needs(&[Need::Dense])
        .rejects(&[Read(Wrong::ListsNameAnOlderRevision)]),
    Case::new(30, "empty_list_returns_head", "S7", body!(read::empty_list_returns_head))
        .rejects(&[Read(Wrong::EmptyListsNameTheFloor)]),
    Case::new(31, "paging_complete_no_dup_under_writes", "S8", body!(paging::paging_complete_no_dup_under_writes))
        .needs(&[Need::ExactLists])
        .rejects(&[Read(Wrong::PagesDrift), Read(Wrong::PagesSkipOne)]),
    Case::new(32, "exact_past_equals_model", "S8", body!(exact::exact_past_equals_model))
        .needs(&[Need::ExactLists])
        .rejects(&[Read(Wrong::ExactListsAreOfNow), Read(Wrong::ExactListsMissTheDeleted)]),
    Case::new(33, "exact_below_floor_expired", "S8", body!(exact::exact_below_floor_expired))
        .needs(&[Need::ExactLists])
        .rejects(&[Read(Wrong::ExpiredListsAreOfNow)]),
    Case::new(34, "exact_future_toolarge", "S8", body!(exact::exact_future_toolarge))
        .needs(&[Need::ExactLists])
        .rejects(&[Read(Wrong::FutureListsAreOfNow)]),
    Case::new(35, "continue_after_compaction_expired", "S8", body!(paging::continue_after_compaction_expired))
        .needs(&[Need::ExactLists])
        .rejects(&[Read(Wrong::ExpiredListsAreOfNow)]),
    Case::new(
        36,
        "continue_token_foreign_prefix_rejected",
        "S8",
        body!(paging::continue_token_foreign_prefix_rejected),
    )
    .needs(&[Need::ExactLists])
    .rejects(&[Read(Wrong::ForeignContinuesBeginAnew)]),
    Case::new(37, "rare_match_paging", "S8, W17", body!(paging::rare_match_paging))
        .needs(&[Need::Dense, Need::ExactLists])
        .rejects(&[Read(Wrong::PagingStopsEarly)]),
    Case::new(38, "not_older_than_waits_then_toolarge", "S7", body!(exact::not_older_than_waits_then_toolarge))
        .needs(&[Need::Dense])
        .rejects(&[Read(Wrong::FutureListsAreOfNow)]),
];
