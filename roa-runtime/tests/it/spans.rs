//! What a trace shows: an event, the key it is about, the reconcile that it leads to with its cause, and what that writes.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use roa_core::{Action, Store};
use roa_runtime::{MeasuredStore, RuntimeMetrics};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context as LayerContext, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::driving::{Driving, Scripted, config};
use crate::support::{Thing, World, until};

/// A span: its name, its fields, the name of the span around it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    name: &'static str,
    fields: HashMap<&'static str, String>,
    within: Option<&'static str>,
}

#[derive(Clone, Default)]
struct Recording(Arc<Mutex<Vec<Seen>>>);

struct Fields(HashMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let mut text = String::new();
        write!(text, "{value:?}").unwrap();
        self.0.insert(field.name(), text);
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recording {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: LayerContext<'_, S>) {
        let mut fields = Fields(HashMap::new());
        attributes.record(&mut fields);
        let within = cx.span(id).and_then(|span| span.parent()).map(|parent| parent.name());
        self.0.lock().unwrap().push(Seen { name: attributes.metadata().name(), fields: fields.0, within });
    }
}

/// On one thread: the subscriber is the thread's own.
#[tokio::test(flavor = "current_thread")]
async fn a_trace_leads_from_the_event_over_the_key_and_the_reconcile_to_the_write_with_the_cause() {
    // Beside a second subscriber `tracing` asks all of them about a span that it sees for the first time. If there is just
    // one, it asks that of the thread, and a thread of another test, which has none, would settle it for all.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let recording = Recording::default();
    let subscriber = tracing_subscriber::registry().with(recording.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut world = World::new().await;
    let store: Arc<dyn Store> = Arc::new(MeasuredStore::new(world.store.clone(), &RuntimeMetrics::unregistered()));
    world.resources = roa_core::ResourceStore::new(
        store,
        Arc::new(roa_core::KindRegistry::new().with::<Thing>()),
        world.clock.clone(),
        Arc::new(roa_core::SystemRandom),
        "test",
    );
    let script = Scripted::new(|_, _| Ok(Action::Done)).noting();
    let driving = Driving::start(&world, script, config());
    let created = world.create("a", 1).await;
    let wanted = |name: &str, field: &str, value: &str| {
        let seen = recording.0.lock().unwrap();
        seen.iter().find(|span| span.name == name && span.fields.get(field).is_some_and(|it| it == value)).cloned()
    };
    until("it writes", || wanted("write", "writer", "scripted").is_some()).await;
    let key = world.api().key("test", "a").unwrap().to_string();
    let event = wanted("event", "key", &key).expect("an event");
    assert_eq!(event.fields["cause"], "\"changed\"");
    assert_eq!(event.fields["revision"], created.metadata.resource_version.unwrap().to_string());
    let reconcile = wanted("reconcile", "key", &key).expect("a reconcile");
    assert_eq!(
        (reconcile.fields["controller"].as_str(), reconcile.fields["causes"].as_str()),
        ("\"scripted\"", "[Changed]")
    );
    let write = wanted("write", "writer", "scripted").unwrap();
    assert_eq!((write.within, write.fields["key"].as_str()), (Some("reconcile"), key.as_str()));
    let theirs = wanted("write", "writer", "test").expect("what others write is no part of a reconcile");
    assert_eq!(theirs.within, None);
    driving.stop().await;
}
