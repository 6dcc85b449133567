//! The words of the configuration, and the enums that they become.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value as Json;

use super::checked::{
    self, AffinityMode, Algorithm, BackendState, ClientName, ConnectsFrom, FirstContact, HttpVersion, Insert,
    LimitBy, OnLostBackend, Removal, SameSite, Toggle,
};
use super::read::{Cursor, Read};
use super::report::{Code, nearest};
use crate::names::ProxyVersion;

/// An enum that the configuration writes as a word.
pub(super) trait Words: Sized + Copy + 'static {
    /// Each word and its meaning.
    const WORDS: &'static [(&'static str, Self)];
    /// Words that a later release will know.
    const LATER: &'static [&'static str] = &[];
}

/// A value that is one of a few words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<T>(pub(super) T);

impl<T: Words> Read for Word<T> {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let listed = || T::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let scalar = cursor.scalar(&format!("one of {}", listed()))?;
        if let Some((_, value)) = T::WORDS.iter().find(|(word, _)| *word == scalar.text) {
            return Some(Self(*value));
        }
        let (name, shown) = (cursor.name(), scalar.shown());
        if T::LATER.contains(&scalar.text.as_str()) {
            let message = format!("`{name}: {shown}` is not supported yet");
            cursor.refuse(Code::NotSupported, message, format!("supported here: {}", listed()));
            return None;
        }
        let help = match nearest(&scalar.text, T::WORDS.iter().map(|(word, _)| *word)) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("one of: {}", listed()),
        };
        cursor.refuse(Code::UnknownWord, format!("`{shown}` is no value of `{name}`"), help);
        None
    }
}

impl<T: Words> JsonSchema for Word<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Word".into()
    }

    fn schema_id() -> Cow<'static, str> {
        std::any::type_name::<T>().into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let word = |(word, _): &(&'static str, T)| match *word {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            word => word.into(),
        };
        json_schema!({ "enum": T::WORDS.iter().map(word).collect::<Vec<_>>() })
    }
}

impl Words for LimitBy {
    const WORDS: &'static [(&'static str, Self)] =
        &[("client", Self::Client), ("session", Self::Session), ("header", Self::Header)];
}

/// What a listener speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    Http,
    Tcp,
    Udp,
}

/// The lowest TLS version: whether it is 1.2.
#[derive(Clone, Copy, Debug)]
pub(super) struct TlsVersion(pub(super) bool);

/// Whether a client must show a certificate.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientCertificates(pub(super) bool);

/// Whether a secret's file that others can read is refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct InsecureFiles(pub(super) bool);

/// Whether the application's logout releases the load-balancer cookie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Release(pub(super) bool);

/// Whether a moved session returns.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailBack(pub(super) bool);

/// Whether existing sessions are tried at home when the check fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExistingSessions(pub(super) bool);

/// The `Secure` attribute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Secure(pub(super) Toggle);

/// The `Partitioned` attribute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Partitioned(pub(super) Toggle);

/// The `SameSite` attribute; `None`: as the application's own cookie.
#[derive(Clone, Copy, Debug)]
pub(super) struct SameSiteOrFollow(pub(super) Option<SameSite>);

/// A way to write a body shorter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Coding {
    Gzip,
    Brotli,
    Zstd,
}

/// How backends are told who asks.
#[derive(Clone, Copy, Debug)]
pub(super) enum ForwardedBy {
    XForwarded,
    Forwarded,
    Both,
}

/// When a request is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryOn {
    Connect,
    ResetBeforeResponse,
}

/// Which DNS records name the backends.
#[derive(Clone, Copy, Debug)]
pub(super) enum DnsRecord {
    Auto,
    Address,
    Srv,
}

/// What an answer without backends means.
#[derive(Clone, Copy, Debug)]
pub(super) enum OnEmpty {
    Keep,
    Remove,
}

/// A type of DNS records, by its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct DnsType(pub(super) u16);

/// A response code of DNS.
#[derive(Clone, Copy, Debug)]
pub(super) struct DnsCode(pub(super) u8);

impl Words for DnsType {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("A", Self(1)),
        ("NS", Self(2)),
        ("CNAME", Self(5)),
        ("SOA", Self(6)),
        ("PTR", Self(12)),
        ("MX", Self(15)),
        ("TXT", Self(16)),
        ("AAAA", Self(28)),
        ("SRV", Self(33)),
    ];
}

impl Words for DnsCode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("noerror", Self(0)), ("servfail", Self(2)), ("nxdomain", Self(3)), ("refused", Self(5))];
}

impl Words for Protocol {
    const WORDS: &'static [(&'static str, Self)] =
        &[("http", Self::Http), ("tcp", Self::Tcp), ("udp", Self::Udp)];
    const LATER: &'static [&'static str] = &["https", "tls", "quic"];
}

impl Words for HttpVersion {
    const WORDS: &'static [(&'static str, Self)] =
        &[("h1", Self::H1), ("h2", Self::H2), ("auto", Self::Auto)];
}

impl Words for ProxyVersion {
    const WORDS: &'static [(&'static str, Self)] = &[("v1", Self::V1), ("v2", Self::V2)];
}

impl Words for TlsVersion {
    const WORDS: &'static [(&'static str, Self)] = &[("1.2", Self(true)), ("1.3", Self(false))];
}

impl Words for ClientCertificates {
    const WORDS: &'static [(&'static str, Self)] = &[("required", Self(true)), ("optional", Self(false))];
}

impl Words for InsecureFiles {
    const WORDS: &'static [(&'static str, Self)] = &[("warn", Self(false)), ("refuse", Self(true))];
}

impl Words for ClientName {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("tls_server_name", Self::TlsServerName),
        ("rdp_cookie", Self::RdpCookie),
        ("mqtt_client_id", Self::MqttClientId),
    ];
}

impl Words for BackendState {
    const WORDS: &'static [(&'static str, Self)] =
        &[("up", Self::Up), ("draining", Self::Draining), ("maintenance", Self::Maintenance)];
}

impl Words for Algorithm {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("consistent_hash", Self::ConsistentHash),
        ("round_robin", Self::RoundRobin),
        ("random", Self::Random),
        ("least_connections", Self::LeastConnections),
    ];
}

impl Words for AffinityMode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("bind", Self::Bind), ("hash", Self::Hash), ("none", Self::None)];
}

impl Words for FirstContact {
    const WORDS: &'static [(&'static str, Self)] =
        &[("client", Self::Client), ("connection", Self::Connection), ("balance", Self::Balance)];
}

impl Words for Insert {
    const WORDS: &'static [(&'static str, Self)] =
        &[("when_needed", Self::WhenNeeded), ("always", Self::Always), ("never", Self::Never)];
}

impl Words for DnsRecord {
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("address", Self::Address), ("srv", Self::Srv)];
}

impl Words for OnEmpty {
    const WORDS: &'static [(&'static str, Self)] = &[("keep", Self::Keep), ("remove", Self::Remove)];
}

impl Words for Removal {
    const WORDS: &'static [(&'static str, Self)] = &[("drain", Self::Drain), ("at_once", Self::AtOnce)];
}

impl Words for ConnectsFrom {
    const WORDS: &'static [(&'static str, Self)] = &[("balancer", Self::Balancer), ("client", Self::Client)];
}

impl Words for OnLostBackend {
    const WORDS: &'static [(&'static str, Self)] = &[("move", Self::Move), ("fail", Self::Fail)];
}

impl Words for Release {
    const WORDS: &'static [(&'static str, Self)] = &[("on_logout", Self(true)), ("never", Self(false))];
}

impl Words for FailBack {
    const WORDS: &'static [(&'static str, Self)] = &[("never", Self(false)), ("always", Self(true))];
}

impl Words for ExistingSessions {
    const WORDS: &'static [(&'static str, Self)] = &[("try_home", Self(true)), ("move", Self(false))];
}

impl Words for ForwardedBy {
    const WORDS: &'static [(&'static str, Self)] =
        &[("x_forwarded", Self::XForwarded), ("forwarded", Self::Forwarded), ("both", Self::Both)];
}

impl Words for Coding {
    const WORDS: &'static [(&'static str, Self)] =
        &[("gzip", Self::Gzip), ("br", Self::Brotli), ("zstd", Self::Zstd)];
}

impl From<Coding> for checked::Coding {
    fn from(word: Coding) -> Self {
        match word {
            Coding::Gzip => Self::Gzip,
            Coding::Brotli => Self::Brotli,
            Coding::Zstd => Self::Zstd,
        }
    }
}

impl From<ForwardedBy> for checked::ForwardedBy {
    fn from(word: ForwardedBy) -> Self {
        match word {
            ForwardedBy::XForwarded => Self::XForwarded,
            ForwardedBy::Forwarded => Self::Forwarded,
            ForwardedBy::Both => Self::Both,
        }
    }
}

impl Words for Secure {
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", Self(Toggle::Auto)), ("true", Self(Toggle::On)), ("false", Self(Toggle::Off))];
}

impl Words for Partitioned {
    const WORDS: &'static [(&'static str, Self)] =
        &[("follow", Self(Toggle::Auto)), ("true", Self(Toggle::On)), ("false", Self(Toggle::Off))];
}

impl Words for SameSiteOrFollow {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("follow", Self(None)),
        ("strict", Self(Some(SameSite::Strict))),
        ("lax", Self(Some(SameSite::Lax))),
        ("none", Self(Some(SameSite::None))),
    ];
}

impl Words for RetryOn {
    const WORDS: &'static [(&'static str, Self)] =
        &[("connect", Self::Connect), ("reset_before_response", Self::ResetBeforeResponse)];
}
