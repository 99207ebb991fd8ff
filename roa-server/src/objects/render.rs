//! [`Rendering`]: objects as one client sees them: under a version, in a form.

use std::sync::Arc;

use bytes::Bytes;
use roa_core::{DecodeError, DynamicObject, Entry, Revision, Timestamp};
use serde_json::{Value as Json, json};

use super::table;
use crate::builtin;
use crate::catalog::{Conversion, Served};
use crate::http::{Form, IncludeObject};

/// How objects are shown.
#[derive(Debug, Clone)]
pub(crate) struct Rendering {
    pub(crate) served: Arc<Served>,
    pub(crate) form: Form,
}

/// The version of tables and of metadata alone.
const META: &str = "meta.k8s.io/v1";

impl Rendering {
    /// The type of an answer.
    pub(crate) const fn content_type(&self) -> &'static str {
        match self.form {
            Form::Object => "application/json",
            Form::Table(_) => "application/json;as=Table;v=v1;g=meta.k8s.io",
            Form::Metadata => "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
        }
    }

    /// A stored object, as of `revision` if that is not its own. Its bytes are shared where they need no change.
    ///
    /// # Errors
    /// [`DecodeError`] if what is stored is no object.
    pub(crate) fn entry(
        &self,
        entry: &Entry,
        revision: Option<Revision>,
        now: Timestamp,
    ) -> Result<Bytes, DecodeError> {
        let stored = entry.object().map_err(Clone::clone)?;
        let as_stored = self.form == Form::Object && self.served.conversion == Conversion::None;
        if as_stored && revision.is_none_or(|revision| revision == entry.revision) {
            return Ok(stored.json());
        }
        let mut object = stored.to_dynamic()?;
        if revision.is_some() {
            object.metadata.resource_version = revision;
        }
        Ok(self.object(object, now).to_string().into())
    }

    /// An object of the stored version.
    pub(crate) fn object(&self, object: DynamicObject, now: Timestamp) -> Json {
        let object = self.converted(object);
        match self.form {
            Form::Object => object.to_json(),
            Form::Table(_) => self.table(&[self.row(&object, now)], &json!({ "resourceVersion": version(&object) })),
            Form::Metadata => metadata(object.to_json()),
        }
    }

    /// What stands for one object in a list.
    ///
    /// # Errors
    /// [`DecodeError`] if what is stored is no object.
    pub(crate) fn item(&self, entry: &Entry, now: Timestamp) -> Result<Bytes, DecodeError> {
        if !matches!(self.form, Form::Table(_)) {
            return self.entry(entry, None, now);
        }
        let object = entry.object().map_err(Clone::clone)?.to_dynamic()?;
        Ok(self.row(&self.converted(object), now).to_string().into())
    }

    /// What a list begins with, up to its items.
    pub(crate) fn opening(&self, metadata: &Json) -> String {
        let (kind, api_version) = match self.form {
            Form::Object => (self.served.kind.list_kind.to_string(), self.served.api_version()),
            Form::Metadata => ("PartialObjectMetadataList".to_owned(), META.to_owned()),
            Form::Table(_) => ("Table".to_owned(), META.to_owned()),
        };
        let head = format!("{{\"kind\":{},\"apiVersion\":{},\"metadata\":{metadata}", json!(kind), json!(api_version));
        match self.form {
            Form::Table(_) => format!("{head},\"columnDefinitions\":{},\"rows\":[", table::columns(&self.served)),
            Form::Object | Form::Metadata => format!("{head},\"items\":["),
        }
    }

    /// An object without content, that says how far a watch is.
    pub(crate) fn bookmark(&self, revision: Revision, initial_events_end: bool) -> Json {
        let mut metadata = json!({ "resourceVersion": revision.to_string() });
        if initial_events_end {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        match self.form {
            Form::Object => {
                json!({ "kind": self.served.kind.kind, "apiVersion": self.served.api_version(), "metadata": metadata })
            }
            Form::Metadata => json!({ "kind": "PartialObjectMetadata", "apiVersion": META, "metadata": metadata }),
            Form::Table(_) => {
                let object = json!({ "kind": "PartialObjectMetadata", "apiVersion": META, "metadata": metadata });
                self.table(
                    &[json!({ "cells": [], "object": object })],
                    &json!({ "resourceVersion": revision.to_string() }),
                )
            }
        }
    }

    fn table(&self, rows: &[Json], metadata: &Json) -> Json {
        json!({
            "kind": "Table", "apiVersion": META, "metadata": metadata,
            "columnDefinitions": table::columns(&self.served), "rows": rows,
        })
    }

    fn row(&self, object: &DynamicObject, now: Timestamp) -> Json {
        // Made once: it is most of what a row costs.
        let tree = object.to_json();
        let mut row = json!({ "cells": table::cells(&self.served, object, &tree, now) });
        match self.form {
            Form::Table(IncludeObject::Object) => row["object"] = tree,
            Form::Table(IncludeObject::None) => {}
            _ => row["object"] = metadata(tree),
        }
        row
    }

    /// A stored object as one of the version that was asked for.
    pub(crate) fn converted(&self, object: DynamicObject) -> DynamicObject {
        match &self.served.conversion {
            Conversion::None => object,
            Conversion::Version(_) => DynamicObject { api_version: self.served.api_version(), ..object },
            Conversion::Events => builtin::event_from_stored(object),
        }
    }
}

/// The metadata alone, of an object's tree.
fn metadata(mut tree: Json) -> Json {
    let metadata = tree.get_mut("metadata").map(Json::take).unwrap_or_default();
    json!({ "kind": "PartialObjectMetadata", "apiVersion": META, "metadata": metadata })
}

fn version(object: &DynamicObject) -> String {
    object.metadata.resource_version.map(|revision| revision.to_string()).unwrap_or_default()
}
