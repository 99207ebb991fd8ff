//! [`Written`]: what somebody wrote where a value of a type is expected.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Text that should be a `T`, kept as it was written. A manifest with several mistakes can then be told all of them at
/// once, instead of only the first that does not parse.
///
/// ```
/// use roa_core::HumanDuration;
/// use roa_lab::Written;
/// let hour: Written<HumanDuration> = serde_json::from_str(r#""60m""#)?;
/// assert_eq!(hour.get().unwrap().0.as_secs(), 3600);
/// assert_eq!(hour.text(), "60m");
/// let wrong: Written<HumanDuration> = serde_json::from_str(r#""soon""#)?;
/// assert!(wrong.get().is_none() && wrong.problem().is_some());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written<T> {
    text: String,
    value: Result<T, String>,
}

impl<T: FromStr<Err: Display>> Written<T> {
    /// What `text` says.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let value = text.parse().map_err(|error: T::Err| error.to_string());
        Self { text, value }
    }
}

impl<T> Written<T> {
    /// The value, if the text is one.
    pub const fn get(&self) -> Option<&T> {
        match &self.value {
            Ok(value) => Some(value),
            Err(_) => None,
        }
    }

    /// Why the text is no value.
    pub fn problem(&self) -> Option<&str> {
        self.value.as_ref().err().map(String::as_str)
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl<T: Display> From<T> for Written<T> {
    fn from(value: T) -> Self {
        Self { text: value.to_string(), value: Ok(value) }
    }
}

impl<T> Serialize for Written<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// Numbers are taken for the text that they are written as: `cpu: 2` is what people write.
impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalar(PhantomData))
    }
}

struct Scalar<T>(PhantomData<T>);

impl<T: FromStr<Err: Display>> de::Visitor<'_> for Scalar<T> {
    type Value = Written<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Written::new(text))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Written::new(number.to_string()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Written::new(number.to_string()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Written::new(number.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use roa_core::HumanDuration;

    use super::*;

    fn read(json: &str) -> Result<Written<HumanDuration>, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn what_was_written_is_written_back_whether_it_parses_or_not() {
        for json in [r#""60m""#, r#""1h""#, r#""banana""#] {
            assert_eq!(serde_json::to_string(&read(json).unwrap()).unwrap(), json);
        }
    }

    #[test]
    fn numbers_are_text_and_other_types_are_refused() {
        assert!(read("60").unwrap().problem().unwrap().contains("without a unit"));
        assert_eq!(read("-1").unwrap().text(), "-1");
        assert_eq!(read("1.5").unwrap().text(), "1.5");
        for json in ["null", "[]", "{}", "true"] {
            assert!(read(json).unwrap_err().to_string().contains("expected text or a number"), "{json}");
        }
    }
}
