//! What happens to objects, told to the world outside as CloudEvents 1.0.

mod event;
mod http;
mod lines;
mod relay;

pub use event::CloudEvent;
pub use http::{HttpPost, HttpSink};
pub use lines::LineSink;
pub use relay::{CloudEventRelay, CloudEventRelayConfig, CloudEventSink};
