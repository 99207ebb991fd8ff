//! [`Extent`]: how large a value can be.

use serde_json::Value as Json;

/// How many bytes of text weigh as much as one value.
const BYTES_PER_VALUE: u64 = 64;

/// How large a value can be at most. What is within it is no larger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// The elements of its longest list or mapping.
    pub(super) count: u64,
    /// The bytes of its longest text.
    pub(super) text: u64,
    /// All its values, with the weight of their text.
    pub(super) total: u64,
    /// The same on average, for what is one of many: what it takes to copy each of them.
    pub(super) copy: u64,
}

impl Extent {
    /// A number, a truth, nothing.
    pub(super) const SCALAR: Self = Self { count: 0, text: 0, total: 1, copy: 1 };
    /// Nobody knows how large.
    pub(super) const UNKNOWN: Self = Self { count: u64::MAX, text: u64::MAX, total: u64::MAX, copy: u64::MAX };

    pub(super) const fn of_text(bytes: u64) -> Self {
        let total = (bytes / BYTES_PER_VALUE).saturating_add(1);
        Self { count: 0, text: bytes, total, copy: total }
    }

    /// A list or mapping of `count` such values.
    pub(super) fn list_of(self, count: u64) -> Self {
        Self {
            count: self.count.max(count),
            text: self.text,
            total: self.total.saturating_mul(count).saturating_add(1),
            copy: self.copy.saturating_mul(count).saturating_add(1),
        }
    }

    /// An element of it, or a value of it as a mapping. Any of them may be as large as all of it, but not all of them.
    pub(super) fn element(self) -> Self {
        Self { copy: self.copy / self.count.max(1) + 1, ..self }
    }

    /// Whichever of both is larger.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            count: self.count.max(other.count),
            text: self.text.max(other.text),
            total: self.total.max(other.total),
            copy: self.copy.max(other.copy),
        }
    }

    /// Both, one after the other.
    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            text: self.text.saturating_add(other.text),
            ..self.beside(other)
        }
    }

    /// Both, as parts of one value.
    pub(super) fn with(self, other: Self) -> Self {
        let both = self.beside(other);
        Self { total: both.total, copy: both.copy, ..self.or(other) }
    }

    const fn beside(self, other: Self) -> Self {
        Self { total: self.total.saturating_add(other.total), copy: self.copy.saturating_add(other.copy), ..self }
    }

    /// Whether it is larger than `most` in anything.
    pub(super) const fn exceeds(self, most: Self) -> bool {
        self.count > most.count || self.text > most.text || self.total > most.total
    }

    /// The bytes of all its text, or of it as text.
    pub(super) const fn as_text(self) -> u64 {
        self.total.saturating_mul(BYTES_PER_VALUE)
    }

    pub(super) fn of(json: &Json) -> Self {
        let (mut whole, mut open) = (Self::default(), vec![json]);
        while let Some(json) = open.pop() {
            let one = match json {
                Json::Array(items) => {
                    open.extend(items);
                    Self { count: as_u64(items.len()), ..Self::SCALAR }
                }
                Json::Object(fields) => {
                    open.extend(fields.values());
                    let names: u64 = fields.keys().map(|name| Self::of_text(as_u64(name.len())).total).sum();
                    let text = fields.keys().map(|name| as_u64(name.len())).max().unwrap_or_default();
                    Self { count: as_u64(fields.len()), text, total: 1 + names, copy: 1 + names }
                }
                Json::String(text) => Self::of_text(as_u64(text.len())),
                Json::Null | Json::Bool(_) | Json::Number(_) => Self::SCALAR,
            };
            whole = whole.with(one);
        }
        whole
    }
}

pub(super) fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_extent_is_that_of_the_largest_part() {
        let found = Extent::of(&json!({"a": [1, 2, 3], "b": "x".repeat(128), "c": {"d": null}}));
        let total = (1 + 3) + (1 + 3) + 3 + (1 + 1) + 1;
        assert_eq!(found, Extent { count: 3, text: 128, total, copy: total });
        let list = Extent::SCALAR.list_of(5);
        assert_eq!(list, Extent { count: 5, text: 0, total: 6, copy: 6 });
        assert_eq!(list.element(), Extent { copy: 2, ..list });
    }
}
