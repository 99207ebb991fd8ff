//! Asks the linker for a smaller program, where that runs.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

/// Has relocations packed, which are a fifteenth of the program otherwise. C libraries know how to unpack them since 2022
/// (glibc 2.36, musl 1.2.4); linkers that don't know it ignore it.
const PACKED: &str = "-Wl,-z,pack-relative-relocs";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if runs_when_packed() == Some(true) {
        println!("cargo:rustc-link-arg-bins={PACKED}");
    }
}

/// Whether the least of programs runs here if it is linked so; `None` if that can't be tried.
fn runs_when_packed() -> Option<bool> {
    if env::var("HOST") != env::var("TARGET") {
        return None;
    }
    let folder = PathBuf::from(env::var_os("OUT_DIR")?);
    let (source, program) = (folder.join("probe.rs"), folder.join("probe"));
    fs::write(&source, "fn main() {}").ok()?;
    let mut rustc = Command::new(env::var_os("RUSTC")?);
    let linked = rustc.arg(&source).arg("-o").arg(&program).arg(format!("-Clink-arg={PACKED}")).output().ok()?;
    Some(linked.status.success() && Command::new(&program).status().is_ok_and(|ended| ended.success()))
}
