//! [`track_update`]: what an ordinary write owns.

use serde_json::{Value as Json, json};

use super::Writer;
use super::managers::{Manager, Managers, Operation, Owned};
use super::survey::{Difference, with_whole_leaves};
use crate::schema::Structural;

/// Says in `after`'s `metadata.managedFields` who owns which field, after a create, update or patch by `writer` made it
/// of `before`. Fields that the write changed are now the writer's, fields that it took away nobody's. A write that
/// changes nothing changes nothing here either, not even a time.
///
/// What a client wrote to `metadata.managedFields` itself is taken over first: nothing there keeps what was, an empty list
/// or a list of one empty entry clears it. Through a subresource it can't be written.
///
/// `after` must have been pruned and defaulted already. Fields that the path of the write can't change, such as `status`
/// without its subresource, are nobody's business here.
pub fn track_update(schema: &Structural, before: Option<&Json>, after: &mut Json, writer: &Writer<'_>) {
    let mut managers = match (writer.subresource, before) {
        ("", before) => Managers::of_write(before, after),
        (_, before) => before.map(Managers::of).unwrap_or_default(),
    };
    for owned in managers.0.values_mut() {
        owned.fields = with_whole_leaves(Some(schema.root()), &owned.fields);
    }
    record(schema, &mut managers, before, after, writer);
    managers.bound();
    managers.write_to(after);
}

/// The same on managers that were read already.
pub(super) fn record(
    schema: &Structural,
    managers: &mut Managers,
    before: Option<&Json>,
    after: &Json,
    writer: &Writer<'_>,
) {
    let nothing = json!({"metadata": {}});
    let difference = Difference::between(schema.root(), before.unwrap_or(&nothing), after, writer);
    let manager = Manager::new(Operation::Update, writer);
    let taken = difference.taken();
    managers.take_from_others(&manager, &taken.union(&difference.removed));
    let before = managers.0.remove(&manager);
    let fields = before.as_ref().map(|owned| owned.fields.difference(&difference.removed)).unwrap_or_default();
    let time =
        if taken.is_empty() { before.and_then(|owned| owned.time) } else { Some(writer.time.truncate_to_seconds()) };
    let fields = fields.union(&taken);
    if !fields.is_empty() {
        managers.0.insert(manager, Owned { fields, api_version: writer.api_version.to_owned(), time });
    }
}
