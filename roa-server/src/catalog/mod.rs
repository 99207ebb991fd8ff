//! The catalog: which resources are served under which groups and versions, and the documents that say so.

mod aggregated;
mod legacy;
mod openapi;
mod served;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use roa_core::KindRegistry;

pub(crate) use openapi::{PROPER_PROTOBUF_V2, PROTOBUF_V2};
pub(crate) use served::{Conversion, Served};

use crate::subresource::Subresource;

/// By group and version, then by plural.
type AllServed = BTreeMap<(String, String), BTreeMap<String, Arc<Served>>>;

/// Kinds as they are served. It never changes: when kinds do, there is a new one.
pub(crate) struct Catalog {
    kinds: Arc<KindRegistry>,
    served: AllServed,
    documents: Documents,
}

/// What discovery is answered with.
struct Documents {
    core: Aggregated,
    groups: Aggregated,
    /// Made when somebody asks for it, since it is the most by far.
    openapi: OnceLock<openapi::V3>,
    /// The same: only older clients ask for it.
    openapi_v2: OnceLock<openapi::V2>,
}

/// A document in both of its versions.
struct Aggregated {
    v2: Bytes,
    v2beta1: Bytes,
}

impl Catalog {
    /// The catalog of these kinds, and of parts of their objects that the program tells.
    pub(crate) fn new(kinds: Arc<KindRegistry>, told: &[Arc<dyn Subresource>]) -> Self {
        let mut served = AllServed::new();
        for one in kinds.iter().flat_map(Served::of_kind).map(|served| served.with(told)) {
            let place = (one.group.to_string(), one.version.to_string());
            served.entry(place).or_default().insert(one.kind.plural.to_string(), Arc::new(one));
        }
        let documents = Documents::new(&served);
        Self { kinds, served, documents }
    }

    /// The kinds.
    pub(crate) const fn kinds(&self) -> &Arc<KindRegistry> {
        &self.kinds
    }

    /// The resource at a place.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Served>> {
        self.served.get(&(group.to_owned(), version.to_owned()))?.get(plural)
    }

    /// `/api` or `/apis` for all groups in one document.
    pub(crate) fn aggregated(&self, core: bool, beta: bool) -> Bytes {
        let document = if core { &self.documents.core } else { &self.documents.groups };
        if beta { document.v2beta1.clone() } else { document.v2.clone() }
    }

    /// Where the OpenAPI documents stand.
    pub(crate) fn openapi_index(&self) -> Bytes {
        self.openapi_v3().index.clone()
    }

    /// OpenAPI v2, in JSON or protobuf.
    pub(crate) fn openapi_v2(&self, protobuf: bool) -> Bytes {
        let documents = &self.documents;
        let document = documents.openapi_v2.get_or_init(|| openapi::V2::of(self.openapi_v3().documents.values()));
        if protobuf { document.protobuf.clone() } else { document.json.clone() }
    }

    /// The OpenAPI document of a group and version.
    pub(crate) fn openapi(&self, group: &str, version: &str) -> Option<Bytes> {
        self.openapi_v3().documents.get(&(group.to_owned(), version.to_owned())).cloned()
    }

    fn openapi_v3(&self) -> &openapi::V3 {
        self.documents.openapi.get_or_init(|| openapi::V3::of(&self.served))
    }

    /// The resources of a group and version.
    fn resources(&self, group: &str, version: &str) -> Option<impl Iterator<Item = &Arc<Served>>> {
        Some(self.served.get(&(group.to_owned(), version.to_owned()))?.values())
    }

    /// The versions of a group, in their order.
    fn versions<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a str> {
        self.served.keys().filter(move |(known, _)| known == group).map(|(_, version)| version.as_str())
    }

    /// The groups besides the core.
    fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<_> = self.served.keys().map(|(group, _)| group.as_str()).collect();
        groups.retain(|group| !group.is_empty());
        groups.dedup();
        groups
    }
}

impl Documents {
    fn new(served: &AllServed) -> Self {
        let aggregated = |core: bool| Aggregated {
            v2: aggregated::document(served, core, "v2").into(),
            v2beta1: aggregated::document(served, core, "v2beta1").into(),
        };
        let (core, groups) = (aggregated(true), aggregated(false));
        Self { core, groups, openapi: OnceLock::new(), openapi_v2: OnceLock::new() }
    }
}
