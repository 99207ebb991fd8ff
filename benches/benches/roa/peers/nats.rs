//! NATS JetStream's key-value store, through its own client.

use async_nats::jetstream;
use async_nats::jetstream::kv::{Config, Store, Watch};
use roa_benches::Side;
use roa_core::{Key, Value};

use super::server::Server;

/// A bucket; a clone shares its connection.
#[derive(Clone)]
pub(crate) struct Nats(Store);

/// A server of its own, if it is installed. Files are synced now and then, as by default: not before it answers.
pub(crate) fn start() -> Option<Server> {
    Server::start("nats-server", |directory, [port, _]| {
        let directory = directory.to_string_lossy().into_owned();
        ["-js", "-sd", &directory, "-a", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned).into()
    })
}

impl Nats {
    /// A bucket of its own; the reason why not, from a server that is too old for the client.
    pub(crate) async fn connect(server: &Server) -> Result<Self, String> {
        let client = async_nats::connect(format!("127.0.0.1:{}", server.port)).await.unwrap();
        let config = Config { bucket: "bench".to_owned(), history: 1, ..Config::default() };
        let made = jetstream::new(client).create_key_value(config).await;
        made.map(Self).map_err(|error| format!("nats-server and its client do not understand each other: {error}"))
    }

    /// What changes from now on.
    pub(crate) async fn watch(&self) -> Watch {
        self.0.watch_all().await.unwrap()
    }
}

impl Side for Nats {
    type At = u64;

    async fn write(&self, keys: &[Key], value: &Value, expect: Option<u64>) -> u64 {
        let [key] = keys else { unreachable!("a bucket writes one key") };
        let name = key.name();
        self.0.update(name, value.bytes.clone(), expect.unwrap_or(0)).await.unwrap()
    }
}
