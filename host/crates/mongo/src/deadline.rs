//! No call waits for ever: the driver has no limit of its own for a whole operation.

use std::time::{Duration, Instant};

use taja_catalog::{PortResult, port::PortErrorKind};
use tokio::time::timeout;

use crate::error::failed;

/// Longest wait for an answer that reads, or writes one small thing.
pub(crate) const READ: Duration = Duration::from_secs(20);
/// Longest wait for a transaction, with its retries: longer than these go on.
pub(crate) const WRITE: Duration = Duration::from_secs(90);
/// Longest wait for collections and indexes: an index over a large collection takes its time.
pub(crate) const PREPARE: Duration = Duration::from_secs(600);

/// Runs `work`; `Unavailable` when it takes longer than `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    operation: &'static str,
    work: impl Future<Output = PortResult<T>>,
) -> PortResult<T> {
    let began = Instant::now();
    let result = timeout(limit, work).await;
    metrics::histogram!("taja_store_seconds", "operation" => operation).record(began.elapsed());
    result.unwrap_or_else(|_| {
        Err(failed(PortErrorKind::Unavailable, format!("{operation} did not end before the deadline")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_that_gets_no_answer_is_unavailable() {
        let silence = std::future::pending::<PortResult<()>>();
        let error = within(Duration::from_millis(1), "about", silence).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Unavailable);
    }
}
