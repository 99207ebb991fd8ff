//! Static bearer tokens: a file with their hashes.
//!
//! # Layout
//! - [`NewToken`]: a token that nobody had before
//! - `list`: the tokens of a file, and which of them one is
//! - `parse`: the file's lines

mod generate;
mod list;
mod parse;

pub use generate::{NewToken, TokenNameError};
pub(crate) use list::TokenList;
pub use parse::{TokenFileError, TokenLineError};
