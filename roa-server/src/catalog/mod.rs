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

/// Kinds as they are served. It never changes: when kinds do, there is a new one.
pub(crate) struct Catalog {
    kinds: Arc<KindRegistry>,
    /// By group and version, then by plural.
    served: BTreeMap<(String, String), BTreeMap<String, Arc<Served>>>,
    documents: Documents,
}

/// What discovery is answered with, made once.
struct Documents {
    core: Aggregated,
    groups: Aggregated,
    openapi_index: Bytes,
    openapi: BTreeMap<(String, String), Bytes>,
    /// Made when somebody asks for it: only older clients do.
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
        let mut served: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
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
        self.documents.openapi_index.clone()
    }

    /// OpenAPI v2, in JSON or protobuf.
    pub(crate) fn openapi_v2(&self, protobuf: bool) -> Bytes {
        let documents = &self.documents;
        let document = documents.openapi_v2.get_or_init(|| openapi::V2::of(documents.openapi.values()));
        if protobuf { document.protobuf.clone() } else { document.json.clone() }
    }

    /// The OpenAPI document of a group and version.
    pub(crate) fn openapi(&self, group: &str, version: &str) -> Option<Bytes> {
        self.documents.openapi.get(&(group.to_owned(), version.to_owned())).cloned()
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
    fn new(served: &BTreeMap<(String, String), BTreeMap<String, Arc<Served>>>) -> Self {
        let aggregated = |core: bool| Aggregated {
            v2: aggregated::document(served, core, "v2").into(),
            v2beta1: aggregated::document(served, core, "v2beta1").into(),
        };
        let (core, groups) = (aggregated(true), aggregated(false));
        let openapi: BTreeMap<_, Bytes> = served
            .iter()
            .map(|(place, resources)| (place.clone(), openapi::document(&place.0, &place.1, resources.values()).into()))
            .collect();
        let openapi_index = openapi::index(&openapi).into();
        Self { core, groups, openapi_index, openapi, openapi_v2: OnceLock::new() }
    }
}
