//! The admin listener: HTTP API, dashboard page and metrics endpoint.
//!
//! Reserved: this release has none, and refuses `admin`. May use snapshot, telemetry, lifecycle, and affinity to explain.
