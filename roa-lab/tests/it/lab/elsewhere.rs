//! Labs on a node whose process does not handle them: the process that does has the record, the node the lab. DECISIONS 29.

use roa_lab::provision::LabIdentity;
use roa_lab::{LabController, LabState, NodeAgent, conditions};
use roa_runtime::Territory;

use super::world::{NAMESPACE, World, condition, seconds};

/// A lab on node-1, whose record is node-2's from then on, and who acts on node-1.
struct Apart {
    world: World,
    agent: NodeAgent,
    uid: String,
}

impl Apart {
    /// The lab is being brought up.
    async fn new() -> Self {
        let world = World::new();
        world.course().await;
        let uid = world.lab("a").await.metadata.uid;
        world.run("a").await;
        Self::moved(world, uid)
    }

    /// The lab is ready.
    async fn ready() -> Self {
        let world = World::new();
        let uid = world.ready_lab("a").await.metadata.uid;
        Self::moved(world, uid)
    }

    fn moved(mut world: World, uid: String) -> Self {
        let agent = LabController::new(world.settings.clone()).agent(Territory::nothing());
        world.settings.node = "node-2".into();
        world.restart();
        Self { world, agent, uid }
    }

    async fn look(&self) {
        self.agent.look(&self.world.context("lab-node-agent")).await.unwrap();
    }

    async fn sweep(&self) {
        self.agent.sweep(&self.world.context("lab-node-agent")).await.unwrap();
    }

    async fn state(&self) -> LabState {
        self.world.status("a").await.state()
    }
}

#[tokio::test]
async fn a_lab_that_is_to_go_is_ended_where_it_is_and_let_go_where_its_record_is() {
    let apart = Apart::ready().await;
    apart.world.delete("a").await;
    apart.look().await;
    assert!(apart.world.fake.exists(&apart.uid), "its end begins where its record is");
    apart.world.run("a").await;
    assert!(apart.world.status("a").await.message.contains("waits for node \"node-1\""));
    apart.look().await;
    assert!(!apart.world.fake.exists(&apart.uid));
    assert_eq!((apart.state().await, apart.world.status("a").await.allocation), (LabState::Deleted, None));
    apart.world.run("a").await;
    assert!(apart.world.find("a").await.is_none());
}

#[tokio::test]
async fn a_lab_whose_time_is_over_goes_too() {
    let apart = Apart::ready().await;
    apart.world.run_after(seconds(3600), "a").await;
    apart.look().await;
    apart.world.run("a").await;
    assert!(apart.world.find("a").await.is_none() && !apart.world.fake.exists(&apart.uid));
}

#[tokio::test]
async fn a_lab_becomes_ready_where_it_is() {
    let apart = Apart::new().await;
    apart.look().await;
    assert_eq!(apart.state().await, LabState::Provisioning);
    apart.world.fake.answers(&apart.uid);
    apart.world.run("a").await;
    assert_eq!(apart.state().await, LabState::Provisioning, "nobody else sees that");
    apart.look().await;
    assert_eq!((apart.state().await, apart.world.fake.begun(&apart.uid)), (LabState::Ready, 1));
    assert_eq!(apart.world.events("lab-node-agent"), ["Ready"]);
}

#[tokio::test]
async fn an_attempt_that_failed_is_followed_by_another_where_it_is() {
    let apart = Apart::new().await;
    apart.world.fake.exits(&apart.uid, "boom");
    apart.look().await;
    assert_eq!((apart.world.status("a").await.retries, apart.world.fake.begun(&apart.uid)), (1, 1));
    apart.look().await;
    assert_eq!(apart.world.fake.begun(&apart.uid), 1, "not before its time");
    apart.world.clock.advance(seconds(60));
    apart.look().await;
    apart.world.fake.answers(&apart.uid);
    apart.look().await;
    assert_eq!((apart.state().await, apart.world.fake.begun(&apart.uid)), (LabState::Ready, 2));
}

#[tokio::test]
async fn a_ready_lab_is_watched_and_mended_where_it_is() {
    let apart = Apart::ready().await;
    apart.sweep().await;
    assert!(apart.world.events("lab-node-agent").is_empty());
    apart.world.fake.exits(&apart.uid, "boom");
    assert!(apart.world.found().await.is_empty(), "nobody else sees that");
    apart.sweep().await;
    let (degraded, reason, _) = condition(&apart.world.status("a").await, conditions::DEGRADED);
    assert!(degraded && reason == "ProcessGone", "{reason}");
    apart.world.run("a").await;
    assert_eq!(apart.world.fake.begun(&apart.uid), 1);
    apart.look().await;
    apart.world.fake.answers(&apart.uid);
    apart.look().await;
    assert!(!apart.world.status("a").await.is_degraded() && apart.world.fake.begun(&apart.uid) == 2);
}

#[tokio::test]
async fn a_failed_lab_is_ended_where_it_is_before_it_is_tried_anew_anywhere() {
    let apart = Apart::new().await;
    apart.world.clock.advance(seconds(301));
    assert_eq!(apart.world.found().await, [("a".to_owned(), "ProvisioningTimeout")]);
    apart.look().await;
    assert!(apart.world.fake.exists(&apart.uid), "it is kept for its owner to look at");
    apart.world.edit("a", |spec| spec.duration = Some(roa_lab::Written::new("2h"))).await;
    apart.world.run("a").await;
    assert_eq!(apart.state().await, LabState::Failed);
    apart.look().await;
    assert!(apart.state().await == LabState::Pending && !apart.world.fake.exists(&apart.uid));
    apart.world.run("a").await;
    assert_eq!(apart.world.status("a").await.allocation.unwrap().node, "node-2");
}

#[tokio::test]
async fn what_is_no_labs_is_ended_by_a_process_that_handles_none() {
    let apart = Apart::ready().await;
    let stray = LabIdentity { uid: "stray".into(), namespace: NAMESPACE.into(), name: "stray".into() };
    apart.world.fake.appears(stray);
    apart.sweep().await;
    assert_eq!(apart.world.fake.uids(), std::slice::from_ref(&apart.uid));
}

#[tokio::test]
async fn labs_that_its_process_handles_or_that_are_on_other_nodes_are_not_the_agents() {
    let apart = Apart::new().await;
    apart.world.fake.answers(&apart.uid);
    let mut settings = apart.world.settings.clone();
    let there = LabController::new(settings.clone()).agent(Territory::nothing());
    settings.node = "node-1".into();
    let owner = LabController::new(settings).agent(Territory::everything());
    for agent in [there, owner] {
        let cx = apart.world.context("lab-node-agent");
        agent.look(&cx).await.unwrap();
        agent.sweep(&cx).await.unwrap();
        assert_eq!(apart.state().await, LabState::Provisioning);
    }
}
