//! What is missing is filled in.

use serde_json::Value as Json;

use super::node::Node;

/// How many bytes of defaults are filled in: more than the largest object that can be stored. Beyond that nothing more is,
/// since a small object could ask for any amount; what comes out is refused for its size.
const MAX_BYTES: usize = 2 << 20;

/// Fills in defaults, also in what a default has put there. What is null and must not be is as good as missing.
pub(super) fn default(node: &Node, value: &mut Json) {
    let mut room = MAX_BYTES;
    walk(node, value, &mut room);
}

fn walk(node: &Node, value: &mut Json, room: &mut usize) {
    match value {
        Json::Object(fields) => {
            fields.retain(|name, value| !value.is_null() || node.field(name).is_none_or(|child| child.nullable));
            for (name, child) in &node.properties {
                if !fields.contains_key(name)
                    && let Some(default) = copy(child, room)
                {
                    fields.insert(name.clone(), default);
                }
            }
            for (name, value) in fields.iter_mut() {
                if let Some(child) = node.field(name) {
                    walk(child, value, room);
                }
            }
        }
        Json::Array(items) => {
            let Some(item) = &node.items else { return };
            for value in items {
                if value.is_null()
                    && !item.nullable
                    && let Some(default) = copy(item, room)
                {
                    *value = default;
                }
                walk(item, value, room);
            }
        }
        _ => {}
    }
}

/// The default of a value, if there is one and room for it.
fn copy(node: &Node, room: &mut usize) -> Option<Json> {
    let default = node.default.as_ref().filter(|_| *room > 0)?;
    *room = room.saturating_sub(default.to_string().len());
    Some(default.clone())
}

#[cfg(test)]
mod tests {
    use crate::schema::Structural;
    use serde_json::json;

    #[test]
    fn what_is_missing_is_filled_in_also_inside_of_defaults() {
        let schema = Structural::compile(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "size": {"type": "integer", "default": 3},
            "nested": {"type": "object", "default": {}, "properties": {"colour": {"type": "string", "default": "red"}}},
            "absent": {"type": "object", "properties": {"colour": {"type": "string", "default": "red"}}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"port": {"type": "integer", "default": 80}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"port": {"type": "integer", "default": 80}}}},
            "null": {"type": "string", "nullable": true, "default": "x"},
            "strict": {"type": "string", "default": "x"},
            "gone": {"type": "string"}
        }}}}))
        .unwrap();
        let mut object =
            json!({"spec": {"list": [{}, {"port": 1}], "map": {"a": {}}, "null": null, "strict": null, "gone": null}});
        schema.default(&mut object);
        let expected = json!({"spec": {
            "size": 3, "nested": {"colour": "red"}, "list": [{"port": 80}, {"port": 1}], "map": {"a": {"port": 80}},
            "null": null, "strict": "x"
        }});
        assert_eq!(object, expected);
        schema.default(&mut object);
        assert_eq!(object, expected);
    }

    #[test]
    fn t4_defaults_are_bounded_together() {
        let large = "x".repeat(100_000);
        let schema = Structural::compile(&json!({"type": "object", "properties": {"spec": {
            "type": "array", "items": {"type": "object", "properties": {"text": {"type": "string", "default": large}}}
        }}}))
        .unwrap();
        let mut object = json!({ "spec": vec![json!({}); 10_000] });
        schema.default(&mut object);
        let bytes = object.to_string().len();
        assert!((2 << 20..3 << 20).contains(&bytes), "{bytes}");
    }
}
