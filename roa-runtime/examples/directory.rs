//! A directory of real files that is kept as declared: what somebody changes or removes behind the back of the controller
//! is found by the sweep, and put right.
//!
//! `cargo run -p roa-runtime --example directory`

use std::error::Error;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use roa_core::lifecycle::DeleteOptions;
use roa_core::{
    Action, Cancellation, Context, Controller, Drift, DriftKind, KindRegistry, Object, ReconcileError, Reconciler,
    ResourceStore, Scope, Spec, SystemRandom, Timestamp,
};
use roa_runtime::{Clocks, ControllerConfig, Manager, ManagerConfig, Mode, ReconcilerConfig, SystemClock};
use roa_store_memory::{MemoryConfig, MemoryStore};
use serde::{Deserialize, Serialize};
use tokio::fs;
use tokio::sync::mpsc;

/// A file under its object's name.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct File {
    text: String,
}

impl Spec for File {
    type Status = ();
    const GROUP: &'static str = "example.com";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "File";
    const PLURAL: &'static str = "files";
    const SCOPE: Scope = Scope::Cluster;
}

/// Keeps the files of a directory, and tells what it did.
#[derive(Clone)]
struct Keeper(PathBuf, mpsc::UnboundedSender<String>);

impl Keeper {
    async fn read(&self, file: &Object<File>) -> Result<Option<String>, ReconcileError> {
        match fs::read_to_string(self.0.join(&file.metadata.name)).await {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn write(&self, file: &Object<File>, why: &str) -> Result<(), ReconcileError> {
        fs::write(self.0.join(&file.metadata.name), &file.spec.text).await.map_err(|error| failed(&error))?;
        let _ = self.1.send(format!("{} {why}", file.metadata.name)); // nobody may listen any more
        Ok(())
    }
}

fn failed(error: &std::io::Error) -> ReconcileError {
    ReconcileError::Transient { reason: "DirectoryUnavailable", message: error.to_string() }
}

#[async_trait]
impl Controller for Keeper {
    type Resource = Object<File>;

    fn name(&self) -> &'static str {
        "keeper"
    }

    fn finalizer(&self) -> Option<&str> {
        Some("example.com/file")
    }

    async fn reconcile(&self, file: Arc<Object<File>>, _cx: &Context) -> Result<Action, ReconcileError> {
        if self.read(&file).await?.as_ref() != Some(&file.spec.text) {
            self.write(&file, "is written").await?;
        }
        Ok(Action::Done)
    }

    async fn finalize(&self, file: Arc<Object<File>>, _cx: &Context) -> Result<Action, ReconcileError> {
        if self.read(&file).await?.is_some() {
            fs::remove_file(self.0.join(&file.metadata.name)).await.map_err(|error| failed(&error))?;
        }
        let _ = self.1.send(format!("{} is removed", file.metadata.name));
        Ok(Action::Done)
    }
}

#[async_trait]
impl Reconciler for Keeper {
    type Resource = Object<File>;
    type Observed = Option<String>;

    fn name(&self) -> &'static str {
        "inspector"
    }

    async fn observe(&self, file: &Object<File>, _cx: &Context) -> Result<Option<String>, ReconcileError> {
        self.read(file).await
    }

    fn drift(&self, file: &Object<File>, seen: &Option<String>, now: Timestamp) -> Option<Drift> {
        let message = if seen.is_some() { "was changed" } else { "was missing" }.to_owned();
        let drift = Drift { kind: DriftKind::Drifted, reason: "FileDiffers", message };
        // What was just declared is for the controller to write.
        let fresh = now.duration_since(file.metadata.creation_timestamp.unwrap_or(now)) < Duration::from_secs(1);
        (!fresh && seen.as_ref() != Some(&file.spec.text)).then_some(drift)
    }

    async fn correct(&self, file: Arc<Object<File>>, drift: Drift, _cx: &Context) -> Result<Action, ReconcileError> {
        self.write(&file, &drift.message).await?;
        Ok(Action::Done)
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it is what there is to see")]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("motd");
    let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
    let store = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone()));
    let kinds = Arc::new(KindRegistry::new().with::<File>());
    let resources = ResourceStore::new(store.clone(), kinds, clock.clone(), random, "main");
    let config = ManagerConfig::new(Mode::Single);
    let mut manager = Manager::new(store, resources.clone(), Clocks::same(clock), config).await?;
    let (told, mut listener) = mpsc::unbounded_channel();
    let keeper = Keeper(directory.path().to_owned(), told);
    manager.add_controller::<File, _>(keeper.clone(), ControllerConfig::default())?;
    let interval = Duration::from_millis(100);
    manager.add_reconciler::<File, _>(keeper, ReconcilerConfig { interval, ..ReconcilerConfig::default() })?;
    let story = async {
        let files = resources.api::<File>()?;
        files.create(&Object::new("", "motd", File { text: "welcome".into() })).await?;
        while let Some(what) = listener.recv().await {
            println!("{what}");
            match what.as_str() {
                "motd is written" => fs::write(&path, "tampered with").await?,
                "motd was changed" => fs::remove_file(&path).await?,
                "motd was missing" => _ = files.delete("", "motd", &DeleteOptions::default()).await?,
                _ => break,
            }
        }
        Ok::<_, Box<dyn Error>>(())
    };
    tokio::select! { ran = manager.run(Cancellation::never(), || ()) => Ok(ran?), told = story => told }
}
