//! [`Asked`]: where a watch is to begin, what it is to show, and how long.

use std::time::Duration;

use roa_core::{FieldSelector, LabelSelector, Revision};
use roa_runtime::Selection;

use crate::http::{ApiError, Query, Version};
use crate::objects::Target;

/// What a watch asks for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) selection: Selection,
    pub(super) begin: Begin,
    /// Whether it takes objects without content that say how far it is. They are never sent unasked.
    pub(super) bookmarks: bool,
    /// How long it is to last; the server decides if it does not say.
    pub(super) timeout: Option<Duration>,
}

/// Where a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// With the objects that are there, as of `not_older_than` or later. With `announced`, a bookmark says that these
    /// were all.
    Snapshot { not_older_than: Option<Revision>, announced: bool },
    /// With the next change.
    Now,
    /// With the changes after a revision.
    After(Revision),
}

impl Asked {
    /// # Errors
    /// 400 and 422 for parameters that are not understood or do not go together.
    pub(super) fn read(target: &Target, query: &Query) -> Result<Self, ApiError> {
        let (labels, mut fields) = (query.labels()?, target.stored_fields(&query.fields()?)?);
        if let Some(name) = &target.name {
            fields = fields.eq("metadata.name", name);
        }
        let bookmarks = query.flag("allowWatchBookmarks")?;
        let begin = begin(query)?;
        let selection = select(target, labels, fields)?;
        Ok(Self { selection, begin, bookmarks, timeout: query.timeout()? })
    }
}

fn begin(query: &Query) -> Result<Begin, ApiError> {
    let version = query.resource_version()?;
    let revision = match version {
        Some(Version::At(revision)) => Some(revision),
        _ => None,
    };
    let matching = query.get("resourceVersionMatch");
    if query.flag("sendInitialEvents")? {
        if matching != Some("NotOlderThan") {
            return Err(forbidden("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
        }
        return Ok(Begin::Snapshot { not_older_than: revision, announced: true });
    }
    if matching.is_some() && !query.has("sendInitialEvents") {
        return Err(forbidden("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"));
    }
    Ok(match (version, query.has("sendInitialEvents")) {
        (Some(Version::At(revision)), _) => Begin::After(revision),
        (_, true) => Begin::Now,
        (_, false) => Begin::Snapshot { not_older_than: None, announced: false },
    })
}

/// 422: clients that can do without fall back when they see it.
fn forbidden(message: &str) -> ApiError {
    let found = roa_core::Violations::one("resourceVersionMatch", message);
    ApiError::invalid("meta.k8s.io", "ListOptions", "", &found)
}

fn select(target: &Target, labels: LabelSelector, fields: FieldSelector) -> Result<Selection, ApiError> {
    // A watch of one object by name looks at its key alone.
    let only = {
        let mut requirements = fields.requirements();
        match (requirements.next(), requirements.next()) {
            (Some(("metadata.name", name, true)), None) if !name.is_empty() => Some(name.to_owned()),
            _ => None,
        }
    };
    let in_place = target.namespace.is_some() || !target.served.is_namespaced();
    if let Some(name) = only.filter(|_| in_place) {
        let one = Target { name: Some(name), ..target.clone() };
        return Ok(Selection::key(one.key()?).labels(labels));
    }
    Ok(Selection::prefix(target.prefix()?).labels(labels).fields(fields))
}
