//! How objects are shown to people: tables, sections, colours. Nothing here knows where objects come from.
//!
//! # Layout
//! - Output: [`say`], [`note`], [`document`]
//! - Tables: [`Table`]; states in colour: [`style`]
//! - One object in sections: [`tree()`]; what changed in it: [`diff()`]
//! - Times: [`age()`]; text that is safe on a terminal: [`safe()`]

mod age;
mod diff;
mod output;
mod safe;
mod style;
mod table;
mod tree;

pub(crate) use age::{age, since};
pub(crate) use diff::diff;
pub(crate) use output::{Document, document, note, say, say_all};
pub(crate) use safe::safe;
pub(crate) use style::{BOLD, styled};
pub(crate) use table::{Align, Table};
pub(crate) use tree::{redact, tree};
