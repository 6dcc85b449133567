//! The integration tests: one binary, one link. None of them needs another server.
//!
//! `cfg(test)` on each module lets Clippy count its helpers as tests, where `unwrap` is welcome.

#[cfg(test)]
#[expect(dead_code, reason = "some of it serves the end-to-end tests only")]
mod support;

#[cfg(test)]
#[path = "suite/access_log.rs"]
mod access_log;
#[cfg(test)]
#[path = "suite/admin.rs"]
mod admin;
#[cfg(test)]
#[path = "suite/admin_commands.rs"]
mod admin_commands;
#[cfg(test)]
#[path = "suite/affinity.rs"]
mod affinity;
#[cfg(test)]
#[path = "suite/agreement/mod.rs"]
mod agreement;
#[cfg(test)]
#[path = "suite/architecture.rs"]
mod architecture;
#[cfg(test)]
#[path = "suite/bad_reloads.rs"]
mod bad_reloads;
#[cfg(test)]
#[path = "suite/buffered_streams.rs"]
mod buffered_streams;
#[cfg(test)]
#[path = "suite/buffers.rs"]
mod buffers;
#[cfg(test)]
#[path = "suite/cli.rs"]
mod cli;
#[cfg(test)]
#[path = "suite/config.rs"]
mod config;
#[cfg(test)]
#[path = "suite/conformance/mod.rs"]
mod conformance;
#[cfg(test)]
#[path = "suite/control.rs"]
mod control;
#[cfg(test)]
#[path = "suite/desync.rs"]
mod desync;
#[cfg(test)]
#[path = "suite/discovery/mod.rs"]
mod discovery;
#[cfg(test)]
#[path = "suite/docs.rs"]
mod docs;
#[cfg(test)]
#[path = "suite/drains.rs"]
mod drains;
#[cfg(test)]
#[path = "suite/embedded.rs"]
mod embedded;
#[cfg(test)]
#[path = "suite/events.rs"]
mod events;
#[cfg(test)]
#[path = "suite/evidence.rs"]
mod evidence;
#[cfg(test)]
#[path = "suite/explain.rs"]
mod explain;
#[cfg(test)]
#[path = "suite/first_contact.rs"]
mod first_contact;
#[cfg(test)]
#[path = "suite/front_door.rs"]
mod front_door;
#[cfg(test)]
#[path = "suite/fuzz_corpus.rs"]
mod fuzz_corpus;
#[cfg(test)]
#[path = "suite/hooks.rs"]
mod hooks;
#[cfg(test)]
#[path = "suite/hostile_backends.rs"]
mod hostile_backends;
#[cfg(test)]
#[path = "suite/hostile_tokens.rs"]
mod hostile_tokens;
#[cfg(test)]
#[path = "suite/http2.rs"]
mod http2;
#[cfg(test)]
#[path = "suite/keys.rs"]
mod keys;
#[cfg(test)]
#[path = "suite/layer4.rs"]
mod layer4;
#[cfg(test)]
#[path = "suite/limits.rs"]
mod limits;
#[cfg(test)]
#[path = "suite/lost_sessions.rs"]
mod lost_sessions;
#[cfg(test)]
#[path = "suite/meter.rs"]
mod meter;
#[cfg(test)]
#[path = "suite/metrics.rs"]
mod metrics;
#[cfg(test)]
#[path = "suite/privileges.rs"]
mod privileges;
#[cfg(test)]
#[path = "suite/quic.rs"]
mod quic;
#[cfg(test)]
#[path = "suite/reload.rs"]
mod reload;
#[cfg(test)]
#[path = "suite/request_limits.rs"]
mod request_limits;
#[cfg(test)]
#[path = "suite/retries.rs"]
mod retries;
#[cfg(test)]
#[path = "suite/routes/mod.rs"]
mod routes;
#[cfg(test)]
#[path = "suite/service_manager.rs"]
mod service_manager;
#[cfg(test)]
#[path = "suite/session_book.rs"]
mod session_book;
#[cfg(test)]
#[path = "suite/tcp_options.rs"]
mod tcp_options;
#[cfg(test)]
#[path = "suite/tls.rs"]
mod tls;
#[cfg(test)]
#[path = "suite/tracing.rs"]
mod tracing;
#[cfg(test)]
#[path = "suite/traps.rs"]
mod traps;
#[cfg(test)]
#[path = "suite/udp.rs"]
mod udp;
#[cfg(test)]
#[path = "suite/udp_upgrade.rs"]
mod udp_upgrade;
#[cfg(test)]
#[path = "suite/unix_backends.rs"]
mod unix_backends;
#[cfg(test)]
#[path = "suite/unix_listeners.rs"]
mod unix_listeners;
#[cfg(test)]
#[path = "suite/upgrade.rs"]
mod upgrade;
#[cfg(test)]
#[path = "suite/upstream.rs"]
mod upstream;
#[cfg(test)]
#[path = "suite/waiting_room.rs"]
mod waiting_room;
#[cfg(test)]
#[path = "suite/watched_files.rs"]
mod watched_files;
