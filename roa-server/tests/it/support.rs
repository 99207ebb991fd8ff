//! A server over a store in memory, and a client that sends what it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use roa_core::{
    CancellationSource, Clock, Column, KindDescriptor, KindRegistry, ResourceStore, Scope, Store, SystemRandom,
};
use roa_runtime::{HubConfig, SystemClock, Tasks, WatchHub};
use roa_server::{
    ApiConfig, ApiListener, ApiMetrics, ApiParts, ApiSecurity, ApiServer, HealthCheck, HealthChecks, Subresource,
};
use roa_store_memory::{MemoryConfig, MemoryStore};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than anything here takes on a busy machine.
pub const BOUND: Duration = Duration::from_secs(60);
/// Where the labs of the tests are.
pub const LABS: &str = "/apis/lab.example.com/v1/namespaces/school/labs";

/// A server, stopped when dropped.
pub struct Server {
    pub address: SocketAddr,
    pub stop: CancellationSource,
    pub hub: WatchHub,
    /// Ends with the test.
    _tasks: Tasks,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    #[track_caller]
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

pub fn lab_kind() -> KindDescriptor {
    let mut kind = KindDescriptor::dynamic("lab.example.com", "v1", "Lab", "labs", Scope::Namespaced);
    kind.short_names = vec!["l".into()];
    kind.columns = vec![Column::text("Size", ".spec.size"), Column::text("State", ".status.state").wide()];
    kind.selectable_fields.push("spec.owner".into());
    kind.scale_path = Some(".spec.size".into());
    kind.scale_status_path = Some(".status.size".into());
    kind.schema = Some(Arc::new(json!({
        "type": "object", "description": "A lab.",
        "properties": {
            "spec": {
                "type": "object", "description": "What is wanted.",
                "properties": {
                    "size": { "type": "integer", "minimum": 0, "default": 1, "description": "How many." },
                    "owner": { "type": "string" }, "tags": { "type": "array", "items": { "type": "string" } },
                },
            },
            "status": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
        },
    })));
    kind
}

impl Server {
    pub async fn start() -> Self {
        Self::with(ApiConfig::default()).await
    }

    pub async fn with(config: ApiConfig) -> Self {
        Self::secured(config, ApiSecurity::open()).await
    }

    pub async fn secured(config: ApiConfig, security: ApiSecurity) -> Self {
        Self::telling(config, security, Vec::new()).await
    }

    /// With parts of objects that the program tells.
    pub async fn telling(config: ApiConfig, security: ApiSecurity, subresources: Vec<Arc<dyn Subresource>>) -> Self {
        let (clock, random): (Arc<dyn Clock>, _) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
        let store: Arc<dyn Store> =
            Arc::new(MemoryStore::new(MemoryConfig::default(), Arc::clone(&clock), random.clone()));
        let hub = WatchHub::start(Arc::clone(&store), Arc::clone(&clock), HubConfig::default()).await.unwrap();
        let kinds = Arc::new(roa_server::kinds(KindRegistry::new().with_kind(lab_kind())));
        let resources = ResourceStore::new(store, kinds, Arc::clone(&clock), random.clone(), "test");
        let mut registry = Registry::default();
        let metrics = ApiMetrics::register(&mut registry).showing(Arc::new(registry));
        let parts = ApiParts {
            resources,
            hub: hub.clone(),
            clock,
            random,
            health: HealthChecks::new(|| vec![HealthCheck { name: "store".to_owned(), failure: None }]),
            metrics,
            security,
            subresources,
        };
        let listener = ApiListener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (address, stop, tasks) =
            (listener.address().unwrap(), CancellationSource::new(), Tasks::new("test server", 1));
        let (server, token) = (ApiServer::new(parts, config), stop.token());
        tasks.spawn_draining("server", move |_| async move { server.serve(listener, token).await }).unwrap();
        Self { address, stop, hub, _tasks: tasks }
    }

    /// Sends a request as it is and reads the answer to its end.
    pub async fn raw(&self, request: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may answer, and close, before it has all of it.
        let _ = stream.write_all(request).await;
        let mut bytes = Vec::new();
        let _ = timeout(BOUND, stream.read_to_end(&mut bytes)).await.expect("an answer in time");
        parse(&String::from_utf8_lossy(&bytes))
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
        );
        self.raw((head + body).as_bytes()).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: &Json) -> Reply {
        self.send("POST", path, &[("content-type", "application/json")], &body.to_string()).await
    }

    pub async fn patch(&self, path: &str, kind: &str, body: &Json) -> Reply {
        self.send("PATCH", path, &[("content-type", kind)], &body.to_string()).await
    }

    /// Creates a lab.
    #[track_caller]
    pub fn lab(&self, name: &str) -> impl Future<Output = Json> {
        let body = lab(name);
        async move {
            let reply = self.post(LABS, &body).await;
            assert_eq!(reply.status, 201, "{reply:?}");
            reply.json()
        }
    }

    /// Opens a stream of events.
    pub async fn watch(&self, path: &str) -> Lines {
        self.watch_as("", path).await
    }

    /// The same, showing a token.
    pub async fn watch_as(&self, who: &str, path: &str) -> Lines {
        let shown = if who.is_empty() { String::new() } else { format!("authorization: {who}\r\n") };
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{shown}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut lines = Lines { stream, buffer: Vec::new(), text: String::new() };
        lines.head().await;
        lines
    }
}

pub fn lab(name: &str) -> Json {
    json!({ "apiVersion": "lab.example.com/v1", "kind": "Lab", "metadata": { "name": name }, "spec": { "size": 3 } })
}

fn parse(text: &str) -> Reply {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let head = head.to_ascii_lowercase();
    let body = if head.contains("transfer-encoding: chunked") { unchunk(body) } else { body.to_owned() };
    Reply { status, head, body }
}

fn unchunk(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || after.len() < size {
            break;
        }
        body += &after[..size];
        rest = after[size..].trim_start_matches("\r\n");
    }
    body
}

/// A stream of events, line by line.
pub struct Lines {
    pub stream: TcpStream,
    buffer: Vec<u8>,
    text: String,
}

impl Lines {
    async fn fill(&mut self) -> bool {
        let mut piece = vec![0; 16 << 10];
        let read = timeout(BOUND, self.stream.read(&mut piece)).await.expect("something in time").unwrap_or(0);
        self.buffer.extend_from_slice(&piece[..read]);
        read > 0
    }

    async fn head(&mut self) {
        let end = |bytes: &[u8]| bytes.windows(4).position(|window| window == b"\r\n\r\n");
        while end(&self.buffer).is_none() {
            assert!(self.fill().await, "the connection ended before the head");
        }
        let at = end(&self.buffer).unwrap();
        let head = String::from_utf8_lossy(&self.buffer[..at]).into_owned();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        self.buffer.drain(..at + 4);
    }

    /// The next event; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Json> {
        loop {
            self.take_chunks();
            if let Some((line, rest)) = self.text.split_once('\n') {
                let event = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                self.text = rest.to_owned();
                return Some(event);
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    fn take_chunks(&mut self) {
        while let Some(at) = self.buffer.windows(2).position(|window| window == b"\r\n") {
            let size = String::from_utf8_lossy(&self.buffer[..at]).into_owned();
            let size = usize::from_str_radix(size.trim(), 16).expect("a chunk's size");
            if self.buffer.len() < at + 2 + size + 2 {
                return;
            }
            self.text += &String::from_utf8_lossy(&self.buffer[at + 2..at + 2 + size]);
            self.buffer.drain(..at + 4 + size);
        }
    }

    /// Type, name and `resourceVersion` of the next event.
    pub async fn brief(&mut self) -> (String, String, u64) {
        let event = self.next().await.expect("an event");
        let text = |pointer: &str| event.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned();
        let version = text("/object/metadata/resourceVersion").parse().unwrap_or(0);
        (text("/type"), text("/object/metadata/name"), version)
    }
}
