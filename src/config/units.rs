//! Durations and sizes with units.

use std::time::Duration;

/// Reads a duration such as `250ms`, `30m` or `1h 30m`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| match error {
        humantime::DurationError::Empty => "it is empty".to_owned(),
        other => other.to_string(),
    })
}

/// Reads a size such as `64KiB` or `1MB`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn size(text: &str) -> Result<u64, String> {
    text.parse::<bytesize::ByteSize>().map(|size| size.as_u64())
}

/// Reads a status range such as `200-399`, or one status.
pub(super) fn status_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| text.trim().parse().ok().filter(|status| (100..=599).contains(status));
    let (first, last) = (status(first)?, status(last)?);
    (first <= last).then_some((first, last))
}
