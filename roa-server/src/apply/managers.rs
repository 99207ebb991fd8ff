//! [`Managers`]: `metadata.managedFields`, read and written.

use std::collections::BTreeMap;

use roa_core::Timestamp;
use serde_json::{Value as Json, json};

use super::field_set::FieldSet;
use super::{MAX_UPDATE_MANAGERS, Writer};

/// The manager that stands for the oldest ones.
const OLDEST: &str = "ancient-changes";

/// How a manager wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    /// It applies a configuration, which is all that it wants.
    Apply,
    /// It changed something.
    Update,
}

/// Who owns fields. One that applies is the same in whichever version it does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Manager {
    pub(super) operation: Operation,
    pub(super) name: String,
    pub(super) subresource: String,
    /// Of one that updates.
    version: Option<String>,
}

/// What a manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) fields: FieldSet,
    pub(super) api_version: String,
    pub(super) time: Option<Timestamp>,
}

/// All managers of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Managers(pub(super) BTreeMap<Manager, Owned>);

impl Manager {
    pub(super) fn new(operation: Operation, writer: &Writer<'_>) -> Self {
        let name = if writer.manager.is_empty() { "unknown" } else { writer.manager };
        let version = (operation == Operation::Update).then(|| writer.api_version.to_owned());
        Self { operation, name: name.to_owned(), subresource: writer.subresource.to_owned(), version }
    }

    /// As messages name it.
    pub(super) fn describe(&self, owned: &Owned) -> String {
        let mut text = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", owned.api_version));
            if let Some(time) = owned.time {
                text.push_str(&format!(" at {time}"));
            }
        }
        text
    }
}

impl Managers {
    /// Reads `metadata.managedFields`; `None` if it is not what it should be.
    pub(super) fn parse(entries: &Json) -> Option<Self> {
        entries.as_array()?.iter().map(parse_entry).collect::<Option<_>>().map(Self)
    }

    /// The managers of a stored object.
    pub(super) fn of(object: &Json) -> Self {
        object.pointer("/metadata/managedFields").and_then(Self::parse).unwrap_or_default()
    }

    /// What a write makes of the managers that are stored: clients may write them themselves. Without any they stay, an
    /// empty list or one empty entry clears them, what can't be read counts as none.
    pub(super) fn of_write(before: Option<&Json>, after: &Json) -> Self {
        let stored = || before.map(Self::of).unwrap_or_default();
        match after.pointer("/metadata/managedFields") {
            None | Some(Json::Null) => stored(),
            Some(written) if clears(written) => Self::default(),
            Some(written) => Self::parse(written).unwrap_or_else(stored),
        }
    }

    /// Writes `metadata.managedFields`: those that apply first, then by time.
    pub(super) fn write_to(&self, object: &mut Json) {
        let mut entries: Vec<_> = self.0.iter().filter(|(_, owned)| !owned.fields.is_empty()).collect();
        entries.sort_by_key(|(manager, owned)| {
            (manager.operation, owned.time, &manager.name, &owned.api_version, &manager.subresource)
        });
        let entries: Vec<_> = entries.into_iter().map(|(manager, owned)| write_entry(manager, owned)).collect();
        let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) else { return };
        if entries.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".to_owned(), Json::Array(entries));
        }
    }

    /// Takes fields away from all managers but one.
    pub(super) fn take_from_others(&mut self, keeper: &Manager, fields: &FieldSet) {
        for (_, owned) in self.0.iter_mut().filter(|(manager, _)| *manager != keeper) {
            owned.fields = owned.fields.difference(fields);
        }
        self.0.retain(|manager, owned| manager == keeper || !owned.fields.is_empty());
    }

    /// Tells the oldest managers of ordinary writes as one, if there are too many.
    pub(super) fn bound(&mut self) {
        let mut updates: Vec<_> = self
            .0
            .iter()
            .filter(|(manager, _)| manager.operation == Operation::Update && manager.name != OLDEST)
            .map(|(manager, owned)| (owned.time, manager.clone()))
            .collect();
        updates.sort();
        let too_many = updates.len().saturating_sub(MAX_UPDATE_MANAGERS);
        for (_, manager) in updates.into_iter().take(too_many) {
            let Some(owned) = self.0.remove(&manager) else { continue };
            let oldest = Manager { name: OLDEST.to_owned(), ..manager };
            match self.0.get_mut(&oldest) {
                Some(known) => {
                    known.fields = known.fields.union(&owned.fields);
                    known.time = known.time.max(owned.time);
                }
                None => {
                    self.0.insert(oldest, owned);
                }
            }
        }
    }
}

fn clears(written: &Json) -> bool {
    let entries = written.as_array().map(Vec::as_slice);
    matches!(entries, Some([])) || matches!(entries, Some([Json::Object(only)]) if only.is_empty())
}

fn parse_entry(entry: &Json) -> Option<(Manager, Owned)> {
    let text = |name: &str| match entry.get(name) {
        None | Some(Json::Null) => Some(""),
        Some(value) => value.as_str(),
    };
    let operation = match text("operation")? {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return None,
    };
    if text("fieldsType")? != "FieldsV1" {
        return None;
    }
    let time = match text("time")? {
        "" => None,
        time => Some(time.parse::<Timestamp>().ok()?.truncate_to_seconds()),
    };
    let fields = entry.get("fieldsV1").map_or_else(|| Some(FieldSet::default()), |json| FieldSet::parse(json).ok())?;
    let api_version = text("apiVersion")?.to_owned();
    let version = (operation == Operation::Update).then(|| api_version.clone());
    let (name, subresource) = (text("manager")?.to_owned(), text("subresource")?.to_owned());
    Some((Manager { operation, name, subresource, version }, Owned { fields, api_version, time }))
}

fn write_entry(manager: &Manager, owned: &Owned) -> Json {
    let operation = match manager.operation {
        Operation::Apply => "Apply",
        Operation::Update => "Update",
    };
    let mut entry = json!({
        "manager": manager.name, "operation": operation, "apiVersion": owned.api_version,
        "fieldsType": "FieldsV1", "fieldsV1": owned.fields.to_json()
    });
    if let Some(time) = owned.time {
        entry["time"] = Json::from(time.to_string());
    }
    if !manager.subresource.is_empty() {
        entry["subresource"] = Json::from(manager.subresource.as_str());
    }
    entry
}
