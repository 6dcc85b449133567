//! The integration tests: one binary, one link.

#[path = "suite/config.rs"]
mod config;
