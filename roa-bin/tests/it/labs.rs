//! Labs seen from outside of `roa`: in the store that it uses, and among the machine's processes.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roa_core::lifecycle::{DeleteOptions, FieldValidation};
use roa_core::{DynamicObject, Error, KindRegistry, ListOptions, ResourceStore, Store, SystemRandom};
use roa_lab::{Lab, LabInstance};
use roa_runtime::{SystemClock, event_kind};
use roa_store_redis::{RedisConfig, RedisStore};
use roa_store_sqlite::{SqliteConfig, SqliteStore};

/// A store that is used by a `roa run`; opened anew for each look.
pub enum Address {
    Sqlite(PathBuf),
    Redis(String),
}

impl Address {
    fn with<T, F: Future<Output = T>>(&self, work: impl FnOnce(ResourceStore) -> F) -> T {
        let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let kinds = Arc::new(roa_lab::kinds(KindRegistry::new()).with_kind(event_kind()));
            let over =
                |store: Arc<dyn Store>| ResourceStore::new(store, kinds, clock.clone(), random.clone(), "a-user");
            match self {
                Self::Sqlite(path) => {
                    let config = SqliteConfig::new(path);
                    let store = Arc::new(SqliteStore::open(config, clock.clone(), random.clone()).await.unwrap());
                    let done = work(over(store.clone())).await;
                    store.close().await;
                    done
                }
                Self::Redis(url) => {
                    let config = RedisConfig::new(url).create(false);
                    let store = Arc::new(RedisStore::open(config, clock.clone(), random.clone()).await.unwrap());
                    let done = work(over(store.clone())).await;
                    store.close().await;
                    done
                }
            }
        })
    }

    /// All labs, by name.
    pub fn labs(&self) -> BTreeMap<String, Lab> {
        self.with(|resources| async move {
            let (labs, _) = resources.api::<LabInstance>().unwrap().list(&ListOptions::everywhere()).await.unwrap();
            labs.into_iter().map(|lab| (lab.metadata.name.clone(), lab)).collect()
        })
    }

    /// Asks a lab to go, if it is there.
    pub fn delete(&self, namespace: &str, name: &str) {
        self.with(|resources| async move {
            let labs = resources.api::<LabInstance>().unwrap();
            match labs.delete(namespace, name, &DeleteOptions::default()).await {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => panic!("{namespace}/{name}: {error}"),
            }
        });
    }

    pub fn apply(&self, manifests: &[serde_json::Value]) {
        self.with(|resources| async move {
            for manifest in manifests {
                let object = DynamicObject::from_json(manifest.clone()).unwrap();
                resources.apply(object, FieldValidation::Strict).await.unwrap();
            }
        });
    }

    /// All objects of a kind, by the name of the kind, as JSON.
    pub fn objects(&self, kind: &str) -> Vec<serde_json::Value> {
        self.with(|resources| async move {
            let kind = resources.kinds().by_name(kind).unwrap();
            let list = resources.list(kind, &ListOptions::everywhere()).await.unwrap();
            let object = |entry: &Arc<roa_core::Entry>| entry.object().unwrap().to_dynamic().unwrap();
            list.entries.iter().map(|entry| serde_json::to_value(object(entry)).unwrap()).collect()
        })
    }
}

/// A process that runs a lab, or a lab's shim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabProcess {
    /// The lab's.
    pub uid: String,
    pub is_shim: bool,
    pub pid: i32,
}

/// The processes that run labs, or keep them, for `roa` in the directory `root` and below: shims are known by the lab's
/// directory in their arguments, labs by where they work.
pub fn processes_below(root: &Path) -> Vec<LabProcess> {
    // What is not there yet has no labs.
    let Ok(root) = root.canonicalize() else { return Vec::new() };
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut found: Vec<LabProcess> = pids.filter_map(|pid| lab_process(&root, pid)).collect();
    found.sort_unstable();
    found
}

fn lab_process(root: &Path, pid: i32) -> Option<LabProcess> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mark = |name: &str| {
        let entries = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        entries.filter_map(|entry| entry.strip_prefix(name).map(str::to_owned)).next()
    };
    if let Some(uid) = mark("ROA_LAB_SHIM=") {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let is_ours =
            line.split(|byte| *byte == 0).any(|part| Path::new(&*String::from_utf8_lossy(part)).starts_with(root));
        return is_ours.then_some(LabProcess { uid, is_shim: true, pid });
    }
    let is_ours = std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|place| place.starts_with(root));
    let uid = mark("ROA_LAB_UID=")?;
    is_ours.then_some(LabProcess { uid, is_shim: false, pid })
}

/// Ends all that is left of labs.
pub fn kill_all_below(root: &Path) {
    // Twice: what was begun while the first went round.
    for process in processes_below(root).into_iter().chain(processes_below(root)) {
        let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
    }
}
