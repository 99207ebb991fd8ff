//! Reading: one object, or a page of a list.

use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use hyper::StatusCode;
use roa_core::{At, Entry, ListOptions, ObjectList, Timestamp};
use serde_json::json;

use super::{Objects, Part, Rendering, Target, continue_token, scale};
use crate::http::{Answer, ApiError, Query, Version, answer};

/// How many objects after a page are counted at most; if there are more, their number is not told.
const MAX_COUNTED: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();
/// Bytes of a list that are made at a time.
const PIECE: usize = 64 << 10;

impl Objects {
    /// The object that is named.
    pub(super) async fn get(&self, target: &Target, rendering: &Rendering, query: &Query) -> Result<Answer, ApiError> {
        let key = target.key()?;
        let (entry, head) = self.resources.entry(&key).await.map_err(|error| self.explain(error, target))?;
        if let Some(Version::At(asked)) = query.resource_version()?
            && asked > head
        {
            let error = roa_core::Error::TooLarge { requested: asked, head };
            return Err(self.explain(error, target));
        }
        let (group, plural, name) = target.subject();
        let entry = entry.ok_or_else(|| ApiError::not_found(group, plural, name))?;
        if target.part == Part::Scale {
            let object = entry.object().map_err(|error| self.explain(error.clone().into(), target))?;
            let object = object.to_dynamic().map_err(|error| self.explain(error.into(), target))?;
            return self.answer_scale(StatusCode::OK, &scale::of(&target.served.kind, &object), rendering);
        }
        let body = rendering.entry(&entry, None, self.now());
        let body = body.map_err(|error| self.explain(error.into(), target))?;
        Ok(answer::varying(answer::bytes(StatusCode::OK, rendering.content_type(), body)))
    }

    /// A page of the objects of a collection.
    pub(super) async fn list(&self, target: &Target, rendering: &Rendering, query: &Query) -> Result<Answer, ApiError> {
        let options = self.list_options(target, query)?;
        let list = self.resources.list(&target.served.kind, &options).await;
        let list = list.map_err(|error| self.explain(error, target))?;
        let mut metadata = json!({ "resourceVersion": list.revision.to_string() });
        if let Some(next) = &list.next {
            metadata["continue"] = json!(continue_token::encode(next));
            if let Some(remaining) = self.remaining(target, &options, &list).await {
                metadata["remainingItemCount"] = json!(remaining);
            }
        }
        let pieces = Pieces::new(rendering.clone(), list.entries, rendering.opening(&metadata), self.now());
        let pieces = stream::unfold(pieces, async |mut pieces| pieces.next().map(|piece| (piece, pieces)));
        Ok(answer::varying(answer::stream(rendering.content_type(), pieces)))
    }

    fn list_options(&self, target: &Target, query: &Query) -> Result<ListOptions, ApiError> {
        let mut options =
            ListOptions::everywhere().labels(query.labels()?).fields(target.stored_fields(&query.fields()?)?);
        options.namespace.clone_from(&target.namespace);
        options.limit = query.limit()?;
        if let Some(token) = query.get("continue") {
            if matches!(query.resource_version()?, Some(Version::At(_))) || query.get("resourceVersionMatch").is_some()
            {
                let message = "specifying resource version or resourceVersionMatch is not allowed when using continue";
                return Err(ApiError::bad_request(message));
            }
            return Ok(options.resume(continue_token::decode(token, &target.prefix()?)?));
        }
        let at = as_of(query, options.limit.is_some())?;
        Ok(options.at(at))
    }

    /// How many objects come after a page, if that is soon counted. Not told with selectors, as in Kubernetes.
    async fn remaining(&self, target: &Target, options: &ListOptions, list: &ObjectList) -> Option<usize> {
        if !(options.labels.is_everything() && options.fields.is_everything()) {
            return None;
        }
        let rest = options.clone().resume(list.next.clone()?).limit(MAX_COUNTED);
        let rest = self.resources.list(&target.served.kind, &rest).await.ok()?;
        rest.next.is_none().then_some(rest.entries.len())
    }
}

/// As of when a list is to be true.
fn as_of(query: &Query, limited: bool) -> Result<At, ApiError> {
    if query.flag("sendInitialEvents")? {
        return Err(ApiError::bad_request("sendInitialEvents is forbidden for a list"));
    }
    let version = query.resource_version()?;
    match (version, query.get("resourceVersionMatch")) {
        (None, Some(_)) => {
            Err(ApiError::bad_request("resourceVersionMatch is forbidden unless resourceVersion is provided"))
        }
        (Some(Version::Any), Some("Exact")) => {
            Err(ApiError::bad_request("resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\""))
        }
        (Some(Version::At(revision)), Some("Exact")) => Ok(At::Exact(revision)),
        (Some(Version::At(revision)), None) if limited => Ok(At::Exact(revision)),
        (Some(Version::At(revision)), None | Some("NotOlderThan")) => Ok(At::NotOlderThan(revision)),
        (None | Some(Version::Any), None | Some("NotOlderThan")) => Ok(At::Latest),
        (_, Some(other)) => Err(ApiError::bad_request(format!(
            "resourceVersionMatch: Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\""
        ))),
    }
}

/// The body of a list, made piece by piece: however long it is, only a piece of it is in memory besides the objects.
struct Pieces {
    rendering: Rendering,
    entries: std::vec::IntoIter<Arc<Entry>>,
    buffer: BytesMut,
    now: Timestamp,
    begun: bool,
    ended: bool,
}

impl Pieces {
    fn new(rendering: Rendering, entries: Vec<Arc<Entry>>, opening: String, now: Timestamp) -> Self {
        let buffer = BytesMut::from(Bytes::from(opening));
        Self { rendering, entries: entries.into_iter(), buffer, now, begun: false, ended: false }
    }

    fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        while self.buffer.len() < PIECE {
            let Some(entry) = self.entries.next() else {
                self.ended = true;
                self.buffer.put_slice(b"]}\n");
                break;
            };
            self.add(&entry);
        }
        Some(self.buffer.split().freeze())
    }

    fn add(&mut self, entry: &Entry) {
        match self.rendering.item(entry, self.now) {
            Ok(item) => {
                if self.begun {
                    self.buffer.put_u8(b',');
                }
                self.begun = true;
                self.buffer.put_slice(&item);
            }
            // One object that can't be read must not hide all others.
            Err(error) => tracing::error!(%error, "an object is left out of a list"),
        }
    }
}
