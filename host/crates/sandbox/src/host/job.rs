//! `taja:host/job`: progress, cancellation, and what is left of the call's limits.

use crate::{
    bindings::host::job::{Budget, Host},
    limits::Limits,
    manifest::Capability,
    state::GuestState,
};

/// Longest progress message, bytes.
const MAX_MESSAGE_BYTES: usize = 200;

impl Host for GuestState {
    async fn progress(&mut self, percent: u32, message: String) -> wasmtime::Result<()> {
        self.meter.carry(message.len());
        // This call cannot answer with an error, so without the capability it is heard by nobody.
        if !self.grants(Capability::Job) || self.progress_left == 0 {
            return Ok(());
        }
        self.progress_left -= 1;
        if let Some(session) = &self.session {
            let percent = u8::try_from(percent.min(100)).unwrap_or(100);
            let message: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            session.job.progress(percent, &message[..message.floor_char_boundary(MAX_MESSAGE_BYTES)]);
        }
        Ok(())
    }

    async fn cancelled(&mut self) -> wasmtime::Result<bool> {
        Ok(self.grants(Capability::Job)
            && self.session.as_ref().is_some_and(|session| session.job.cancelled()))
    }

    async fn remaining(&mut self) -> wasmtime::Result<Budget> {
        let left = match self.exact {
            // The clock stands still; what the component asks for is the same wherever the call is played again.
            true => Limits::of(self.identity.manifest.kind).asked(&self.identity.manifest.limits).wall,
            false => self.meter.wall_left(self.meter.computed()).unwrap_or_default(),
        };
        let wall_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        Ok(Budget { host_calls: self.meter.host_calls_left(), wall_ms })
    }
}
