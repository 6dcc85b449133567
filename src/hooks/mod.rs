//! Hooks: how a user of the library extends Steadfast.
//!
//! [`Hook`] is implemented by authors, with a typed state per request; several form a chain. A hook must not
//! block: it runs on the request's thread. One that panics or fails costs that request a 500 and a log line
//! with the hook's name, never the process.
//!
//! May use `names`, and the words of `affinity` that an outcome is told in.

mod chain;
mod erased;
mod hook;
mod view;

pub use chain::{Chain, HookFailure, States};
pub use hook::{BoxError, Completed, Hook, SessionKey, Verdict};
pub use view::{Answer, Choice, RequestView, ResponseView, UpstreamRequest};
