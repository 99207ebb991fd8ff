//! Writes the file that tests of later versions open: a store of this version's schema with the suite's fixture in it.
//!
//! `cargo run -p roa-store-sqlite --example sqlite_fixture -- tests/fixtures/version-N.db`

use std::error::Error;
use std::sync::Arc;

use roa_core::SystemRandom;
use roa_runtime::SystemClock;
use roa_store_sqlite::{SqliteConfig, SqliteStore};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("expected the path of the file to write")?;
    let store =
        SqliteStore::open(SqliteConfig::new(&path), Arc::new(SystemClock::new()), Arc::new(SystemRandom)).await?;
    roa_conformance::fixture::write(&store).await?;
    store.close().await;
    std::fs::remove_file(format!("{path}-head"))?;
    Ok(())
}
