//! `X-Forwarded-*`: what we know of the client, and nothing that the client claims.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue};
use pingora::Result;
use pingora::http::RequestHeader;

use super::arrive::parse_hop;
use super::context::Client;
use super::forwarded_field;

const FOR: &str = "X-Forwarded-For";
const PROTO: &str = "X-Forwarded-Proto";
const HOST: &str = "X-Forwarded-Host";
pub(super) const HTTP: HeaderValue = HeaderValue::from_static("http");
pub(super) const HTTPS: HeaderValue = HeaderValue::from_static("https");
/// How the names of most claims begin.
const CLAIM: &str = "x-forwarded-";
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// What is told, and how.
#[derive(Debug)]
pub(super) struct Told<'a> {
    /// By `X-Forwarded-*`.
    pub(super) by_x: bool,
    /// By `Forwarded` (RFC 7239).
    pub(super) by_field: bool,
    /// Who asks us.
    pub(super) peer: IpAddr,
    /// The same, as text.
    pub(super) peer_text: &'a HeaderValue,
    /// By which protocol.
    pub(super) scheme: &'a HeaderValue,
}

/// Sets the headers. From a trusted proxy what it said is kept, and its own address added; from anybody else
/// all of it is dropped first.
pub(super) fn set(
    request: &mut RequestHeader,
    original: &RequestHeader,
    told: &Told<'_>,
    client: Client,
) -> Result<()> {
    // What is not believed is not passed on either.
    if !client.through_proxy || !told.by_x {
        drop_claims(request);
    } else if told.by_field {
        request.remove_header(&FORWARDED);
    }
    if told.by_x {
        set_x_forwarded(request, original, told, client)?;
    }
    if told.by_field {
        set_forwarded(request, original, told, client)?;
    }
    Ok(())
}

fn set_x_forwarded(
    request: &mut RequestHeader,
    original: &RequestHeader,
    told: &Told<'_>,
    client: Client,
) -> Result<()> {
    if client.through_proxy {
        let before: Vec<_> = original.headers.get_all(FOR).iter().map(|field| field.as_bytes()).collect();
        let mut chain = before.join(&b", "[..]);
        if !chain.is_empty() {
            chain.extend_from_slice(b", ");
        }
        chain.extend_from_slice(told.peer_text.as_bytes());
        request.insert_header(FOR, chain)?;
        if !original.headers.contains_key(PROTO) {
            request.insert_header(PROTO, told.scheme.clone())?;
        }
        if !original.headers.contains_key(HOST) {
            set_host(request, original)?;
        }
        return Ok(());
    }
    request.insert_header(FOR, told.peer_text.clone())?;
    request.insert_header(PROTO, told.scheme.clone())?;
    set_host(request, original)
}

/// One element for each proxy (RFC 7239 section 4). Where `X-Forwarded-*` is what is believed, its chain is told again; a
/// `Forwarded` beside it may come from anybody.
fn set_forwarded(
    request: &mut RequestHeader,
    original: &RequestHeader,
    told: &Told<'_>,
    client: Client,
) -> Result<()> {
    let mut chain: Vec<u8> = Vec::new();
    if client.through_proxy {
        let name = if told.by_x { FOR } else { "forwarded" };
        for field in original.headers.get_all(name) {
            if !told.by_x {
                chain.extend_from_slice(field.as_bytes());
                chain.extend_from_slice(b", ");
                continue;
            }
            for hop in field.as_bytes().split(|byte| *byte == b',') {
                let node = parse_hop(hop).map_or_else(|| b"for=unknown".to_vec(), forwarded_field::node);
                chain.extend_from_slice(&node);
                chain.extend_from_slice(b", ");
            }
        }
    }
    let host = original.headers.get(http::header::HOST).map(HeaderValue::as_bytes);
    chain.extend_from_slice(&forwarded_field::element(told.peer, host, told.scheme == HTTPS));
    request.insert_header("Forwarded", chain)
}

fn set_host(request: &mut RequestHeader, original: &RequestHeader) -> Result<()> {
    match original.headers.get(http::header::HOST) {
        Some(host) => request.insert_header(HOST, host.clone()),
        None => Ok(()),
    }
}

/// Takes out what only we may set, also under the names that backends may confuse with them: CGI and its heirs read `_`
/// and `-` alike.
pub(super) fn drop_reserved(request: &mut RequestHeader, reserved: &[HeaderName]) {
    if reserved.is_empty() {
        return;
    }
    let same = |one: &str, two: &str| {
        let alike = |(one, two): (u8, u8)| one == two || b"-_".contains(&one) && b"-_".contains(&two);
        one.len() == two.len() && one.bytes().zip(two.bytes()).all(alike)
    };
    let is_reserved =
        |name: &&HeaderName| reserved.iter().any(|reserved| same(name.as_str(), reserved.as_str()));
    let claims: Vec<HeaderName> = request.headers.keys().filter(is_reserved).cloned().collect();
    for name in claims {
        request.remove_header(&name);
    }
}

/// Whatever begins with `X-Forwarded-`, and `Forwarded` (RFC 7239); also with underscores, which many applications
/// cannot tell from dashes.
fn drop_claims(request: &mut RequestHeader) {
    let claims = request.headers.keys().filter(|name| is_claim(name)).cloned();
    let claims: Vec<HeaderName> = claims.collect();
    for name in claims {
        request.remove_header(&name);
    }
}

fn is_claim(name: &HeaderName) -> bool {
    let text = name.as_str().bytes().map(|byte| if byte == b'_' { b'-' } else { byte });
    *name == FORWARDED || text.take(CLAIM.len()).eq(CLAIM.bytes())
}
