//! A document of OpenAPI v2 in protobuf, as gnostic's `openapiv2/OpenAPIv2.proto` lays it out: `kubectl` takes no other
//! form of v2.

use serde_json::Value as Json;

/// The media type as clients ask for it.
pub(crate) const MEDIA: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/// The same as it is answered, and as newer clients ask for it: `@` can't be in a media type, and clients that parse it
/// refuse it.
pub(crate) const PROPER_MEDIA: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// A message that is being written. Fields that are absent are left out, as protobuf has it.
#[derive(Default)]
struct Message(Vec<u8>);

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn tag(&mut self, field: u64, wire: u64) {
        self.varint(field << 3 | wire);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.tag(field, BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }

    fn text(&mut self, field: u64, value: &Json) {
        if let Some(text) = value.as_str() {
            self.bytes(field, text.as_bytes());
        }
    }

    fn texts(&mut self, field: u64, values: &Json) {
        items(values).for_each(|value| self.text(field, value));
    }

    fn flag(&mut self, field: u64, value: &Json) {
        if value == true {
            self.tag(field, VARINT);
            self.varint(1);
        }
    }

    fn integer(&mut self, field: u64, value: &Json) {
        if let Some(number) = value.as_u64() {
            self.tag(field, VARINT);
            self.varint(number);
        }
    }

    fn double(&mut self, field: u64, value: &Json) {
        if let Some(number) = value.as_f64() {
            self.tag(field, FIXED_64);
            self.0.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// Any value, as YAML: JSON is that too.
    fn any(&mut self, field: u64, value: &Json) {
        let mut any = Self::default();
        any.bytes(2, value.to_string().as_bytes());
        self.message(field, &any);
    }

    /// A name, and what it names.
    fn named(&mut self, field: u64, name: &str, value: &Self) {
        let mut named = Self::default();
        named.bytes(1, name.as_bytes());
        named.message(2, value);
        self.message(field, &named);
    }

    fn extensions(&mut self, field: u64, of: &Json) {
        for (name, value) in entries(of).filter(|(name, _)| name.starts_with("x-")) {
            let mut named = Self::default();
            named.bytes(1, name.as_bytes());
            named.any(2, value);
            self.message(field, &named);
        }
    }
}

fn items(of: &Json) -> impl Iterator<Item = &Json> {
    of.as_array().into_iter().flatten()
}

fn entries(of: &Json) -> impl Iterator<Item = (&String, &Json)> {
    of.as_object().into_iter().flatten()
}

/// The document in bytes.
pub(super) fn encode(document: &Json) -> Vec<u8> {
    let mut message = Message::default();
    message.text(1, &document["swagger"]);
    let mut info = Message::default();
    info.text(1, &document["info"]["title"]);
    info.text(2, &document["info"]["version"]);
    message.message(2, &info);
    let (mut paths, mut definitions) = (Message::default(), Message::default());
    entries(&document["paths"]).for_each(|(path, of)| paths.named(2, path, &path_item(of)));
    message.message(8, &paths);
    entries(&document["definitions"]).for_each(|(name, of)| definitions.named(1, name, &schema(of)));
    message.message(9, &definitions);
    message.0
}

fn path_item(of: &Json) -> Message {
    let mut message = Message::default();
    for (field, method) in [(2, "get"), (3, "put"), (4, "post"), (5, "delete"), (8, "patch")] {
        if let Some(of) = of.get(method) {
            message.message(field, &operation(of));
        }
    }
    items(&of["parameters"]).for_each(|one| message.message(9, &parameter(one)));
    message
}

fn operation(of: &Json) -> Message {
    let mut message = Message::default();
    message.text(3, &of["description"]);
    message.texts(6, &of["produces"]);
    message.texts(7, &of["consumes"]);
    items(&of["parameters"]).for_each(|one| message.message(8, &parameter(one)));
    let mut responses = Message::default();
    for (code, of) in entries(&of["responses"]) {
        let (mut value, mut response, mut item) = (Message::default(), Message::default(), Message::default());
        response.text(1, &of["description"]);
        item.message(1, &schema(&of["schema"]));
        response.message(2, &item);
        value.message(1, &response);
        responses.named(1, code, &value);
    }
    message.message(9, &responses);
    message.extensions(13, of);
    message
}

/// A parameter, within the two messages that say of which sort it is.
fn parameter(of: &Json) -> Message {
    let (mut item, mut parameter, mut sort) = (Message::default(), Message::default(), Message::default());
    if of["in"] == "body" {
        sort.text(2, &of["name"]);
        sort.text(3, &of["in"]);
        sort.flag(4, &of["required"]);
        sort.message(5, &schema(&of["schema"]));
        parameter.message(1, &sort);
    } else {
        let in_query = of["in"] == "query";
        sort.flag(1, &of["required"]);
        sort.text(2, &of["in"]);
        sort.text(3, &of["description"]);
        sort.text(4, &of["name"]);
        sort.text(if in_query { 6 } else { 5 }, &of["type"]);
        sort.flag(if in_query { 20 } else { 19 }, &of["uniqueItems"]);
        let mut outer = Message::default();
        outer.message(if in_query { 3 } else { 4 }, &sort);
        parameter.message(2, &outer);
    }
    item.message(1, &parameter);
    item
}

fn schema(of: &Json) -> Message {
    let mut message = Message::default();
    for (field, name) in [(1, "$ref"), (2, "format"), (3, "title"), (4, "description"), (13, "pattern")] {
        message.text(field, &of[name]);
    }
    for (field, name) in [(5, "default"), (30, "example")] {
        if let Some(value) = of.get(name) {
            message.any(field, value);
        }
    }
    for (field, name) in [(6, "multipleOf"), (7, "maximum"), (9, "minimum")] {
        message.double(field, &of[name]);
    }
    for (field, name) in [(8, "exclusiveMaximum"), (10, "exclusiveMinimum"), (16, "uniqueItems"), (27, "readOnly")] {
        message.flag(field, &of[name]);
    }
    let numbers = ["maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"];
    for (field, name) in [11, 12, 14, 15, 17, 18].into_iter().zip(numbers) {
        message.integer(field, &of[name]);
    }
    message.texts(19, &of["required"]);
    items(&of["enum"]).for_each(|value| message.any(20, value));
    if of["additionalProperties"].is_object() {
        let mut item = Message::default();
        item.message(1, &schema(&of["additionalProperties"]));
        message.message(21, &item);
    }
    if of["type"].is_string() {
        let mut item = Message::default();
        item.text(1, &of["type"]);
        message.message(22, &item);
    }
    if of["items"].is_object() {
        let mut item = Message::default();
        item.message(1, &schema(&of["items"]));
        message.message(23, &item);
    }
    if of["properties"].is_object() {
        let mut properties = Message::default();
        entries(&of["properties"]).for_each(|(name, of)| properties.named(1, name, &schema(of)));
        message.message(25, &properties);
    }
    message.extensions(31, of);
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_numbered_as_gnostic_has_them() {
        let thing = json!({ "type": "string", "minLength": 300, "x-a": [1] });
        let expected: &[u8] = &[
            12 << 3,
            0xac,
            0x02, // minLength = 300
            0xb2,
            0x01,
            8,
            10,
            6,
            b's',
            b't',
            b'r',
            b'i',
            b'n',
            b'g', // type = { value: "string" }
            0xfa,
            0x01,
            12,
            10,
            3,
            b'x',
            b'-',
            b'a',
            18,
            5,
            18,
            3,
            b'[',
            b'1',
            b']', // x-a = { yaml: "[1]" }
        ];
        assert_eq!(schema(&thing).0, expected);
        let document = encode(&json!({ "swagger": "2.0", "definitions": { "T": { "$ref": "R" } } }));
        assert_eq!(&document[..5], b"\x0a\x032.0");
        assert!(document.ends_with(b"\x4a\x0a\x0a\x08\x0a\x01T\x12\x03\x0a\x01R"), "{document:x?}");
    }
}
