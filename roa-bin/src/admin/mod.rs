//! Health and metrics over HTTP on a Unix socket, for the machine's operator alone.
//!
//! `/livez` answers `ok` while the process answers at all; `/readyz` answers `ok`, or 503 with a line for each
//! [`Check`] that fails; `/metrics` is the registry in OpenMetrics; `/why/KIND/NAMESPACE/NAME` explains an object (of
//! cluster scope: `/why/KIND/NAME`) as JSON.

mod ask;
mod readiness;
mod routes;
mod serve;
mod socket;

pub(crate) use ask::{ask, encode};
pub(crate) use readiness::{Check, Readiness};
pub(crate) use routes::routes;
pub(crate) use serve::{Limits, serve};
pub(crate) use socket::{HeldPath, PrivateSocket, SocketError};
