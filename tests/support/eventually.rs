//! Waiting for something to become true, with bounded patience.

use std::time::Duration;

/// How long a test waits for anything before it gives up: generous, for slow and busy machines.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Asks `probe` again and again until it answers `Some`; panics, naming `what`, when patience ends.
pub(crate) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = probe().await {
                return answer;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(answer) => answer,
        Err(_) => panic!("waited {PATIENCE:?} in vain: {what}"),
    }
}

/// The same for a test without a runtime.
pub(crate) fn soon<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let mut waited = Duration::ZERO;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(waited < PATIENCE, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(PAUSE);
        waited += PAUSE;
    }
}
