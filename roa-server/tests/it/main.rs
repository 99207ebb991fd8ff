//! The API over a real port: raw requests, and the real `kubectl`.

mod abuse;
mod access;
mod declared;
mod kubectl;
mod objects;
mod support;
mod watches;
