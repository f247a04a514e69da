//! One host call that can be refused: asked whether it is granted, counted, weighed, and a span of its own in traces.

use std::{future::Future, sync::Arc, time::Duration};

use tracing::{Instrument, Span, field::Empty};

use crate::{
    manifest::Capability,
    meter::Meter,
    refusal::{Answer, Refusal},
    state::GuestState,
};

/// A host call that was let through. Its span in traces ends with it.
pub(crate) struct Call {
    span: Span,
    meter: Arc<Meter>,
    timeout: Duration,
}

impl GuestState {
    /// Begins a host call that can be refused: is it granted, and is there one left? `name` is the function's, `bytes`
    /// are those of the texts and lists that the guest hands over.
    pub(crate) fn begin(&self, capability: Capability, name: &'static str, bytes: usize) -> Answer<Call> {
        let what = format_args!("{capability}.{name}");
        let span = tracing::debug_span!("host call", %what, refused = Empty);
        self.meter.carry(bytes);
        if !self.grants(capability) {
            span.record("refused", "denied");
            let asked = self.identity.manifest.capabilities.contains(&capability);
            return Err(Refusal::denied(capability, asked));
        }
        if !self.meter.take_host_call() {
            span.record("refused", "quota");
            let limit = self.limits.host_calls;
            return Err(Refusal::quota(format!(
                "all {limit} host calls of this call are used (limits.host_calls)"
            )));
        }
        Ok(Call { span, meter: Arc::clone(&self.meter), timeout: self.ports.timeout })
    }
}

impl Call {
    /// Waits for a part of the host, but not for ever; the time is not the guest's.
    pub(crate) async fn wait<T, E: Into<Refusal>>(
        &self,
        part: impl Future<Output = Result<T, E>>,
    ) -> Answer<T> {
        let _time = self.meter.host_call();
        match tokio::time::timeout(self.timeout, part.instrument(self.span.clone())).await {
            Ok(answer) => answer.map_err(Into::into),
            Err(_) => Err(Refusal::unavailable(format!("no answer within {:?}", self.timeout))),
        }
    }

    /// Counts the bytes of the texts and lists that the answer hands to the guest.
    pub(crate) fn carry(&self, bytes: usize) {
        self.meter.carry(bytes);
    }
}
