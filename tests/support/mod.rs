//! What the integration tests stand on: ports, bounded patience, the processes under test, and a browser.
//!
//! A test binary that needs only a part of it says `#[expect(dead_code, reason = "...")]` at its `mod support`.
//! Declare it `#[cfg(test)] mod support;`: Clippy then counts these files as tests, where `unwrap` is welcome.

pub(crate) mod app;
pub(crate) mod backend;
pub(crate) mod balancer;
pub(crate) mod client;
pub(crate) mod collector;
pub(crate) mod core;
pub(crate) mod engine;
pub(crate) mod eventually;
pub(crate) mod exchange;
pub(crate) mod http2;
pub(crate) mod layer4;
pub(crate) mod load;
pub(crate) mod ports;
pub(crate) mod program;
pub(crate) mod quic;
pub(crate) mod schema;
pub(crate) mod steadfast;
pub(crate) mod tcp;
pub(crate) mod tls;
pub(crate) mod tomcat;
pub(crate) mod udp;
