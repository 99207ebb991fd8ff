//! NATS JetStream's key-value store, through its own client.

use async_nats::jetstream;
use async_nats::jetstream::kv::{Store, Watch};
use async_nats::jetstream::stream::{Config, DiscardPolicy};
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
        let made = bucket(&jetstream::new(client), "bench").await;
        made.map(Self).map_err(|error| format!("nats-server and its client do not understand each other: {error}"))
    }

    /// What changes from now on.
    pub(crate) async fn watch(&self) -> Watch {
        self.0.watch_all().await.unwrap()
    }
}

/// A bucket, made as the stream that it is: before it makes a bucket, the client asks after the account, and does not
/// understand what a server of 2.9 answers.
async fn bucket(jetstream: &jetstream::Context, name: &str) -> Result<Store, async_nats::Error> {
    let stream = Config {
        name: format!("KV_{name}"),
        subjects: vec![format!("$KV.{name}.>")],
        max_messages_per_subject: 1,
        discard: DiscardPolicy::New,
        allow_rollup: true,
        allow_direct: true,
        deny_delete: true,
        ..Config::default()
    };
    jetstream.create_stream(stream).await?;
    Ok(jetstream.get_key_value(name).await?)
}

impl Side for Nats {
    type At = u64;

    async fn write(&self, keys: &[Key], value: &Value, expect: Option<u64>) -> u64 {
        let [key] = keys else { unreachable!("a bucket writes one key") };
        let name = key.name();
        self.0.update(name, value.bytes.clone(), expect.unwrap_or(0)).await.unwrap()
    }
}
