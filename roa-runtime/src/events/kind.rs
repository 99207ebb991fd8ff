//! The kind of events, field by field as Kubernetes has it.

use roa_core::{Column, KindDescriptor, Scope};

/// The kind `v1` `Event`, to be registered where events are recorded.
///
/// ```
/// use roa_core::KindRegistry;
/// use roa_runtime::event_kind;
/// let kinds = KindRegistry::new().with_kind(event_kind());
/// assert!(kinds.by_name("ev").is_ok());
/// ```
#[must_use]
pub fn event_kind() -> KindDescriptor {
    let mut kind = KindDescriptor::dynamic("", "v1", "Event", "events", Scope::Namespaced);
    kind.short_names = vec!["ev".into()];
    let fields = ["kind", "namespace", "name", "uid"].map(|field| format!("involvedObject.{field}").into());
    kind.selectable_fields.extend(fields);
    kind.selectable_fields.extend(["reason", "type", "reportingComponent"].map(Into::into));
    kind.columns = vec![
        Column::date("LAST SEEN", "lastTimestamp"),
        Column::text("TYPE", "type"),
        Column::text("REASON", "reason"),
        Column::text("KIND", "involvedObject.kind"),
        Column::text("OBJECT", "involvedObject.name"),
        Column::text("COUNT", "count"),
        Column::text("MESSAGE", "message"),
    ];
    kind
}
