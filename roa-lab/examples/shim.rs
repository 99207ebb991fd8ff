//! What a program must offer so that labs can be processes: the two commands that it is started with again, as
//! `lab-shim --dir DIR` and `static-site --dir DIR --port PORT`.
//!
//! `serve --data DIR --uid UID` starts a lab and then does nothing more: kill it, and the lab still answers.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::pending;
use std::path::Path;

use roa_lab::provision::{
    LabIdentity, ProcessConfig, ProcessProvisioner, ProcessTemplate, ProvisionRequest, Provisioner, Readiness,
    run_shim, serve_static,
};
use tokio::runtime::Builder;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["lab-shim", "--dir", directory] => {
            run_shim(Path::new(directory))?;
            Ok(())
        }
        ["static-site", "--dir", directory, "--port", port] => {
            let served = serve_static(Path::new(directory), port.parse()?);
            let never = Builder::new_current_thread().enable_all().build()?.block_on(served)?;
            match never {}
        }
        ["serve", "--data", data_dir, "--uid", uid] => {
            Builder::new_current_thread().enable_all().build()?.block_on(serve(data_dir, uid))
        }
        _ => Err("expected lab-shim --dir DIR, static-site --dir DIR --port PORT or serve --data DIR --uid UID".into()),
    }
}

async fn serve(data_dir: &str, uid: &str) -> Result<(), Box<dyn Error>> {
    let provisioner = ProcessProvisioner::new(ProcessConfig::new(data_dir, std::env::current_exe()?))?;
    let command = ["{roa}", "static-site", "--dir", "{dir}", "--port", "{port}"];
    let process = ProcessTemplate {
        command: command.map(str::to_owned).to_vec(),
        files: BTreeMap::from([("index.html".to_owned(), "hello\n".to_owned())]),
        readiness: Readiness { http_get: Some("/".to_owned()), ..Readiness::default() },
        ..ProcessTemplate::default()
    };
    let lab = LabIdentity { uid: uid.to_owned(), namespace: "default".to_owned(), name: "example".to_owned() };
    let environment = BTreeMap::new();
    let request = ProvisionRequest { lab, process: Some(process), simulated: None, environment, attempt: 0 };
    provisioner.start(&request).await?;
    pending().await
}
