//! Whether the answer to a read is what the state at its revision says.

use std::sync::Arc;

use roa_core::{Entry, Key, ListRequest, Page, Revision};

use super::anomaly::Anomalies;
use super::state::same;
use super::{History, ReadAnomaly, Site, State, Step};

/// Compares the answer of an operation, if it is a read, with the state at its revision.
pub(super) fn check_answer(history: &History, operation: usize, state: &State, anomalies: &mut Anomalies) {
    let site = Site::of(history, operation);
    match &history.operations[operation].step {
        Step::Get { key, result: Ok(read) } => {
            Answer { site, revision: read.revision, anomalies }.compare(key, state.get(key), read.entry.as_ref());
        }
        Step::List { request, result: Ok(page) } => {
            Answer { site, revision: page.revision, anomalies }.check_page(request, page, state);
        }
        _ => {}
    }
}

struct Answer<'a> {
    site: Site,
    revision: Revision,
    anomalies: &'a mut Anomalies,
}

impl Answer<'_> {
    /// Whether an answered entry is that of the state.
    fn compare(&mut self, key: &Key, expected: Option<&Arc<Entry>>, found: Option<&Arc<Entry>>) -> bool {
        let equal = same(expected, found);
        if !equal {
            let (key, expected, found) = (key.clone(), expected.cloned(), found.cloned());
            let (site, revision) = (self.site, self.revision);
            self.anomalies.add(ReadAnomaly::WrongEntry { site, revision, key, expected, found });
        }
        equal
    }

    fn check_page(&mut self, request: &ListRequest, page: &Page, state: &State) {
        if let Some(pair) = page.entries.windows(2).find(|pair| pair[0].key >= pair[1].key) {
            let key = pair[1].key.clone();
            return self.anomalies.add(ReadAnomaly::Unsorted { site: self.site, key });
        }
        let mut expected = state.below(&request.prefix, request.after.as_ref());
        if !page.entries.iter().all(|found| self.compare_next(expected.next(), found)) {
            return;
        }
        match (expected.next(), &page.next) {
            (Some(missing), None) => _ = self.compare(&missing.key, Some(missing), None),
            (left, _) => self.check_next(request, page, left.is_some()),
        }
    }

    /// Compares an entry of a page with the next one of the state, which may be missing in the page.
    fn compare_next(&mut self, expected: Option<&Arc<Entry>>, found: &Arc<Entry>) -> bool {
        match expected {
            Some(missing) if missing.key < found.key => self.compare(&missing.key, expected, None),
            Some(same) if same.key == found.key => self.compare(&found.key, expected, Some(found)),
            _ => self.compare(&found.key, None, Some(found)),
        }
    }

    fn check_next(&mut self, request: &ListRequest, page: &Page, more: bool) {
        let too_long = request.limit.is_some_and(|limit| page.entries.len() > limit.get());
        let last = page.entries.last().map(|entry| &entry.key);
        let problem = match &page.next {
            _ if too_long => "has more entries than were asked for",
            None => return,
            Some(_) if request.limit.is_none() => "goes on, though all entries were asked for",
            Some(_) if !more => "goes on, though nothing follows",
            Some(next) if next.revision != page.revision => "goes on at another revision",
            Some(next) if Some(&next.after) != last => "goes on after another key than its last",
            Some(_) => return,
        };
        self.anomalies.add(ReadAnomaly::WrongPage { site: self.site, problem });
    }
}
