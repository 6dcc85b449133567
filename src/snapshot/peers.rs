//! How each backend is connected to: by requests, through Pingora, and by health checks.

use std::net::Ipv4Addr;
use std::sync::Arc;

use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::pki_types::ServerName;
use siphasher::sip::SipHasher24;

use crate::config::checked::{self, HttpVersion};
use crate::health::{Ask, Check, CheckSpec, DnsQuery, DrainOn, Exchange, Expect, HttpProbe, Over, Secure};
use crate::names::ProxyVersion;
use crate::tls::client_config;

/// Requests under way at once on one connection of HTTP/2 to a backend.
const STREAMS: usize = 100;

/// Everything that a connection depends on is in its reuse key, or a reload would share connections that were
/// made under other settings.
pub(super) fn peer(pool: &checked::Pool, backend: &checked::Backend) -> HttpPeer {
    let tls = pool.tls.as_ref();
    // Nobody asks for one of a socket, which only connections of layer 4 go to.
    let address = backend.address.ip().unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, 0).into());
    let mut peer = HttpPeer::new(address, tls.is_some(), server_name(pool, backend));
    let options = &mut peer.options;
    let timeouts = &pool.timeouts;
    options.connection_timeout = Some(timeouts.connect);
    options.total_connection_timeout = Some(timeouts.connect);
    options.read_timeout = Some(timeouts.read);
    options.write_timeout = Some(timeouts.write);
    options.idle_timeout = Some(timeouts.idle);
    match pool.http {
        HttpVersion::H1 => options.set_http_version(1, 1),
        HttpVersion::H2 => options.set_http_version(2, 2),
        HttpVersion::Auto => options.set_http_version(2, 1),
    }
    if pool.http != HttpVersion::H1 {
        options.max_h2_streams = STREAMS;
    }
    if let Some(tls) = tls {
        (options.verify_cert, options.verify_hostname) = (tls.verify, tls.verify);
        options.ca = tls.authorities.as_ref().map(|authorities| {
            let wrapped =
                |der: &rustls::pki_types::CertificateDer<'_>| WrappedX509::new(der.to_vec(), parse_x509);
            authorities.certificates().iter().map(wrapped).collect()
        });
        peer.client_cert_key = tls.identity.as_ref().map(|identity| {
            let chain = identity.chain().iter().map(|der| der.to_vec()).collect();
            Arc::new(CertKey::new(chain, identity.key().secret_der().to_vec()))
        });
    }
    peer.group_key = settings_key(pool, backend);
    peer
}

/// A digest of everything that a connection to this backend depends on.
fn settings_key(pool: &checked::Pool, backend: &checked::Backend) -> u64 {
    let (timeouts, http, sends) = (&pool.timeouts, pool.http, pool.proxy_protocol);
    let mut settings =
        format!("{}\0{}\0{timeouts:?}\0{http:?}\0{sends:?}\0", pool.name, backend.id).into_bytes();
    if let Some(tls) = &pool.tls {
        let authorities = tls.authorities.as_ref().map(crate::tls::Authorities::certificates);
        let chain = tls.identity.as_ref().map(|identity| identity.chain());
        settings.extend(format!("{:?}\0{}", tls.sni, tls.verify).bytes());
        for certificates in [authorities, chain] {
            settings.push(0);
            for certificate in certificates.unwrap_or_default() {
                settings.extend(certificate.len().to_le_bytes());
                settings.extend_from_slice(certificate);
            }
        }
    }
    SipHasher24::new_with_key(b"steadfast peer 1").hash(&settings)
}

/// Whom a backend's certificate has to name.
fn server_name(pool: &checked::Pool, backend: &checked::Backend) -> String {
    let ip = || backend.address.ip().map(|address| address.ip().to_string());
    pool.tls.as_ref().and_then(|tls| tls.sni.clone().or_else(ip)).unwrap_or_default()
}

/// How the backends of a pool are checked.
pub(super) fn check_spec(check: &checked::Check, pool: &checked::Pool) -> CheckSpec {
    let health = &pool.health;
    // The same for all backends of the pool; TLS that cannot be set up fails each check, which says so.
    let alpn: &[u8] = if pool.http == HttpVersion::H2 { b"h2" } else { b"http/1.1" };
    let config = pool.tls.as_ref().map(|tls| {
        let identity = tls.identity.as_deref();
        client_config(tls.authorities.as_ref(), tls.verify, identity, alpn).map(Arc::new)
    });
    let hello: &[u8] = match pool.proxy_protocol {
        None => b"",
        Some(ProxyVersion::V1) => b"PROXY UNKNOWN\r\n",
        // A connection of our own.
        Some(ProxyVersion::V2) => b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    };
    let drain_on = |on: &checked::DrainOn| DrainOn { status: on.status.clone(), header: on.header.clone() };
    let probe = |http: &checked::HttpCheck, backend: &checked::Backend| {
        let address = backend.address.to_string();
        let probe = HttpProbe::new(&http.path, http.host.as_deref().unwrap_or(&address), http.expect.clone())
            .greeting(hello)
            .in_http2(pool.http == HttpVersion::H2)
            .draining_on(http.drain_on.as_ref().map(drain_on));
        match &config {
            None => probe,
            Some(config) => probe.over(Secure {
                config: config.as_ref().ok().map(Arc::clone),
                name: ServerName::try_from(server_name(pool, backend)).ok(),
                settings: settings_key(pool, backend),
            }),
        }
    };
    CheckSpec {
        check: match check {
            checked::Check::Tcp => Check::Tcp,
            checked::Check::Exchange(exchange) => {
                let made = |backend| Arc::new(self::exchange(exchange, backend, hello));
                Check::Exchange(pool.backends.iter().map(made).collect())
            }
            checked::Check::Http(http) => {
                Check::Http(pool.backends.iter().map(|backend| probe(http, backend)).collect())
            }
        },
        interval: health.interval,
        timeout: health.timeout,
        rise: health.rise,
        fall: health.fall,
        drain_deadline: pool.drain.deadline,
    }
}

fn exchange(exchange: &checked::Exchange, backend: &checked::Backend, hello: &[u8]) -> Exchange {
    let over = match &exchange.over {
        checked::Over::Tcp => Over::Tcp,
        checked::Over::Udp => Over::Udp,
        checked::Over::Tls { server_name } => {
            let config = client_config(None, false, None, b"").ok().map(|mut config| {
                config.alpn_protocols.clear();
                Arc::new(config)
            });
            let name = server_name.clone().and_then(|name| ServerName::try_from(name).ok());
            let address = backend.address.ip().unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
            Over::Tls { config, name: name.unwrap_or_else(|| ServerName::from(address.ip())) }
        }
    };
    let ask = match exchange.ask.clone() {
        checked::Ask::Nothing => Ask::Nothing,
        checked::Ask::Bytes { send, expect: checked::Expect::Bytes(bytes) } => {
            Ask::Bytes { send, expect: Expect::Bytes(bytes) }
        }
        checked::Ask::Bytes { send, expect: checked::Expect::Regex(pattern) } => {
            Ask::Bytes { send, expect: Expect::Regex(pattern.regex) }
        }
        checked::Ask::Dns { name, record, codes } => {
            DnsQuery::new(&name, record, codes).map_or(Ask::Nothing, Ask::Dns)
        }
    };
    let greeting = if over == Over::Udp { Vec::new() } else { hello.to_vec() };
    Exchange { over, greeting, ask }
}
