//! Those who want to be told of each change, at least once, also across restarts: [`EventHandler`], told by a
//! [`HandlerRunner`], which keeps in [`Bookmarks`] how far it is.

mod bookmark;
mod runner;

pub use bookmark::Bookmarks;
pub use runner::{EventHandler, HandlerRunner};
