//! A small HTTP server for the files of one directory: what a lab can serve where nothing is installed.
//!
//! It listens on the loopback address, answers GET and HEAD, shows no hidden files and nothing outside of its directory,
//! and bounds its connections, their headers and their time.

mod answer;
mod body;
mod paths;
mod server;

pub use server::{StaticSite, StaticSiteError, serve_static};
