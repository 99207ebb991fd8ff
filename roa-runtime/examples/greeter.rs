//! A kind, its controller, and a process that runs it: declare a greeting, and it is said.
//!
//! `cargo run -p roa-runtime --example greeter`

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use roa_core::{
    Action, CancellationSource, Context, Controller, KindRegistry, Object, ReconcileError, ResourceStore, Scope, Spec,
    SystemRandom,
};
use roa_runtime::{Clocks, ControllerConfig, Manager, ManagerConfig, Mode, SystemClock};
use roa_store_memory::{MemoryConfig, MemoryStore};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Greeting {
    text: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct GreetingStatus {
    said: Option<String>,
}

impl Spec for Greeting {
    type Status = GreetingStatus;
    const GROUP: &'static str = "example.com";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Greeting";
    const PLURAL: &'static str = "greetings";
    const SCOPE: Scope = Scope::Namespaced;
}

/// Says each greeting once, and again when its text changes.
struct Greeter {
    done: CancellationSource,
}

#[async_trait]
impl Controller for Greeter {
    type Resource = Object<Greeting>;

    fn name(&self) -> &'static str {
        "greeter"
    }

    async fn reconcile(&self, greeting: Arc<Object<Greeting>>, cx: &Context) -> Result<Action, ReconcileError> {
        if greeting.status.said.as_ref() == Some(&greeting.spec.text) {
            self.done.cancel(); // a real controller lives on
            return Ok(Action::Done);
        }
        say(&greeting.spec.text);
        let mut next = (*greeting).clone();
        next.status.said = Some(greeting.spec.text.clone());
        cx.api::<Greeting>()?.update_status(&next).await?;
        Ok(Action::Done)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
    let store = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone()));
    let kinds = Arc::new(KindRegistry::new().with::<Greeting>());
    let resources = ResourceStore::new(store.clone(), kinds, clock.clone(), random, "main");
    let config = ManagerConfig::new(Mode::Single);
    let mut manager = Manager::new(store, resources.clone(), Clocks::same(clock), config).await?;
    let done = CancellationSource::new();
    let greeter = Greeter { done: done.clone() };
    manager.add_controller::<Greeting, _>(greeter, ControllerConfig::default())?;

    resources.api::<Greeting>()?.create(&Object::new("default", "hello", Greeting { text: "hello".into() })).await?;
    manager.run(done.token(), || ()).await?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it is what the controller does")]
fn say(text: &str) {
    println!("{text}");
}
