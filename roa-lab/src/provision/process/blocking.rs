//! Work that blocks, off the runtime and within a limit.

use std::panic::resume_unwind;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::provision::ProvisionError;

/// Runs `work` on a thread that may block. When the limit is over, or the future is dropped, it goes on unseen.
pub(super) async fn blocking<T: Send + 'static>(
    action: &'static str,
    limit: Duration,
    work: impl FnOnce() -> Result<T, ProvisionError> + Send + 'static,
) -> Result<T, ProvisionError> {
    match timeout(limit, spawn_blocking(work)).await {
        Err(_) => Err(ProvisionError::Deadline { action, limit }),
        Ok(Ok(result)) => result,
        Ok(Err(error)) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Err(ProvisionError::ShuttingDown { action }),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn work_that_hangs_ends_with_its_deadline() {
        let (release, hang) = mpsc::channel::<()>();
        let result = blocking("wait", Duration::from_millis(20), move || Ok(hang.recv().is_ok())).await;
        assert!(matches!(result, Err(ProvisionError::Deadline { action: "wait", .. })), "{result:?}");
        drop(release);
    }

    #[tokio::test]
    async fn work_that_ends_hands_on_its_result() {
        assert_eq!(blocking("add", Duration::from_secs(10), || Ok(1 + 1)).await.unwrap(), 2);
    }
}
