//! `X-Forwarded-*`: what we know of the client, and nothing that the client claims.

use http::{HeaderName, HeaderValue};
use pingora::Result;
use pingora::http::RequestHeader;

use super::context::Client;

const FOR: &str = "X-Forwarded-For";
const PROTO: &str = "X-Forwarded-Proto";
const HOST: &str = "X-Forwarded-Host";
pub(super) const HTTP: HeaderValue = HeaderValue::from_static("http");
pub(super) const HTTPS: HeaderValue = HeaderValue::from_static("https");
/// How the names of most claims begin.
const CLAIM: &str = "x-forwarded-";
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// Sets the headers. From a trusted proxy what it said is kept, and its own address added; from anybody else
/// all of it is dropped first.
pub(super) fn set(
    request: &mut RequestHeader,
    original: &RequestHeader,
    peer: &HeaderValue,
    scheme: &HeaderValue,
    client: Client,
) -> Result<()> {
    if client.through_proxy {
        let before: Vec<_> = original.headers.get_all(FOR).iter().map(|field| field.as_bytes()).collect();
        let mut chain = before.join(&b", "[..]);
        if !chain.is_empty() {
            chain.extend_from_slice(b", ");
        }
        chain.extend_from_slice(peer.as_bytes());
        request.insert_header(FOR, chain)?;
        if !original.headers.contains_key(PROTO) {
            request.insert_header(PROTO, scheme.clone())?;
        }
        if !original.headers.contains_key(HOST) {
            set_host(request, original)?;
        }
        return Ok(());
    }
    drop_claims(request);
    request.insert_header(FOR, peer.clone())?;
    request.insert_header(PROTO, scheme.clone())?;
    set_host(request, original)
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
