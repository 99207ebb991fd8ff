//! What the demo does from outside: it visits a lab's endpoint, and kills a lab's process as an accident would.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::Empty;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpStream;

/// How long an endpoint may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The status with which an endpoint answers.
pub(super) async fn visit(endpoint: &str) -> anyhow::Result<u16> {
    tokio::time::timeout(PATIENCE, get(endpoint)).await.context("failed to get an answer in time")?
}

async fn get(endpoint: &str) -> anyhow::Result<u16> {
    let uri: Uri = endpoint.parse().context("failed to read the endpoint as a URL")?;
    let authority = uri.authority().context("failed to find a host in the endpoint")?.clone();
    let stream = TcpStream::connect(authority.as_str()).await.context("failed to connect")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request =
        Request::get(uri.path()).header("host", authority.as_str()).body(Empty::<hyper::body::Bytes>::new())?;
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    let response = tokio::select! {
        response = &mut answer => response,
        // A server may close the connection with its answer.
        _ = connection => answer.await,
    };
    Ok(response?.status().as_u16())
}

/// Kills the process that runs for the lab with this uid; it is found in the lab's own record.
pub(super) async fn kill_process_of(data_dir: &Path, uid: &str) -> anyhow::Result<i32> {
    let record = data_dir.join("labs").join(uid).join("state.json");
    let bytes = tokio::fs::read(&record).await.with_context(|| format!("failed to read {}", record.display()))?;
    let state: serde_json::Value = serde_json::from_slice(&bytes)?;
    let pid = state.pointer("/child/process/pid").and_then(serde_json::Value::as_i64);
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).context("failed to find the process in the lab's record")?;
    kill(Pid::from_raw(pid), Signal::SIGKILL).with_context(|| format!("failed to kill process {pid}"))?;
    Ok(pid)
}
