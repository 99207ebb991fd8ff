//! What is missing is filled in.

use serde_json::Value as Json;

use super::node::Node;

/// Fills in defaults, also in what a default has put there. What is null and must not be is as good as missing.
pub(super) fn default(node: &Node, value: &mut Json) {
    match value {
        Json::Object(fields) => {
            fields.retain(|name, value| !value.is_null() || node.field(name).is_none_or(|child| child.nullable));
            for (name, child) in &node.properties {
                if let Some(default) = &child.default
                    && !fields.contains_key(name)
                {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in fields.iter_mut() {
                if let Some(child) = node.field(name) {
                    default(child, value);
                }
            }
        }
        Json::Array(items) => {
            let Some(item) = &node.items else { return };
            for value in items {
                match &item.default {
                    Some(default) if value.is_null() && !item.nullable => *value = default.clone(),
                    _ => {}
                }
                default(item, value);
            }
        }
        _ => {}
    }
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
}
