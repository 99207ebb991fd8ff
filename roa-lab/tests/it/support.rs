//! A place for labs that are processes, which leaves none behind, also when a test fails.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roa_core::HumanDuration;
use roa_lab::provision::{
    LabIdentity, Observation, ProcessConfig, ProcessProvisioner, ProcessTemplate, ProvisionRequest, Provisioner,
    Readiness, StopProgress,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A data directory whose labs end with it.
pub struct Place {
    data_dir: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { data_dir: tempfile::Builder::new().prefix("lab-").tempdir().unwrap() }
    }

    pub fn path(&self) -> PathBuf {
        self.data_dir.path().to_owned()
    }

    pub fn config(&self) -> ProcessConfig {
        ProcessConfig::new(self.data_dir.path(), roa())
    }

    pub fn provisioner(&self) -> ProcessProvisioner {
        ProcessProvisioner::new(self.config()).unwrap()
    }

    /// A lab of this place. No other place has one with the same uid.
    pub fn lab(&self, name: &str) -> LabIdentity {
        let unique = self.data_dir.path().file_name().unwrap().to_str().unwrap();
        LabIdentity { uid: format!("{unique}-{name}"), namespace: "labs".into(), name: name.into() }
    }

    pub fn lab_dir(&self, lab: &LabIdentity) -> PathBuf {
        self.data_dir.path().join("labs").join(&lab.uid)
    }

    pub fn json(&self, lab: &LabIdentity, file: &str) -> Option<Value> {
        let text = fs::read(self.lab_dir(lab).join(file)).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    /// The pid of the lab's process, when its shim has written it down.
    pub async fn child(&self, lab: &LabIdentity) -> i32 {
        eventually("the lab has begun", async || pid(&self.json(lab, "state.json")?["child"]["process"])).await
    }

    /// The pid of the lab's shim, when it has written it down.
    pub async fn shim(&self, lab: &LabIdentity) -> i32 {
        eventually("the shim has begun", async || pid(&self.json(lab, "state.json")?["shim"])).await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let unique = self.data_dir.path().file_name().unwrap().to_str().unwrap().to_owned();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut left = marked(&format!("={unique}"));
            left.extend(processes_in(self.data_dir.path()));
            if left.is_empty() || Instant::now() > deadline {
                return;
            }
            for pid in left {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            std::thread::yield_now();
        }
    }
}

fn pid(process: &Value) -> Option<i32> {
    i32::try_from(process["pid"].as_i64()?).ok()
}

/// The processes in whose environment is a mark of a lab (or of its shim) with this in it.
fn marked(mark: &str) -> Vec<i32> {
    let is_marked = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut variables = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        variables.any(|variable| variable.starts_with("ROA_LAB_") && variable.contains(mark))
    };
    every_pid().filter(is_marked).collect()
}

/// The living processes of a lab, without its shims.
pub fn processes_of(lab: &LabIdentity) -> Vec<i32> {
    marked(&format!("UID={}", lab.uid))
}

/// The living shims of a lab.
pub fn shims_of(lab: &LabIdentity) -> Vec<i32> {
    marked(&format!("SHIM={}", lab.uid))
}

/// The living processes that work in a lab's directory, marked or not.
pub fn processes_in(directory: &Path) -> Vec<i32> {
    let works_there =
        |pid: &i32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|path| path.starts_with(directory));
    every_pid().filter(works_there).collect()
}

fn every_pid() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

pub fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// The program that plays `roa`.
pub fn roa() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let roa = test.parent().unwrap().parent().unwrap().join("examples/shim");
    assert!(roa.is_file(), "{} is not built: run `cargo build -p roa-lab --examples`", roa.display());
    roa
}

/// As often as a test looks.
fn often() -> Readiness {
    Readiness { period: HumanDuration(Duration::from_millis(10)), ..Readiness::default() }
}

/// A template that runs this shell script.
pub fn script(text: &str) -> ProcessTemplate {
    let command = ["sh", "-c", text].map(str::to_owned).to_vec();
    ProcessTemplate { command, readiness: often(), ..ProcessTemplate::default() }
}

/// A template that serves its own directory.
pub fn site(content: &str) -> ProcessTemplate {
    let command = ["{roa}", "static-site", "--dir", "{dir}", "--port", "{port}"].map(str::to_owned).to_vec();
    ProcessTemplate {
        command,
        files: BTreeMap::from([("index.html".to_owned(), content.to_owned())]),
        readiness: Readiness { http_get: Some("/".to_owned()), ..often() },
        ..ProcessTemplate::default()
    }
}

pub fn request(lab: &LabIdentity, process: ProcessTemplate) -> ProvisionRequest {
    let environment = BTreeMap::new();
    ProvisionRequest { lab: lab.clone(), process: Some(process), simulated: None, environment, attempt: 0 }
}

/// Waits until there is something to return.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut ticks = interval(Duration::from_millis(10));
    let found = timeout(PATIENCE, async {
        loop {
            ticks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    });
    found.await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Waits until the lab is ready, and says where.
pub async fn ready(provisioner: &ProcessProvisioner, request: &ProvisionRequest) -> String {
    eventually("the lab is ready", async || match provisioner.observe(request).await.unwrap() {
        Observation::Ready { endpoint } => Some(endpoint),
        Observation::Starting => None,
        other => panic!("expected readiness, observed {other:?}"),
    })
    .await
}

/// Waits until the lab has ended, and says how.
pub async fn exited(
    provisioner: &ProcessProvisioner,
    request: &ProvisionRequest,
) -> (Option<i32>, Option<i32>, String) {
    eventually("the lab has ended", async || match provisioner.observe(request).await.unwrap() {
        Observation::Exited { code, signal, message } => Some((code, signal, message)),
        _ => None,
    })
    .await
}

/// Stops the lab and waits until it is gone.
pub async fn stopped(provisioner: &ProcessProvisioner, lab: &LabIdentity) {
    eventually("the lab is gone", async || (provisioner.stop(lab).await.unwrap() == StopProgress::Gone).then_some(()))
        .await;
}

/// Sends a request as it is, and hands back the whole answer.
pub async fn http(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("the server answers").unwrap();
    answer
}

/// The answer to a GET of `/`, from an endpoint as a provisioner gives it.
pub async fn get(endpoint: &str) -> String {
    let address = endpoint.strip_prefix("http://").expect("an endpoint over HTTP").parse().unwrap();
    http(address, "GET / HTTP/1.1\r\nhost: test\r\n\r\n").await
}

/// A process that dies with the test.
pub struct Mortal(std::process::Child);

impl Mortal {
    pub fn new(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    /// In clock ticks since the machine started.
    pub fn start_time(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(19).unwrap().parse().unwrap()
    }

    pub fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
