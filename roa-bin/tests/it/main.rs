//! The real `roa`, run as users run it.

mod config;
mod run;
