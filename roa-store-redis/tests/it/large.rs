//! Lists of large objects: no answer is so large that it does not come in time.

use roa_core::{KeyPrefix, ListRequest, Page, Store, Value};
use roa_store_redis::test_util::RedisServer;

use crate::support::{config, key, names, open, txn};

const OBJECTS: usize = 48;

/// How many scripts the server has run.
fn scripts(server: &RedisServer) -> u64 {
    let stats = server.command::<String>(&["INFO", "commandstats"]);
    let calls = stats.lines().filter(|line| line.starts_with("cmdstat_eval")).map(|line| {
        let calls = line.split(['=', ',']).nth(1).unwrap();
        calls.parse::<u64>().unwrap()
    });
    calls.sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_a_list_of_large_objects_is_read_a_few_at_a_time_and_is_whole() {
    let server = RedisServer::start();
    let store = open(config(server.unix_url())).await;
    let all: Vec<_> = (0..OBJECTS).map(|number| format!("{number:02}")).collect();
    for name in &all {
        store.commit(txn().create(key(name), Value::opaque(vec![b'x'; 1 << 20]))).await.unwrap();
    }
    let before = scripts(&server);
    assert_eq!(names(&store).await, all);
    let read = scripts(&server) - before;
    assert!(read >= 3, "{OBJECTS} MiB in {read} answers");
    for limit in [5, 16, 20, OBJECTS] {
        let (mut request, mut found) = (ListRequest::new(KeyPrefix::everything()), Vec::new());
        request.limit = limit.try_into().ok();
        loop {
            let Page { entries, next, .. } = store.list(request.clone()).await.unwrap();
            assert!(entries.len() == limit || next.is_none() && entries.len() <= limit);
            found.extend(entries.iter().map(|entry| entry.key.name().to_owned()));
            let Some(next) = next else { break };
            request = request.resume(next);
        }
        assert_eq!(found, all, "{limit}");
    }
}
