//! The integration tests: one binary, one link. None of them needs another server.

#[cfg(test)]
#[expect(dead_code, reason = "some of it serves the end-to-end tests only")]
mod support;

#[path = "suite/affinity.rs"]
mod affinity;
#[path = "suite/architecture.rs"]
mod architecture;
#[path = "suite/cli.rs"]
mod cli;
#[path = "suite/config.rs"]
mod config;
#[path = "suite/docs.rs"]
mod docs;
#[path = "suite/first_contact.rs"]
mod first_contact;
#[path = "suite/front_door.rs"]
mod front_door;
#[path = "suite/hooks.rs"]
mod hooks;
#[path = "suite/hostile_tokens.rs"]
mod hostile_tokens;
#[path = "suite/retries.rs"]
mod retries;
