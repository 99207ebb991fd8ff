//! etcd, through its own client: compare-and-swap by transaction.

use etcd_client::{Client, Compare, CompareOp, GetOptions, Txn, TxnOp, WatchOptions, WatchStream};
use roa_benches::Side;
use roa_core::{Key, Value};

use super::server::Server;

/// How large an answer may be.
const LARGEST: usize = 64 << 20;

/// A connection; a clone shares it.
#[derive(Clone)]
pub(crate) struct Etcd(Client);

/// A server of its own, if it is installed. It syncs before it answers, as it does by default.
pub(crate) fn start() -> Option<Server> {
    Server::start("etcd", |directory, [port, peers]| {
        let [clients, peers] = [port, peers].map(|port| format!("http://127.0.0.1:{port}"));
        let directory = directory.join("data").to_string_lossy().into_owned();
        [
            ("--data-dir", directory),
            ("--listen-client-urls", clients.clone()),
            ("--advertise-client-urls", clients),
            ("--listen-peer-urls", peers.clone()),
            ("--initial-advertise-peer-urls", peers.clone()),
            ("--initial-cluster", format!("default={peers}")),
            ("--quota-backend-bytes", (8_u64 << 30).to_string()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
    })
}

impl Etcd {
    pub(crate) async fn connect(server: &Server) -> Self {
        Self(Client::connect([format!("http://127.0.0.1:{}", server.port)], None).await.unwrap())
    }

    /// What changes from now on.
    pub(crate) async fn watch(&self) -> WatchStream {
        let everything = WatchOptions::new().with_all_keys();
        let mut stream = self.0.clone().watch(vec![0], Some(everything)).await.unwrap();
        assert!(stream.message().await.unwrap().unwrap().created());
        stream
    }

    /// All that is there; gives how many.
    pub(crate) async fn list(&self) -> usize {
        let everything = GetOptions::new().with_all_keys();
        // Ten thousand of 1 KiB are more than the client takes by default.
        let mut client = self.0.kv_client().max_decoding_message_size(LARGEST);
        client.get(vec![0], Some(everything)).await.unwrap().kvs().len()
    }
}

impl Side for Etcd {
    type At = i64;

    async fn write(&self, keys: &[Key], value: &Value, expect: Option<i64>) -> i64 {
        let name = |key: &Key| key.encoded().to_string();
        let compare = |key| Compare::mod_revision(name(key), CompareOp::Equal, expect.unwrap_or(0));
        let put = |key| TxnOp::put(name(key), value.bytes.to_vec(), None);
        let txn = Txn::new().when(keys.iter().map(compare).collect::<Vec<_>>());
        let txn = txn.and_then(keys.iter().map(put).collect::<Vec<_>>());
        let answer = self.0.clone().txn(txn).await.unwrap();
        assert!(answer.succeeded());
        answer.header().unwrap().revision()
    }
}
