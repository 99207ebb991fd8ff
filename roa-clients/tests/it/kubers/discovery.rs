//! Discovery: what there is, asked in both ways.

use kube::Discovery;
use kube::discovery::{Scope, verbs};

use crate::support::{Backend, Roa};

#[tokio::test(flavor = "multi_thread")]
async fn kube_rs_discovers_kinds_in_both_ways() {
    let roa = Roa::serve(Backend::Memory);
    let client = roa.client();
    super::kinds::robots(&client).await;
    let legacy = Discovery::new(client.clone()).run().await.unwrap();
    let aggregated = Discovery::new(client.clone()).run_aggregated().await.unwrap();
    for discovery in [&legacy, &aggregated] {
        for (group, kind) in [("lab.neuroglia.com", "LabInstance"), ("example.com", "Robot")] {
            let (resource, capabilities) = discovery.get(group).unwrap().recommended_kind(kind).unwrap();
            assert_eq!((resource.kind.as_str(), &capabilities.scope), (kind, &Scope::Namespaced));
            for verb in [verbs::GET, verbs::LIST, verbs::WATCH, verbs::PATCH, verbs::DELETE_COLLECTION] {
                assert!(capabilities.supports_operation(verb), "{kind} {verb}");
            }
            assert!(capabilities.subresources.iter().any(|(subresource, _)| subresource.plural.ends_with("status")));
        }
    }
    let version = client.apiserver_version().await.unwrap();
    assert_eq!((version.major.as_str(), version.minor.as_str()), ("1", "32"));
}
