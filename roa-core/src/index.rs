//! [`Index`]: by what else than its key an object of a cache is found. [`KeyOf`]: a reference to an object of one kind.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use crate::{Key, KeyError, Object, Scope, Spec};

/// By what else than its key an object is found: each object has any number of values, and each value any number of
/// objects. A cache that keeps it answers at once; any other reader looks at all objects.
///
/// ```
/// # use roa_core::{Context, Index, Object, Spec};
/// # trait Lab: Spec { fn template(&self) -> &str; }
/// # fn example<L: Lab>(cx: &Context) {
/// // A constant of the author's kind, next to it: `const BY_TEMPLATE: Index<Object<Lab>> = …`
/// let by_template = Index::<Object<L>>::new("template", |lab, value| value(lab.spec.template()));
/// let of_python = cx.cache::<L>().map(|labs| labs.by_index(&by_template, "python"));
/// # }
/// ```
pub struct Index<R> {
    name: &'static str,
    values: ValuesOf<R>,
}

/// Gives each value of an object to the function that it is handed.
type ValuesOf<R> = fn(&R, &mut dyn FnMut(&str));

impl<R> Index<R> {
    /// An index: `values` gives each value of an object to the function that it is handed. It must depend on the object
    /// alone. Two indexes of one kind must not have one name.
    #[must_use]
    pub const fn new(name: &'static str, values: ValuesOf<R>) -> Self {
        Self { name, values }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Gives each value of an object to `value`.
    pub fn values(&self, object: &R, value: &mut dyn FnMut(&str)) {
        (self.values)(object, value);
    }

    /// Whether an object has a value.
    #[must_use]
    pub fn has(&self, object: &R, value: &str) -> bool {
        let mut found = false;
        self.values(object, &mut |other| found |= other == value);
        found
    }
}

impl<R> Clone for Index<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Index<R> {}

impl<R> fmt::Debug for Index<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Index({})", self.name)
    }
}

/// A reference to an object of the kind `S`, whether or not there is one: it can't name an object of another kind, and a
/// kind of cluster scope has no namespace in it.
///
/// ```
/// # use roa_core::{Key, KeyError, KeyOf, Object, Scope, Spec};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, Serialize, Deserialize)]
/// # struct Course { text: String }
/// # impl Spec for Course {
/// #     type Status = ();
/// #     const GROUP: &'static str = "example.com";
/// #     const VERSION: &'static str = "v1";
/// #     const KIND: &'static str = "Course";
/// #     const PLURAL: &'static str = "courses";
/// #     const SCOPE: Scope = Scope::Cluster;
/// # }
/// let course = KeyOf::<Course>::new("of the one who refers", "python")?;
/// assert_eq!(course.key(), &Key::new("example.com", "courses", "", "python")?);
/// # Ok::<(), KeyError>(())
/// ```
pub struct KeyOf<S> {
    key: Key,
    kind: PhantomData<fn() -> S>,
}

impl<S: Spec> KeyOf<S> {
    /// A reference by name; the namespace counts only for a kind that has them.
    ///
    /// # Errors
    /// [`KeyError`] if namespace and name make no key: an empty name refers to nothing.
    pub fn new(namespace: &str, name: &str) -> Result<Self, KeyError> {
        let namespace = if S::SCOPE == Scope::Cluster { "" } else { namespace };
        Ok(Self { key: Key::new(S::GROUP, S::PLURAL, namespace, name)?, kind: PhantomData })
    }

    /// A reference to an object.
    ///
    /// # Errors
    /// [`KeyError`] if its namespace and name make no key.
    pub fn of(object: &Object<S>) -> Result<Self, KeyError> {
        Self::new(&object.metadata.namespace, &object.metadata.name)
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// The key.
    #[must_use]
    pub fn into_key(self) -> Key {
        self.key
    }
}

impl<S> Clone for KeyOf<S> {
    fn clone(&self) -> Self {
        Self { key: self.key.clone(), kind: PhantomData }
    }
}

impl<S> PartialEq for KeyOf<S> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<S> Eq for KeyOf<S> {}

impl<S> Hash for KeyOf<S> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl<S> fmt::Debug for KeyOf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyOf({})", self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_the_values_that_its_function_gives() {
        let words = Index::<String>::new("word", |text, value| text.split(' ').for_each(value));
        let text = "to be or".to_owned();
        assert!(words.has(&text, "be") && !words.has(&text, "b"));
        assert_eq!(format!("{words:?}"), "Index(word)");
    }
}
