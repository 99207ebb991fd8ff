//! Writes the files that a store of this version leaves, for the tests of later ones:
//! `cargo run -p roa-store-redis --example redis_fixture -- version-1.rdb`

use std::error::Error;
use std::sync::Arc;

use roa_core::SystemRandom;
use roa_runtime::SystemClock;
use roa_store_redis::test_util::RedisServer;
use roa_store_redis::{RedisConfig, RedisStore};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("expected the path of the file to write")?;
    let server = RedisServer::start();
    let config = RedisConfig::new(server.unix_url()).name("fixture");
    let store = RedisStore::open(config, Arc::new(SystemClock::new()), Arc::new(SystemRandom)).await?;
    roa_conformance::fixture::write(&store).await?;
    store.close().await;
    server.command::<()>(&["SAVE"]);
    std::fs::copy(server.directory().join("dump.rdb"), path)?;
    Ok(())
}
