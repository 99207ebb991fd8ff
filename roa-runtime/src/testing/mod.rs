//! For authors of controllers: a controller is tried over a memory store and a clock that moves by itself, with a fault at
//! every place where there can be one.
//!
//! A [`Trial`] is what there is at the begin, the controller, and what must come of it. [`Trial::run`] runs it with one
//! [`Fault`] or none; [`Trial::survives_crashes`] ends the process before and after each of its operations on the store,
//! and starts it again; [`Trial::survives_faults`] does the same with all that can go wrong at one operation. A failure
//! says which fault it was and what the process did, so that the same can be run again.
//!
//! Time is simulated: whenever nothing can be done, the clock moves to the next time that somebody waits for. A trial of
//! hours takes milliseconds.
//!
//! ```
//! # use std::sync::Arc;
//! # use async_trait::async_trait;
//! # use roa_core::{Action, Context, Controller, KindRegistry, Object, ReconcileError, Scope, Spec};
//! # use serde::{Deserialize, Serialize};
//! use roa_runtime::testing::{Fault, Trial};
//! # #[derive(Debug, Clone, Serialize, Deserialize)]
//! # struct Greeting { text: String }
//! # #[derive(Debug, Clone, Default, Serialize, Deserialize)]
//! # struct GreetingStatus { said: Option<String> }
//! # impl Spec for Greeting {
//! #     type Status = GreetingStatus;
//! #     const GROUP: &'static str = "example.com";
//! #     const VERSION: &'static str = "v1";
//! #     const KIND: &'static str = "Greeting";
//! #     const PLURAL: &'static str = "greetings";
//! #     const SCOPE: Scope = Scope::Namespaced;
//! # }
//! # struct Greeter;
//! # #[async_trait]
//! # impl Controller for Greeter {
//! #     type Resource = Object<Greeting>;
//! #     fn name(&self) -> &'static str { "greeter" }
//! #     async fn reconcile(&self, object: Arc<Object<Greeting>>, cx: &Context) -> Result<Action, ReconcileError> {
//! #         let mut next = (*object).clone();
//! #         next.status.said = Some(object.spec.text.clone());
//! #         cx.api::<Greeting>()?.update_status(&next).await?;
//! #         Ok(Action::Done)
//! #     }
//! # }
//! let trial = Trial::new(
//!     KindRegistry::new().with::<Greeting>(),
//!     || (),             // the world outside, new for each run
//!     |_outside| Greeter, // the controller, new for each process
//!     async |world| {
//!         let greeting = Object::new("default", "hello", Greeting { text: "hello".into() });
//!         world.resources.api::<Greeting>()?.create(&greeting).await.map(|_| ())
//!     },
//!     async |world| {
//!         let api = world.resources.api::<Greeting>().map_err(|error| error.to_string())?;
//!         let greeting = api.get("default", "hello").await.map_err(|error| error.to_string())?;
//!         Ok(greeting.status.said.as_deref() == Some("hello"))
//!     },
//! );
//! trial.run(Fault::None)?;
//! let report = trial.survives_crashes()?;
//! assert!(report.runs > 10);
//! # Ok::<(), roa_runtime::testing::Failure>(())
//! ```

mod fault;
mod process;
mod trial;
mod view;
mod world;

pub use fault::Fault;
pub use trial::{Failure, Report, Run, Trial};
pub use world::World;
