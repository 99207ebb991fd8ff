//! No message, no log line and no debug text holds a password.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use roa_core::Store;
use roa_store_redis::test_util::RedisServer;

use crate::connections::refusal;
use crate::support::{config, create, create_again, open};

const CANARY: &str = "canary-7f3a";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r13_no_message_holds_a_password() {
    let server = RedisServer::start_with(&["--requirepass", "right"]);
    let with = |userinfo: &str| config(format!("redis://{userinfo}@127.0.0.1:{}", server.port()));
    let wrong = [
        with(&format!(":{CANARY}")),
        with(&format!("{CANARY}:{CANARY}")),
        config(server.url()).credentials(None, Some(CANARY.into())),
        config(format!("redis://:{CANARY}@127.0.0.1:1")),
        config(format!("rediss://:{CANARY}@127.0.0.1:{}", server.port())),
        config(format!("redis://:{CANARY}@no-such-host.invalid")),
        config(format!("redis://:{CANARY}@127.0.0.1:99999")),
    ];
    for config in wrong {
        let shown = format!("{config:?}");
        let refused = refusal(config).await;
        assert!(!refused.contains(CANARY) && !shown.contains(CANARY), "{refused}");
    }
    let store = open(with(":right")).await;
    assert!(!format!("{store} {store:?}").contains("right"));
    create_again(&store, "a").await;
}

/// A password that is right at first, then is not, then belongs to nobody.
#[tokio::test]
async fn r13_no_log_line_holds_a_password() {
    let logged = Logged::default();
    // For all threads of all tests: one that is set for this thread alone misses what others have met before it.
    tracing::subscriber::set_global_default(logged.clone()).unwrap();
    let server = RedisServer::start();
    let user = |change: &str| server.command::<()>(&["ACL", "SETUSER", "roa", change]);
    server.command::<()>(&["ACL", "SETUSER", "roa", "on", &format!(">{CANARY}"), "~*", "+@all"]);
    let (url, quick) = (format!("redis://roa:{CANARY}@127.0.0.1:{}", server.port()), Duration::from_millis(300));
    let store = open(config(url).timeouts(quick, quick)).await;
    create(&store, "a").await.unwrap();
    let mut told = Vec::new();
    for change in [">another", "off", "reset"] {
        user("resetpass");
        user(change);
        server.command::<()>(&["CLIENT", "KILL", "USER", "roa"]);
        told.push(format!("{:?}", create(&store, "b").await.unwrap_err()));
        told.push(format!("{:?}", create(&store, "b").await.unwrap_err()));
        told.push(format!("{:?} {:?}", store.health().await, store.state().await));
    }
    assert!(told.iter().any(|text| text.contains("authentication failed")), "{told:?}");
    told.extend(logged.0.lock().unwrap().drain(..));
    let troubled =
        |text: &String| text.contains("the Redis store is in trouble") && text.contains("authentication failed");
    assert!(told.iter().any(troubled), "{told:?}");
    assert!(!told.iter().any(|text| text.contains(CANARY)), "{told:?}");
}

/// All that is logged, at every level, with all fields.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<String>>>);

impl Logged {
    fn note(&self, record: impl FnOnce(&mut Line)) {
        let mut line = Line::default();
        record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
}

#[derive(Default)]
struct Line(String);

impl tracing::field::Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}

impl tracing::Subscriber for Logged {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        self.note(|line| span.record(line));
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        self.note(|line| values.record(line));
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        self.note(|line| event.record(line));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
