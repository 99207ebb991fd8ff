//! `Controller`: a finalizer, a status that is applied, and the end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::finalizer::{Event, finalizer};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::kinds::{Robot, robot, robots};
use crate::support::{BOUND, Backend, Roa};

const FINALIZER: &str = "example.com/robots";

type Failure = kube::runtime::finalizer::Error<kube::Error>;

struct Context {
    robots: Api<Robot>,
    cleaned: mpsc::UnboundedSender<String>,
}

async fn reconcile(robot: Arc<Robot>, context: Arc<Context>) -> Result<Action, Failure> {
    let robots = &context.robots;
    finalizer(robots, FINALIZER, robot, |event| async {
        match event {
            Event::Apply(robot) => build(robots, &robot).await,
            Event::Cleanup(robot) => {
                context.cleaned.send(robot.name_any()).unwrap();
                Ok(Action::await_change())
            }
        }
    })
    .await
}

async fn build(robots: &Api<Robot>, robot: &Robot) -> Result<Action, kube::Error> {
    let status = json!({
        "apiVersion": "example.com/v1", "kind": "Robot", "status": { "built": robot.spec.arms },
    });
    let apply = PatchParams::apply("builder").force();
    robots.patch_status(&robot.name_any(), &apply, &Patch::Apply(status)).await?;
    Ok(Action::await_change())
}

async fn controlled(config: watcher::Config) {
    let roa = Roa::serve(Backend::Sqlite);
    let client = roa.client();
    let robots = robots(&client).await;
    let (cleaned, mut cleanings) = mpsc::unbounded_channel();
    let context = Arc::new(Context { robots: robots.clone(), cleaned });
    let again = |_: Arc<Robot>, _: &Failure, _: Arc<Context>| Action::requeue(Duration::from_millis(100));
    let controller = Controller::new(robots.clone(), config).run(reconcile, again, context).for_each(async |_| ());
    let story = async {
        for number in 0..5 {
            robots.create(&PostParams::default(), &robot(&format!("r{number}"), number + 1)).await.unwrap();
        }
        for number in 0..5 {
            let name = format!("r{number}");
            let built = |robot: Option<&Robot>| {
                robot.and_then(|robot| robot.status.as_ref()).is_some_and(|status| status.built == number + 1)
            };
            let robot = await_condition(robots.clone(), &name, built).await.unwrap().unwrap();
            assert_eq!(robot.finalizers(), [FINALIZER]);
            assert_eq!(robot.metadata.generation, Some(1), "a status is no new wish");
            assert!(robots.delete(&name, &DeleteParams::default()).await.unwrap().is_left(), "it waits");
            let uid = robot.uid().unwrap();
            await_condition(robots.clone(), &name, conditions::is_deleted(&uid)).await.unwrap();
            assert_eq!(cleanings.recv().await.unwrap(), name);
        }
    };
    tokio::select! {
        () = controller => panic!("the controller ended"),
        done = timeout(BOUND, story) => done.expect("all in time"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_rs_runs_a_controller_with_a_finalizer_and_an_applied_status() {
    controlled(watcher::Config::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_rs_runs_a_controller_over_streaming_lists() {
    controlled(watcher::Config::default().streaming_lists()).await;
}
