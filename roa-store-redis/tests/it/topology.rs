//! Where the primary is: named by a cluster or by sentinels, now and after it has moved.

use std::process::Command;

use roa_core::{CommitError, Store, TailEnd};
use roa_store_redis::RedisStore;
use roa_store_redis::test_util::RedisServer;

use crate::support::{BOUND, config, create, create_again, end_of, names, open, try_open, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r12_in_a_cluster_the_node_that_holds_the_keys_is_found() {
    let nodes: Vec<_> = (0..3).map(|_| RedisServer::start_with(&["--cluster-enabled", "yes"])).collect();
    let addresses: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
    let mut create_cluster = Command::new("redis-cli");
    create_cluster.args(["--cluster", "create"]).args(&addresses).arg("--cluster-yes");
    let made = create_cluster.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    let is_ready = |node: &RedisServer| node.command::<String>(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
    until("the cluster is ready", || nodes.iter().all(is_ready));
    let mut stores = Vec::new();
    for (node, name) in nodes.iter().zip(["one", "two", "three"]) {
        // Any node will do to ask, whichever holds the keys.
        let store = open(config(node.url()).name(name)).await;
        create_again(&store, "a").await;
        stores.push(store);
    }
    let moved_from = nodes.iter().map(|node| node.command::<i64>(&["DBSIZE"])).collect::<Vec<_>>();
    assert_eq!(moved_from.iter().sum::<i64>(), 12, "four keys of each store: {moved_from:?}");
    for (store, node) in stores.iter().zip(nodes.iter().rev()) {
        assert!(store.check().await.unwrap().problems.is_empty(), "{store} {}", node.port());
    }
    r12_a_slot_that_moves_is_followed(&nodes, &stores[0]).await;
}

/// Another process runs the node that has the keys now: what it has is fenced, and nothing is lost.
async fn r12_a_slot_that_moves_is_followed(nodes: &[RedisServer], store: &RedisStore) {
    let before = store.state().await.unwrap();
    let tail = store.tail(before.head).await.unwrap();
    let slot = nodes[0].command::<u64>(&["CLUSTER", "KEYSLOT", "{roa:one}"]).to_string();
    let has_it =
        |node: &&RedisServer| node.command::<Vec<String>>(&["CLUSTER", "GETKEYSINSLOT", &slot, "9"]).len() == 4;
    let from = nodes.iter().find(has_it).unwrap();
    let to = nodes.iter().find(|node| node.port() != from.port()).unwrap();
    let id = |node: &RedisServer| node.command::<String>(&["CLUSTER", "MYID"]);
    to.command::<()>(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]);
    from.command::<()>(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]);
    let keys = from.command::<Vec<String>>(&["CLUSTER", "GETKEYSINSLOT", &slot, "9"]);
    let port = to.port().to_string();
    for (moved, key) in keys.iter().enumerate() {
        if moved == 2 {
            // Half of the keys are here, half there: nobody can serve them.
            let refused = create(store, "between").await.unwrap_err();
            assert!(matches!(refused, CommitError::Unavailable { .. }), "{refused:?}");
        }
        from.command::<String>(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
    }
    for node in [to, from] {
        node.command::<()>(&["CLUSTER", "SETSLOT", &slot, "NODE", &id(to)]);
    }
    create_again(store, "after").await;
    assert!(matches!(end_of(tail).await, TailEnd::Expired { .. }));
    assert_eq!(names(store).await, ["a", "after"]);
    assert_eq!(store.state().await.unwrap().epoch.counter, before.epoch.counter + 1);
    assert!(store.check().await.unwrap().problems.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_names_the_primary_and_the_next_one_after_a_fail_over() {
    let primary = RedisServer::start();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &primary.port().to_string()]);
    let sentinel_directory = tempfile::tempdir().unwrap();
    let (file, port) = (sentinel_directory.path().join("sentinel.conf"), RedisServer::free_port());
    let monitor = format!("sentinel monitor school 127.0.0.1 {} 1\n", primary.port());
    let quick = "sentinel down-after-milliseconds school 500\nsentinel failover-timeout school 3000\n";
    std::fs::write(&file, format!("port {port}\nbind 127.0.0.1\n{monitor}{quick}")).unwrap();
    let mut sentinel = Command::new("redis-server");
    let mut sentinel = sentinel.arg(&file).arg("--sentinel").stdout(std::process::Stdio::null()).spawn().unwrap();
    let address = vec!["127.0.0.1:1".to_owned(), format!("127.0.0.1:{port}")];
    let through = config("redis://localhost".to_owned()).sentinels(address, "school");
    let opening = async {
        loop {
            // The sentinel begins to listen a moment after it was started.
            if let Ok(store) = try_open(through.clone()).await {
                return store;
            }
        }
    };
    let store = tokio::time::timeout(BOUND, opening).await.unwrap();
    create_again(&store, "a").await;
    until("the replica has it", || replica.command::<i64>(&["HLEN", "{roa:default}:objects"]) == 1);
    let listed = |port: u16| {
        let mut ask = Command::new("redis-cli");
        let asked = ask.args(["-p", &port.to_string(), "SENTINEL", "replicas", "school"]).output().unwrap();
        String::from_utf8_lossy(&asked.stdout).contains(&replica.port().to_string())
    };
    until("the sentinel knows the replica", || listed(port));
    let before = store.state().await.unwrap();
    primary.kill();
    create_again(&store, "b").await;
    let after = store.state().await.unwrap();
    assert!(after.epoch != before.epoch, "a promoted replica may lack what was acknowledged");
    assert_eq!(replica.command::<i64>(&["HLEN", "{roa:default}:objects"]), 2);
    sentinel.kill().unwrap();
    sentinel.wait().unwrap();
}
