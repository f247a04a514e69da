//! A server process: started, killed, frozen, started again.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

/// A port that nothing listens on. Another process may take it first.
///
/// # Errors
/// When the machine gives none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The program to run: what the variable names, what set-up provided, or what is on the path.
pub(crate) fn program(variable: &str, name: &str) -> PathBuf {
    let provided = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../.tools/bin").join(name);
    match std::env::var_os(variable) {
        Some(named) => named.into(),
        None if provided.exists() => provided,
        None => name.into(),
    }
}

/// A child that dies with this process, and with its handle.
#[derive(Debug)]
pub(crate) struct Process {
    command: Vec<std::ffi::OsString>,
    child: Option<Child>,
}

impl Process {
    pub(crate) fn new(program: &Path, arguments: impl IntoIterator<Item = String>) -> Self {
        let arguments = arguments.into_iter().map(Into::into);
        Self { command: std::iter::once(program.into()).chain(arguments).collect(), child: None }
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        use std::os::unix::process::CommandExt;
        ensure!(self.child.is_none(), "it runs already");
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let die_with_us = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
        // SAFETY: between fork and exec it makes one system call, and allocates nothing.
        unsafe { command.pre_exec(die_with_us) };
        self.child = Some(command.spawn().with_context(|| {
            format!(
                "cannot start {}: `just setup redis mongod registry` provides it",
                self.command[0].display()
            )
        })?);
        Ok(())
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("it does not run")?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Kills it outright, as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
