//! The admin API: what the balancer is doing, as JSON, and changes at run time.
//!
//! `service` accepts and reads a request within bounds, `guard` says whether it may be answered, `app` finds
//! its endpoint in the table of `endpoints`, and a handler (`state`, `sessions`, `explain`, `requests`,
//! `log_level`, `changes`)
//! answers. The OpenAPI document (`openapi`) is made from the same table and the types of the answers (`view`), so it
//! cannot say anything else.
//!
//! No session id, cookie or token is ever in an answer, a URL or the log. May use `snapshot`, `lifecycle`,
//! `telemetry`, `listen`, `affinity`, `pool` and the words of `config`.

mod advice;
mod answer;
mod app;
mod call;
mod changes;
mod dashboard;
mod endpoints;
mod events;
mod explain;
mod guard;
mod history;
mod log_level;
mod metrics;
mod openapi;
mod requests;
mod service;
mod sessions;
mod state;
mod view;

pub(crate) use advice::{AdviceView, GapView, PoolGaps};
pub(crate) use answer::Failure;
pub(crate) use app::{AdminApp, ListenerHandle, Parts};
pub(crate) use changes::{Drain, Nothing, PlanView};
pub(crate) use explain::{Clue, Explained, Field, Question, Supposition, explain};
pub(crate) use guard::Guard;
pub(crate) use log_level::{Level, LogLevel};
pub(crate) use requests::RecentRequest;
pub(crate) use service::{AdminService, AdminSocket};
pub(crate) use sessions::PoolSessions;
pub(crate) use sessions::{Forgotten, Home, KnownBy, SessionId};
pub(crate) use view::{BackendView, Phase, Pools, StateWord, Status, Wanted};
