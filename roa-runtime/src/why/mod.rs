//! Why an object is as it is: [`Explainer`] asks the process that handles it, [`explain_from_store`] the store alone.

mod engine;
mod explanation;
mod stored;

pub use engine::Explainer;
pub(crate) use explanation::seconds;
pub use explanation::{
    DependencyState, Explanation, FinalizerState, Handling, Happening, LastError, LastWrite, ObjectState, OwnerState,
    Phase, QueueState,
};
pub use stored::explain_from_store;
