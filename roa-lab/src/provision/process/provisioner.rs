//! [`ProcessProvisioner`]: labs as processes of this machine.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{self, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{interval, timeout};

use super::blocking::blocking;
use super::launch::Launch;
use super::probe::{Looks, probe};
use super::procfs::{check_supported, marked_below};
use super::shims::Shims;
use super::sight::{Running, Sight, intact, look};
use super::stop::Stops;
use super::{LabDirectory, ProcessConfig};
use crate::provision::{LabIdentity, Observation, ProvisionError, ProvisionRequest, Provisioner, StopProgress};

/// How long looking at files and processes may take.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// How long one step of a stop may keep its caller waiting.
const STOP_STEP_LIMIT: Duration = Duration::from_secs(2);
/// How often to see whether another is through with a lab: no lock tells.
const BUSY_INTERVAL: Duration = Duration::from_millis(10);
const START: &str = "start a lab";
/// How long a uid may be.
const MAX_UID: usize = 63;

/// Runs labs as processes of this machine, each under a shim that outlives this program.
///
/// Dropping it ends no lab: a new one with the same data directory finds them all.
///
/// ```no_run
/// use roa_lab::provision::{ProcessConfig, ProcessProvisioner, ProvisionError};
/// let roa = std::env::current_exe().expect("this program has a path");
/// let mut config = ProcessConfig::new("/var/lib/roa", roa);
/// config.max_labs = 50;
/// let provisioner = ProcessProvisioner::new(config)?;
/// # Ok::<(), ProvisionError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ProcessProvisioner {
    labs: Arc<Labs>,
}

/// What all handles share. Its methods block.
#[derive(Debug)]
pub(super) struct Labs {
    pub(super) config: ProcessConfig,
    pub(super) path: PathBuf,
    pub(super) shims: Shims,
    pub(super) stops: Stops,
    looks: Looks,
    admission: Mutex<()>,
}

impl ProcessProvisioner {
    /// A provisioner for the labs of a data directory, which is made when the first lab starts.
    ///
    /// # Errors
    /// When this system does not say which processes run.
    pub fn new(mut config: ProcessConfig) -> Result<Self, ProvisionError> {
        check_supported().map_err(|error| ProvisionError::Unsupported { error })?;
        // Shims run elsewhere than we do.
        let absolute = |path: &PathBuf| path::absolute(path).map_err(ProvisionError::io("find", path));
        config.data_dir = absolute(&config.data_dir)?;
        config.roa_binary = absolute(&config.roa_binary)?;
        // For a moment a lab may have two shims, of which one finds the other and ends.
        let shims = Shims::new(config.max_labs.saturating_mul(2));
        let path = config.data_dir.join("labs");
        let (stops, looks, admission) = (Stops::default(), Looks::default(), Mutex::default());
        Ok(Self { labs: Arc::new(Labs { config, path, shims, stops, looks, admission }) })
    }

    /// What is kept of a lab's output, oldest first; `None` if there is no such lab.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn logs(&self, uid: &str) -> Result<Option<String>, ProvisionError> {
        let directory = self.labs.directory(uid)?;
        blocking("read a lab's log", LOOK_LIMIT, move || {
            if !directory.exists() {
                return Ok(None);
            }
            let output = directory.output().map_err(ProvisionError::io("read the log in", directory.path()))?;
            Ok(Some(String::from_utf8_lossy(&output).into_owned()))
        })
        .await
    }

    /// Runs a step of `Labs` where it may block.
    async fn run<T: Send + 'static>(
        &self,
        action: &'static str,
        limit: Duration,
        step: impl FnOnce(&Labs) -> Result<T, ProvisionError> + Send + 'static,
    ) -> Result<T, ProvisionError> {
        let labs = Arc::clone(&self.labs);
        blocking(action, limit, move || step(&labs)).await
    }

    async fn look(&self, uid: &str) -> Result<Sight, ProvisionError> {
        let uid = uid.to_owned();
        self.run("look at a lab", LOOK_LIMIT, move |labs| labs.look(&labs.directory(&uid)?, &uid)).await
    }

    /// A lab that answered is ready if it is still the same that runs: else another program has taken its port.
    async fn confirm(&self, uid: &str, running: Running) -> Result<Observation, ProvisionError> {
        match self.look(uid).await? {
            Sight::Running(now) if now.child == running.child => {}
            other => return Ok(without_probe(other)),
        }
        if !running.was_ready {
            let directory = self.labs.directory(uid)?;
            let path = directory.path().to_owned();
            let mark = move || directory.mark_ready().map_err(ProvisionError::io("mark as ready", &path));
            blocking("mark a lab as ready", LOOK_LIMIT, mark).await?;
        }
        self.labs.looks.forget(uid);
        Ok(Observation::Ready { endpoint: running.endpoint() })
    }
}

#[async_trait]
impl Provisioner for ProcessProvisioner {
    fn name(&self) -> &str {
        "process"
    }

    /// A command that ended or does not answer is its template's affair; one that no process was had for is ours.
    fn is_to_blame(&self, seen: &Observation) -> bool {
        matches!(seen, Observation::Absent | Observation::Exited { code: None, signal: None, .. })
    }

    async fn start(&self, request: &ProvisionRequest) -> Result<(), ProvisionError> {
        let limit = self.labs.config.start_timeout;
        let started = async {
            let mut ticks = interval(BUSY_INTERVAL);
            loop {
                ticks.tick().await;
                let request = request.clone();
                match self.run(START, limit, move |labs| labs.launch(&request)).await? {
                    Launch::Begun | Launch::Runs => return Ok(()),
                    Launch::Busy => {}
                }
            }
        };
        timeout(limit, started).await.unwrap_or(Err(ProvisionError::Deadline { action: START, limit }))
    }

    async fn observe(&self, request: &ProvisionRequest) -> Result<Observation, ProvisionError> {
        let uid = &request.lab.uid;
        let running = match self.look(uid).await? {
            Sight::Running(running) => running,
            other => return Ok(without_probe(other)),
        };
        if !running.was_ready && !self.labs.looks.is_due(uid, running.readiness.period.0) {
            return Ok(Observation::Starting);
        }
        match probe(&running.readiness, running.address).await {
            Ok(()) => self.confirm(uid, running).await,
            Err(reason) if running.was_ready => Ok(Observation::Unhealthy { endpoint: running.endpoint(), reason }),
            Err(_) => Ok(Observation::Starting),
        }
    }

    async fn stop(&self, lab: &LabIdentity) -> Result<StopProgress, ProvisionError> {
        self.labs.looks.forget(&lab.uid);
        let lab = lab.clone();
        match self.run("stop a lab", STOP_STEP_LIMIT, move |labs| labs.stop(&lab)).await {
            // Such as the removal of very many files: it goes on, and the next call sees how far it is.
            Err(ProvisionError::Deadline { .. }) => Ok(StopProgress::Stopping),
            result => result,
        }
    }

    async fn list(&self) -> Result<Vec<LabIdentity>, ProvisionError> {
        self.run("list labs", LOOK_LIMIT, Labs::list).await
    }
}

/// What a sight says by itself.
fn without_probe(sight: Sight) -> Observation {
    match sight {
        Sight::Absent => Observation::Absent,
        Sight::Starting | Sight::Running(_) => Observation::Starting,
        Sight::Ended(exit) => Observation::Exited { code: exit.code, signal: exit.signal, message: exit.message },
    }
}

impl Labs {
    /// Where a lab's directory is or would be.
    pub(super) fn directory(&self, uid: &str) -> Result<LabDirectory, ProvisionError> {
        if is_uid(uid) {
            Ok(LabDirectory::new(self.path.join(uid)))
        } else {
            Err(ProvisionError::Uid { uid: uid.chars().take(MAX_UID).collect() })
        }
    }

    /// What is there of a lab.
    pub(super) fn look(&self, directory: &LabDirectory, uid: &str) -> Result<Sight, ProvisionError> {
        self.shims.reap();
        look(directory, uid, self.shims.find(uid)).map_err(ProvisionError::io("look at", directory.path()))
    }

    pub(super) fn one_admission_at_a_time(&self) -> MutexGuard<'_, ()> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self) -> Result<Vec<LabIdentity>, ProvisionError> {
        self.shims.reap();
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            entries => Some(entries.map_err(ProvisionError::io("list", &self.path))?),
        };
        let names = entries.into_iter().flatten().map(|entry| entry.map(|entry| entry.file_name()));
        let names: Vec<_> = names.collect::<io::Result<_>>().map_err(ProvisionError::io("list", &self.path))?;
        let uids = names.into_iter().filter_map(|name| name.into_string().ok()).filter(|name| is_uid(name));
        let mut uids: BTreeSet<String> = uids.collect();
        uids.extend(self.uids_without_directory()?);
        uids.into_iter().map(|uid| self.identify(uid)).collect()
    }

    /// The labs of this data directory that run though somebody took their directory away.
    fn uids_without_directory(&self) -> Result<impl Iterator<Item = String>, ProvisionError> {
        let uids = marked_below(&self.path).map_err(ProvisionError::io("look for the processes of", &self.path))?;
        Ok(uids.into_iter().filter(|uid| is_uid(uid)))
    }

    /// Whose directory it is, as far as it is known.
    fn identify(&self, uid: String) -> Result<LabIdentity, ProvisionError> {
        let directory = self.directory(&uid)?;
        let record = intact(&directory, directory.record()).map_err(ProvisionError::io("read", directory.path()))?;
        let unknown = LabIdentity { uid, namespace: String::new(), name: String::new() };
        Ok(record.map_or(unknown.clone(), |record| LabIdentity { uid: unknown.uid, ..record.lab }))
    }
}

/// Whether it can name a directory and nothing else.
pub(super) fn is_uid(uid: &str) -> bool {
    (1..=MAX_UID).contains(&uid.len()) && uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provisioner(data_dir: &path::Path) -> ProcessProvisioner {
        ProcessProvisioner::new(ProcessConfig::new(data_dir, "/bin/false")).unwrap()
    }

    #[test]
    fn t11_a_uid_names_a_directory_of_ours_or_is_refused() {
        let labs = provisioner(path::Path::new("/data")).labs;
        let uid = "6f1c2a2e-6f4e-4b3e-9f63-0123456789ab";
        assert_eq!(labs.directory(uid).unwrap().path(), path::Path::new("/data/labs").join(uid));
        for uid in ["", ".", "..", "../x", "a/b", "a\0b", "a b", "ä", &"x".repeat(64)] {
            let error = labs.directory(uid).unwrap_err();
            assert!(matches!(error, ProvisionError::Uid { .. }), "{uid:?}: {error}");
        }
    }

    #[tokio::test]
    async fn an_empty_data_directory_has_no_labs() {
        let data_dir = tempfile::tempdir().unwrap();
        let provisioner = provisioner(data_dir.path());
        assert_eq!(provisioner.list().await.unwrap(), []);
        assert_eq!(provisioner.logs("1").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_directory_that_nobody_knows_is_listed_and_goes_with_a_stop() {
        let data_dir = tempfile::tempdir().unwrap();
        let provisioner = provisioner(data_dir.path());
        let unknown = data_dir.path().join("labs/77");
        fs::create_dir_all(&unknown).unwrap();
        fs::create_dir_all(data_dir.path().join("labs/not ours")).unwrap();

        let listed = provisioner.list().await.unwrap();
        assert_eq!(listed.iter().map(|lab| lab.uid.as_str()).collect::<Vec<_>>(), ["77"]);
        assert_eq!(provisioner.stop(&listed[0]).await.unwrap(), StopProgress::Gone);
        assert!(!unknown.exists() && data_dir.path().join("labs/not ours").exists());
        assert_eq!(provisioner.stop(&listed[0]).await.unwrap(), StopProgress::Gone, "what is absent is gone");
    }
}
