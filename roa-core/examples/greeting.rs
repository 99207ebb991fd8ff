//! A kind and its controller in one file, with nothing but `roa-core`: what an author of kinds writes.
//!
//! `cargo run -p roa-core --example greeting` prints the state machine and checks a spec; a runtime would drive the
//! controller (see `roa-runtime`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{
    Action, Context, Controller, KindDescriptor, KindRegistry, Object, ReconcileError, Resource, Scope, Spec,
    StateMachine, Transition, Violations, When,
};
use serde::{Deserialize, Serialize};

/// What is desired: that somebody is greeted.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Greeting {
    text: String,
}

/// What is observed: whether it was said.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct GreetingStatus {
    state: Option<String>,
    observed_generation: u64,
}

static MACHINE: StateMachine = StateMachine {
    name: "Greeting",
    initial: "pending",
    states: &["pending", "said"],
    transitions: &[
        Transition { from: "pending", to: "said", when: When::Always },
        Transition { from: "said", to: "pending", when: When::SpecChanged },
    ],
    terminal: &[],
};

impl Spec for Greeting {
    type Status = GreetingStatus;
    const GROUP: &'static str = "example.com";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Greeting";
    const PLURAL: &'static str = "greetings";
    const SCOPE: Scope = Scope::Namespaced;

    fn validate(&self) -> Violations {
        Violations::unless(!self.text.is_empty(), "text", "is empty, expected what to say")
    }

    fn state_machine() -> Option<&'static StateMachine> {
        Some(&MACHINE)
    }
}

/// Says each greeting once, and again when its text changes.
struct Greeter;

#[async_trait]
impl Controller for Greeter {
    type Resource = Object<Greeting>;

    fn name(&self) -> &'static str {
        "greeter"
    }

    async fn reconcile(&self, greeting: Arc<Object<Greeting>>, cx: &Context) -> Result<Action, ReconcileError> {
        let generation = greeting.metadata().generation;
        if greeting.status.observed_generation == generation {
            return Ok(Action::RequeueAfter(Duration::from_secs(3600)));
        }
        let mut next = (*greeting).clone();
        next.status = match greeting.status.state.as_deref() {
            Some("said") => GreetingStatus { state: Some("pending".into()), ..greeting.status.clone() },
            _ => GreetingStatus { state: Some("said".into()), observed_generation: generation },
        };
        cx.api::<Greeting>()?.update_status(&next).await?;
        Ok(Action::Done)
    }
}

fn main() {
    let kinds = KindRegistry::new().with::<Greeting>();
    for kind in kinds.iter() {
        show(&format!("{} {} ({})", kind.api_version(), kind.kind, kind.plural));
    }
    show(&MACHINE.to_mermaid());
    let wrong = Object::new("default", "hello", Greeting { text: String::new() });
    let tree = wrong.to_dynamic().map(|tree| (KindDescriptor::of::<Greeting>().validator)(&tree, None));
    show(&tree.map_or_else(|error| error.to_string(), |found| found.to_string()));
    show(Greeter.name());
}

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn show(text: &str) {
    println!("{text}");
}
