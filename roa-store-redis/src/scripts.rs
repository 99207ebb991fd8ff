//! The scripts: constant text, data in arguments, the keys declared. A server that has lost one is given it again.

use redis::Cmd;

use crate::keys::Keys;

/// One script, and what it is known by.
#[derive(Debug)]
pub(crate) struct Script {
    inner: redis::Script,
    text: &'static str,
}

/// All scripts.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) open: Script,
    pub(crate) state: Script,
    pub(crate) commit: Script,
    pub(crate) get: Script,
    pub(crate) page: Script,
    pub(crate) fence: Script,
    pub(crate) compact: Script,
    pub(crate) trim: Script,
    pub(crate) probe: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            open: Script::new(include_str!("scripts/open.lua")),
            state: Script::new(include_str!("scripts/state.lua")),
            commit: Script::new(include_str!("scripts/commit.lua")),
            get: Script::new(include_str!("scripts/get.lua")),
            page: Script::new(include_str!("scripts/page.lua")),
            fence: Script::new(include_str!("scripts/fence.lua")),
            compact: Script::new(include_str!("scripts/compact.lua")),
            trim: Script::new(include_str!("scripts/trim.lua")),
            probe: Script::new(include_str!("scripts/probe.lua")),
        }
    }
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self { inner: redis::Script::new(text), text }
    }

    /// The call of it by name, to be completed by its arguments.
    pub(crate) fn by_name(&self, keys: &[&str]) -> Cmd {
        call("EVALSHA", self.inner.get_hash(), keys)
    }

    /// The call of it by its text, which the server then keeps.
    pub(crate) fn by_text(&self, keys: &[&str]) -> Cmd {
        call("EVAL", self.text, keys)
    }
}

fn call(command: &str, script: &str, keys: &[&str]) -> Cmd {
    let mut call = redis::cmd(command);
    call.arg(script).arg(keys.len()).arg(keys);
    call
}

/// The keys of most scripts.
pub(crate) fn all(keys: &Keys) -> [&str; 4] {
    [&keys.meta, &keys.objects, &keys.index, &keys.log]
}
