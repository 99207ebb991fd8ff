//! What can be opened, and what must not be.

use crate::failure::{Outcome, ensure};
use crate::harness::Harness;
use crate::{Fixture, Opened, fixture};

pub(super) async fn newer_schema_refused(harness: Harness) -> Outcome {
    ensure_refused(&harness, Fixture::NewerSchema).await
}

pub(super) async fn foreign_file_refused(harness: Harness) -> Outcome {
    ensure_refused(&harness, Fixture::Foreign).await
}

async fn ensure_refused(harness: &Harness, fixture: Fixture) -> Outcome {
    match harness.within("open a fixture", harness.factory.open(fixture)).await?? {
        Opened::Refused(reason) => ensure::that("a reason", !reason.is_empty(), &reason),
        Opened::Store(store) => Err(ensure::broken(&format!("{fixture:?} to be refused"), &store)),
    }
}

pub(super) async fn v1_fixture_opens(harness: Harness) -> Outcome {
    match harness.within("open a fixture", harness.factory.open(Fixture::Version1)).await?? {
        Opened::Store(store) => fixture::check(&harness.client(store)).await,
        Opened::Refused(reason) => Err(ensure::broken("the first released schema to open", &reason)),
    }
}
