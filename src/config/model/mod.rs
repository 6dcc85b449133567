//! What a configuration file may say: every key, its type, its default and its documentation.
//!
//! The documentation of a field is what the reference and the JSON Schema say of the key.

mod action;
mod admin;
mod affinity;
mod alerts;
mod buffer;
mod compression;
mod discovery;
mod headers;
mod health;
mod layer4;
mod limits;
mod listener;
mod log;
mod pool;
mod pool_tls;
mod quic;
mod reload;
mod route;
mod secret;
mod server;
mod telemetry;
mod tls;
mod waiting_room;

pub(super) use action::{HeaderChanges, Mirror, Part, Parts, Redirect, Respond, Rewrite};
pub(super) use admin::Admin;
pub(super) use affinity::{Affinity, Cookie, Learn, Shared};
pub(super) use alerts::{Alerts, Webhook};
pub(super) use buffer::{Buffer, RequestBuffer};
pub(super) use compression::Compression;
pub(super) use discovery::{BackendFile, Discovery, Dns};
pub(super) use headers::Headers;
pub(super) use health::{Dialogue, DnsCheck, DrainOn, Health, HttpCheck, Passive, Switched, TlsDialogue};
pub(super) use layer4::{DatagramRate, SourceAddress, Tcp, TlsRoute, Udp};
pub(super) use limits::RequestLimit;
pub(super) use listener::{Limits, Listener, Timeouts};
pub(super) use log::{AccessLog, Journald, LogFile, Syslog};
pub(super) use pool::{Backend, Balance, Pool, PoolLimits, PoolTimeouts, Retries};
pub(super) use pool_tls::{PoolHttp, PoolTls};
pub(super) use quic::{ConnectionIdForm, ConnectionIdKey, Quic};
pub(super) use reload::Reload;
pub(super) use route::{Match, PathMatch, Route, Test, TestKeys};
pub(super) use secret::{AffinitySeed, TokenKey};
pub(super) use server::Server;
pub(super) use telemetry::{Otlp, Telemetry};
pub(super) use tls::{Certificate, Http2, ListenerTls, ProxyProtocol};
pub(super) use waiting_room::WaitingRoom;

use super::collections::Named;
use super::read::{Spanned, keys, later};
use super::text::FilePath;
use super::units::Whole;
use super::words::{InsecureFiles, Word};

keys! {
    /// A Steadfast configuration.
    struct Document {
        /// Version of the configuration's format: 1.
        version: Whole<1, 1>,
        /// Pingora's own server settings, under their own names.
        server: Server = "{}",
        /// Folder for keys that are made at first start, and for learned sessions. Relative to the
        /// configuration file's folder.
        state_dir: FilePath = "/var/lib/steadfast",
        /// Keys of the load-balancer cookie: the first seals, all open, so a new key is put first and the old
        /// one stays until its cookies have expired. Replicas must share keys. Without keys one is made at first
        /// start and kept in `state_dir`.
        keys: Option<Vec<Spanned<TokenKey>>> = "null",
        /// Secret of all hashes, at least 16 bytes. Replicas must share it; a change of it moves sessions that
        /// only a hash leads home, so it is not rotated with the keys. Without it one is made at first start and
        /// kept in `state_dir`.
        affinity_seed: Option<AffinitySeed> = "null",
        /// When the file is read again.
        reload: Reload = "{}",
        /// A file with a private key, a token key, the seed or a password that everybody on the machine can read: `warn` or
        /// `refuse`.
        insecure_key_files: Word<InsecureFiles> = "warn",
        /// The admin API; null: none.
        admin: Option<Admin> = "null",
        /// One line for each request, or for those that matter; null: none.
        access_log: Option<AccessLog> = "null",
        /// What is told when sessions are lost; null: the log alone says so.
        alerts: Option<Alerts> = "null",
        /// What systems that trace requests over many servers are told; null: nothing.
        telemetry: Option<Telemetry> = "null",
        /// The addresses that are accepted on; at least one.
        listeners: Vec<Spanned<Listener>>,
        /// The pools by name; at least one.
        pools: Named<Pool>,
    }
    refused [later("log"), later("metrics"), later("limits")]
}
