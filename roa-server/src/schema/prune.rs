//! What a schema does not have is taken away.

use serde_json::Value as Json;

use super::node::Node;
use super::path::Path;

/// Takes away the fields that the schema does not have; gives their paths.
pub(super) fn prune(root: &Node, object: &mut Json) -> Vec<String> {
    let mut pruned = Vec::new();
    walk(root, object, &Path::root(), &mut pruned);
    pruned
}

fn walk(node: &Node, value: &mut Json, path: &Path<'_>, pruned: &mut Vec<String>) {
    match value {
        Json::Object(fields) => {
            fields.retain(|name, value| match node.field(name) {
                Some(child) => {
                    walk(child, value, &path.field(name), pruned);
                    true
                }
                None if node.is_open() => true,
                None => {
                    pruned.push(path.field(name).to_string());
                    false
                }
            });
        }
        Json::Array(items) => {
            let Some(item) = &node.items else { return };
            for (index, value) in items.iter_mut().enumerate() {
                walk(item, value, &path.index(index), pruned);
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
    fn what_the_schema_does_not_have_goes_and_is_named() {
        let schema = Structural::compile(&json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "known": {"type": "integer"},
                "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
                    "closed": {"type": "object", "properties": {"a": {"type": "integer"}}}
                }},
                "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "integer"}}}},
                "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "integer"}}}},
                "embedded": {"type": "object", "x-kubernetes-embedded-resource": true}
            }},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}
        }}))
        .unwrap();
        let kept = json!({
            "apiVersion": "g/v1", "kind": "Thing", "metadata": {"name": "a", "labels": {"x": "y"}, "finalizers": ["g/f"]},
            "spec": {
                "known": 1, "open": {"anything": [{"a": 1}], "closed": {"a": 1}}, "list": [{"a": 1}], "map": {"x.y": {"a": 1}},
                "embedded": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
            },
            "status": {"kopf": {"progress": {}}}
        });
        let mut object = kept.clone();
        assert!(schema.prune(&mut object).is_empty());
        assert_eq!(object, kept);
        object["metadata"]["colour"] = json!(1);
        object["extra"] = json!(1);
        object["spec"]["unknown"] = json!({"a": 1});
        object["spec"]["open"]["closed"]["b"] = json!(1);
        object["spec"]["list"][0]["b"] = json!(1);
        object["spec"]["map"]["x.y"]["b"] = json!(1);
        object["spec"]["embedded"]["spec"] = json!({});
        let expected = [
            "extra",
            "metadata.colour",
            "spec.embedded.spec",
            "spec.list[0].b",
            "spec.map[x.y].b",
            "spec.open.closed.b",
            "spec.unknown",
        ];
        assert_eq!(schema.prune(&mut object), expected);
        assert_eq!(object, kept);
    }
}
