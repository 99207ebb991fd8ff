//! Lists of objects by selectors.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::ResourceStore;
use crate::{
    At, Continue, Entry, Error, FieldSelector, KindDescriptor, LabelSelector, ListRequest, Page, Result, Revision,
};

/// How many entries are read at a time when a selector keeps few of them.
const SCAN: NonZeroUsize = NonZeroUsize::new(500).unwrap();

/// Which objects to list.
///
/// ```
/// use roa_core::ListOptions;
/// let ready = ListOptions::namespace("school").labels("course=python".parse()?);
/// assert_eq!(ready.namespace.as_deref(), Some("school"));
/// # Ok::<(), roa_core::SelectorError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ListOptions {
    /// Of one namespace only.
    pub namespace: Option<String>,
    /// With these labels.
    pub labels: LabelSelector,
    /// With these fields.
    pub fields: FieldSelector,
    /// As of when.
    pub at: At,
    /// How many objects at most.
    pub limit: Option<NonZeroUsize>,
    /// Where the page before ended.
    pub resume: Option<Continue>,
}

impl ListOptions {
    /// All objects of a kind, now.
    #[must_use]
    pub fn everywhere() -> Self {
        Self::default()
    }

    /// All objects of a namespace, now.
    pub fn namespace(namespace: impl Into<String>) -> Self {
        Self { namespace: Some(namespace.into()), ..Self::default() }
    }

    /// Only those with these labels.
    #[must_use]
    pub fn labels(mut self, labels: LabelSelector) -> Self {
        self.labels = labels;
        self
    }

    /// Only those with these fields.
    #[must_use]
    pub fn fields(mut self, fields: FieldSelector) -> Self {
        self.fields = fields;
        self
    }

    /// As of when.
    #[must_use]
    pub const fn at(mut self, at: At) -> Self {
        self.at = at;
        self
    }

    /// How many objects at most.
    #[must_use]
    pub const fn limit(mut self, limit: NonZeroUsize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Goes on where a page ended.
    #[must_use]
    pub fn resume(mut self, next: Continue) -> Self {
        self.resume = Some(next);
        self
    }

    fn selects_all(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    fn matches(&self, entry: &Entry) -> bool {
        self.selects_all() || entry.object().is_ok_and(|object| object.is_selected(&self.labels, &self.fields))
    }
}

/// A page of objects.
///
/// ```
/// # use roa_core::{ListOptions, ObjectList, ResourceStore, Result};
/// async fn next_page(resources: &ResourceStore, kind: &roa_core::KindDescriptor, page: ObjectList) -> Result<Option<ObjectList>> {
///     let Some(next) = page.next else { return Ok(None) };
///     resources.list(kind, &ListOptions::everywhere().resume(next)).await.map(Some)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct ObjectList {
    /// The entries, in key order; read each with [`Entry::object`] or [`Resource::decode`](crate::Resource::decode).
    pub entries: Vec<Arc<Entry>>,
    /// The revision at which they are true.
    pub revision: Revision,
    /// Where the next page begins; `None` if this was the last.
    pub next: Option<Continue>,
}

impl ResourceStore {
    /// Lists objects of a kind, all as of one revision. Objects that can't be read match no selector.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a field that can't be selected by, [`Error::ListInUnit`] in a unit of work, and as
    /// [`Store::list`](crate::Store::list).
    pub async fn list(&self, kind: &KindDescriptor, options: &ListOptions) -> Result<ObjectList> {
        if self.unit.is_some() {
            return Err(Error::ListInUnit { resource: Arc::clone(&kind.plural) });
        }
        options.fields.check(&kind.selectable_fields)?;
        let mut request = ListRequest::new(kind.prefix(options.namespace.as_deref())?).at(options.at);
        if let Some(next) = options.resume.clone() {
            request = request.resume(next);
        }
        request.limit = if options.selects_all() { options.limit } else { Some(SCAN) };
        let mut entries = Vec::new();
        loop {
            let Page { entries: found, revision, next } = self.store.list(request.clone()).await?;
            entries.extend(found.into_iter().filter(|entry| options.matches(entry)));
            match (next, options.limit) {
                (_, Some(limit)) if entries.len() > limit.get() => return Ok(cut(entries, limit, revision)),
                (next, Some(limit)) if entries.len() == limit.get() => {
                    return Ok(ObjectList { entries, revision, next });
                }
                (None, _) => return Ok(ObjectList { entries, revision, next: None }),
                (Some(next), _) => request = request.resume(next),
            }
        }
    }
}

fn cut(mut entries: Vec<Arc<Entry>>, limit: NonZeroUsize, revision: Revision) -> ObjectList {
    entries.truncate(limit.get());
    let next = entries.last().map(|last| Continue { revision, after: last.key.clone() });
    ObjectList { entries, revision, next }
}
