//! HTTP: from a request to an answer.

mod accept;
pub(crate) mod answer;
mod audited;
mod body;
mod call;
mod gate;
mod json;
mod on;
mod path;
mod proof;
mod protobuf;
mod query;
mod request_id;
mod route;
mod sending;
mod status;

pub(crate) use accept::{Accept, DiscoveryForm, Form, IncludeObject};
pub(crate) use answer::{Answer, Lasting};
pub(crate) use audited::Audited;
pub(crate) use body::{Input, Parsed};
pub(crate) use call::Call;
pub(crate) use gate::{Access, Peer, Written};
pub(crate) use on::On;
pub(crate) use path::{GroupVersion, Probe, ResourcePath, Route};
pub(crate) use proof::Proof;
pub(crate) use query::{FieldChecks, Query, Version};
pub(crate) use request_id::RequestId;
pub(crate) use route::respond;
pub(crate) use sending::{Progress, Sending};
pub(crate) use status::ApiError;
