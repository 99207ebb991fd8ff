//! JSON with what is there twice: a parser that keeps the last of two equal keys, as Kubernetes does, and names them.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};

/// Paths of keys that are there twice, that are named at most.
const MAX_DUPLICATES: usize = 100;

/// A tree, and the paths of the keys that were there twice.
///
/// # Errors
/// What is wrong with the text, and where. Nesting deeper than 128 is refused.
pub(crate) fn parse(text: &[u8]) -> Result<(Json, Vec<String>), serde_json::Error> {
    let notes = RefCell::new(Notes::default());
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let tree = Tree(&notes).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((tree, notes.into_inner().duplicates))
}

#[derive(Default)]
struct Notes {
    path: Vec<String>,
    duplicates: Vec<String>,
}

impl Notes {
    fn note(&mut self, key: &str) {
        if self.duplicates.len() < MAX_DUPLICATES {
            let mut path = self.path.join(".");
            if !path.is_empty() {
                path.push('.');
            }
            self.duplicates.push(path + key);
        }
    }
}

struct Tree<'a>(&'a RefCell<Notes>);

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        self.0.borrow_mut().path.push("[0]".to_owned());
        while let Some(item) = items.next_element_seed(Tree(self.0))? {
            list.push(item);
            if let Some(place) = self.0.borrow_mut().path.last_mut() {
                *place = format!("[{}]", list.len());
            }
        }
        self.0.borrow_mut().path.pop();
        Ok(Json::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.0.borrow_mut().path.push(key.clone());
            let value = entries.next_value_seed(Tree(self.0))?;
            self.0.borrow_mut().path.pop();
            if map.contains_key(&key) {
                self.0.borrow_mut().note(&key);
            }
            map.insert(key, value);
        }
        Ok(Json::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_there_twice_is_named_and_the_last_counts() {
        let (tree, duplicates) = parse(br#"{"spec":{"a":1,"b":[{"c":1,"c":2}],"a":3},"n":null,"f":1.5}"#).unwrap();
        assert_eq!(tree, json!({"spec": {"a": 3, "b": [{"c": 2}]}, "n": null, "f": 1.5}));
        assert_eq!(duplicates, ["spec.b.[0].c", "spec.a"]);
    }

    #[test]
    fn t5_a_bomb_of_depth_is_refused() {
        let bomb = "[".repeat(100_000);
        assert!(parse(bomb.as_bytes()).unwrap_err().to_string().contains("recursion limit"));
    }

    #[test]
    fn trailing_text_and_bad_utf8_are_refused() {
        assert!(parse(b"{} {}").is_err());
        assert!(parse(b"{\"a\": \"\xff\"}").is_err());
    }
}
