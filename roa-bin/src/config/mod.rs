//! Configuration: built-in defaults, then `roa.toml`, then `ROA_` variables, then flags.
//!
//! # Layout
//! - What can be configured: [`settings::Config`] and its parts; `keys` says what each key may hold
//! - Where values come from: `file`, `environment`, [`Flags`]; each yields `Setting`s with their `Source`
//! - How they become a `Config`: [`load()`], which answers with all [`Problems`] at once; `rules` looks at keys together
//! - How it is shown again: [`render()`]

mod environment;
mod file;
mod flags;
mod keys;
mod listen;
mod load;
mod problem;
#[cfg(test)]
mod reference;
mod render;
mod rules;
mod secret;
mod setting;
pub(crate) mod settings;
mod shape;
mod suggest;

pub(crate) use environment::{CONFIG_VARIABLE, KUBECONFIG_VARIABLE, SERVER_VARIABLE};
pub(crate) use file::ConfigFile;
pub(crate) use flags::Flags;
pub(crate) use listen::ListenAddress;
pub(crate) use load::{Inputs, Loaded, load};
pub(crate) use problem::Problems;
pub(crate) use render::render;
pub(crate) use secret::SecretUrl;
pub(crate) use shape::REDIS_SCHEMES;
pub(crate) use suggest::nearest_word;
