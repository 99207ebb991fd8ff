//! [`Entries`]: what a copy is about in a store, in key order, read page by page.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::vec;

use roa_core::{Entry, Key, KeyPrefix, ListRequest, Result, Revision, Store};

use super::marker;

/// How many entries are read at a time.
const PAGE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(199);
/// Records that belong to the processes on a store: who leads, and who lives.
const OF_PROCESSES: [&str; 2] = ["leases", "heartbeats"];

/// Whether a copy leaves this key alone on either side.
fn stays_behind(key: &Key) -> bool {
    key.is_system() && (OF_PROCESSES.contains(&key.resource()) || key.resource() == marker::RESOURCE)
}

/// The entries of a store, in key order, with a look at the next.
pub(super) struct Entries<'a> {
    store: &'a dyn Store,
    /// Whether all pages are as of one revision.
    exact: bool,
    page: vec::IntoIter<Arc<Entry>>,
    next: Option<Arc<Entry>>,
    request: Option<ListRequest>,
    revision: Option<Revision>,
}

impl<'a> Entries<'a> {
    /// All as of one revision, that of the first page.
    pub(super) fn at_one_revision(store: &'a dyn Store) -> Self {
        Self::new(store, true)
    }

    /// Each page as of when it is read. Who reads may write behind itself, however much: its own writes can't make a
    /// revision expire that it still reads.
    pub(super) fn as_they_are(store: &'a dyn Store) -> Self {
        Self::new(store, false)
    }

    fn new(store: &'a dyn Store, exact: bool) -> Self {
        let request = Some(ListRequest::new(KeyPrefix::everything()).limit(PAGE));
        Self { store, exact, page: Vec::new().into_iter(), next: None, request, revision: None }
    }

    /// The revision of the page that was read last; `None` before the first.
    pub(super) const fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// The next entry, which stays the next; `None` after the last.
    ///
    /// # Errors
    /// [`Error::Expired`](roa_core::Error) if the one revision is no longer kept; as [`Store::list`].
    pub(super) async fn peek(&mut self) -> Result<Option<&Arc<Entry>>> {
        while self.next.is_none() {
            self.next = self.page.find(|entry| !stays_behind(&entry.key));
            if self.next.is_none() && !self.read().await? {
                break;
            }
        }
        Ok(self.next.as_ref())
    }

    /// What was seen by [`Self::peek`].
    pub(super) const fn take(&mut self) -> Option<Arc<Entry>> {
        self.next.take()
    }

    /// Reads a page; `false` after the last.
    async fn read(&mut self) -> Result<bool> {
        let Some(request) = self.request.take() else { return Ok(false) };
        let page = self.store.list(request).await?;
        self.revision = Some(page.revision);
        self.request = page.next.map(|next| {
            let request = ListRequest::new(KeyPrefix::everything()).limit(PAGE);
            if self.exact {
                return request.resume(next);
            }
            let mut request = request;
            request.after = Some(next.after);
            request
        });
        self.page = page.entries.into_iter();
        Ok(true)
    }
}
