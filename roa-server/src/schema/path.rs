//! Where in an object something stands, written only when it is told.

use std::fmt;

/// A path that grows on the stack while an object is walked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'a> {
    parent: Option<&'a Self>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    pub(super) const fn root() -> Self {
        Self { parent: None, step: Step::Root }
    }

    pub(super) const fn field(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Field(name) }
    }

    pub(super) const fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }

    pub(super) const fn is_root(&self) -> bool {
        matches!(self.step, Step::Root)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = match self.parent {
            Some(parent) => {
                parent.fmt(f)?;
                !parent.is_root()
            }
            None => false,
        };
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) if name.contains(['.', '/', '[']) => write!(f, "[{name}]"),
            Step::Field(name) if below => write!(f, ".{name}"),
            Step::Field(name) => f.write_str(name),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_the_api_writes_them() {
        let root = Path::root();
        let spec = root.field("spec");
        let list = spec.field("list");
        let item = list.index(3);
        assert_eq!(item.field("name").to_string(), "spec.list[3].name");
        assert_eq!(spec.field("example.com/a").to_string(), "spec[example.com/a]");
        assert_eq!(root.to_string(), "");
    }
}
