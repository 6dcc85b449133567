//! What the service manager is told (sd_notify(3)). Without one, nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

/// This process serves; `took_over`: from another one, so it is the one to watch from now on.
pub(crate) fn ready(took_over: bool) {
    let main = took_over.then(|| NotifyState::MainPid(std::process::id()));
    let states: Vec<_> = main.into_iter().chain([NotifyState::Ready]).collect();
    tell(&states);
}

/// The configuration is being read; `ready` says when that is over.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => log::warn!("the service manager cannot be told of a reload: {error}"),
    }
}

/// What the last reload came to.
pub(super) fn status(text: &str) {
    // One line is all that it takes.
    tell(&[NotifyState::Status(text.lines().next().unwrap_or_default())]);
}

/// The process finishes what runs, and ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// How often it wants a sign of life, at the least.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// A sign of life.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("the service manager does not hear: {error}");
    }
}
