//! Processes that are killed, frozen and told to stop. Each dies with its handle.

use std::{
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use tokio::process::{Child, Command};

/// A process of ours.
#[derive(Debug)]
pub struct Process {
    pub child: Child,
}

impl Process {
    /// Starts it. It dies with its handle, and with this program, however that ends.
    pub fn start(mut command: Command) -> Result<Self> {
        command.kill_on_drop(true);
        if std::env::var_os("TAJA_LOG").is_none() {
            command.stderr(Stdio::null());
        }
        let die_with_us = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
        // SAFETY: between fork and exec it makes one system call, and allocates nothing.
        unsafe { command.pre_exec(die_with_us) };
        let child = command.spawn().with_context(|| format!("{:?}", command.as_std().get_program()))?;
        Ok(Self { child })
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        Ok(kill_process(pid.context("it has ended")?, signal)?)
    }

    /// Ends it outright.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Asks it to end, and waits until it did.
    pub async fn stop(mut self, within: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        Ok(tokio::time::timeout(within, self.child.wait()).await.context("it does not stop")??)
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}
