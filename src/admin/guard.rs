//! Who may ask: a token where one is configured, and no web page that pretends to be from here.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, StatusCode, header, uri::Authority};
use subtle::ConstantTimeEq as _;

use super::answer::Refusal;

/// Decides whether a request may be answered.
#[derive(Debug)]
pub(crate) struct Guard {
    /// `None`: a socket in the file system, which no web page can reach.
    address: Option<SocketAddr>,
}

impl Guard {
    /// A guard for an API on this address, or on a socket in the file system.
    pub(crate) fn new(address: Option<SocketAddr>) -> Self {
        Self { address }
    }

    /// Lets a request in, or says why not; `token`: what callers must present, if anything.
    ///
    /// With a token the `Host` does not matter: a web page whose name was bent to this address has no token, and
    /// an operator may call the machine by any name.
    pub(super) fn admit(&self, headers: &HeaderMap, token: Option<&[u8]>) -> Result<(), Refusal> {
        match token {
            Some(token) => authorized(headers, token),
            None => self.admit_own_names(headers),
        }
    }

    fn admit_own_names(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(address) = self.address else { return Ok(()) };
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
        let known = host.as_ref().is_some_and(|host| is_own(host.host(), address.ip()));
        if known && hosts.next().is_none() {
            return Ok(());
        }
        Err(Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            "foreign_host",
            "the request's `Host` is no name of this machine's own",
            format!("ask for http://{address}/; without a token no other name is answered"),
        ))
    }
}

/// RFC 6750 section 2.1.
fn authorized(headers: &HeaderMap, token: &[u8]) -> Result<(), Refusal> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let presented = fields.next().and_then(|field| {
        let (scheme, token) = field.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
    });
    if fields.next().is_none() && presented.is_some_and(|presented| presented.ct_eq(token).into()) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "the admin token is missing or wrong",
        "send `Authorization: Bearer TOKEN` with the token of `admin.token_file`",
    ))
}

fn is_own(host: &str, own: IpAddr) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback() || ip.to_canonical() == own.to_canonical(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn admits(
        guard: &Guard,
        token: Option<&[u8]>,
        fields: &[(&'static str, &str)],
    ) -> Result<(), StatusCode> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        guard.admit(&headers, token).map_err(|refusal| refusal.status)
    }

    #[test]
    fn only_own_names_are_answered_without_a_token() {
        let guard = Guard::new(Some("127.0.0.1:9900".parse().unwrap()));
        let host = |host: &str| admits(&guard, None, &[("host", host)]);
        for good in ["127.0.0.1:9900", "127.0.0.1", "localhost:9900", "LOCALHOST", "[::1]:9900", "127.9.9.9"]
        {
            assert_eq!(host(good), Ok(()), "{good}");
        }
        for bad in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "a b", ""]
        {
            assert_eq!(host(bad), Err(StatusCode::MISDIRECTED_REQUEST), "{bad}");
        }
        assert_eq!(admits(&guard, None, &[]), Err(StatusCode::MISDIRECTED_REQUEST));
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(admits(&guard, None, &twice), Err(StatusCode::MISDIRECTED_REQUEST));
        assert_eq!(admits(&Guard::new(None), None, &[("host", "anything")]), Ok(()), "a socket");
    }

    #[test]
    fn a_token_counts_whole_and_once() {
        let guard = Guard::new(None);
        let presents = |fields: &[(&'static str, &str)]| admits(&guard, Some(TOKEN), fields);
        let good = "Bearer 0123456789abcdef0123456789abcdef";
        assert_eq!(presents(&[("authorization", good)]), Ok(()));
        assert_eq!(presents(&[("authorization", &good.replace("Bearer", "bearer"))]), Ok(()));
        let (basic, other) = (good.replace("Bearer", "Basic"), good.replace("0123", "0124"));
        for bad in ["", "Bearer", "Bearer ", &basic, &other, &good[..38], &format!("{good}0")] {
            assert_eq!(presents(&[("authorization", bad)]), Err(StatusCode::UNAUTHORIZED), "{bad}");
        }
        assert_eq!(presents(&[("authorization", good); 2]), Err(StatusCode::UNAUTHORIZED));
        assert_eq!(presents(&[]), Err(StatusCode::UNAUTHORIZED));
    }
}
