//! A client of the API: what the commands speak that show and change objects.
//!
//! # Layout
//! - Where the API is: [`Endpoint`], [`Login`], [`with_client`]; with no server, this process serves its store to itself
//! - How it is asked: [`Http`], [`ClientError`]
//! - What it serves: [`Kinds`]; which objects a command means: [`choose`]
//! - Objects: [`Client`]; what becomes of them: [`Follow`]

mod access;
mod choice;
mod endpoint;
mod error;
mod follow;
mod http;
mod kinds;
mod kubeconfig;
mod lines;
mod objects;
mod tls;

pub(crate) use access::{is_served, with_client, with_server};
pub(crate) use choice::{Chosen, choose, one};
pub(crate) use endpoint::Endpoint;
pub(crate) use error::{ClientError, Refusal};
pub(crate) use follow::{Change, Follow, Seen};
pub(crate) use http::{Ask, Http};
pub(crate) use kinds::{Kind, Kinds};
pub(crate) use kubeconfig::Login;
pub(crate) use objects::{Applied, Client, Deleting, Form, Listed, Selectors};
