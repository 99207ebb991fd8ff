//! What is measured: on by default, by bounded labels.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use roa_core::{CallOutcome, Dependency};
use roa_runtime::{BreakerConfig, Protected, RuntimeMetrics, SystemClock, Trip};

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

/// Lesson 11.
#[tokio::test]
async fn a_dependency_that_is_down_shows() {
    let mut registry = Registry::with_prefix("roa");
    let metrics = RuntimeMetrics::register(registry.sub_registry_with_prefix("runtime"));
    let trip = BreakerConfig { trip: Trip::Consecutive(1), ..BreakerConfig::default() };
    let outside = Protected::new("outside", Arc::new(SystemClock::new())).with_breaker(trip).measured_by(&metrics);
    outside.enter().await.unwrap().leave(CallOutcome::Failed);
    assert!(outside.enter().await.is_err());
    let text = text(&registry);
    for line in [
        "roa_runtime_breaker_state{dependency=\"outside\"} 2",
        "roa_runtime_breaker_transitions_total{dependency=\"outside\",to=\"open\"} 1",
        "roa_runtime_dependency_refusals_total{dependency=\"outside\",reason=\"DependencyDown\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert_eq!(text.matches("# HELP ").count(), 3, "what never happened is not shown");
}
