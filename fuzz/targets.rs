//! What each fuzz target does with its bytes, and what must hold. `tests/suite/fuzz_corpus.rs` replays the corpus with it.
#![allow(dead_code, reason = "each target uses one of them")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use steadfast::affinity::{
    ClientName, ConnectionIdForm, ConnectionIds, Key, KeyRing, PoolBinding, Stripped, pairs,
    parse_set_cookie, strip,
};
use steadfast::listen::{
    Chunked, Framing, Head, HeadLimits, ProxyHeader, ProxyVersion, inspect, proxy_header as written,
    proxy_header_in,
};
use steadfast::names::{BackendTag, PoolName};
use steadfast::route::{
    Action, Condition, Found, HeaderChanges, HostPattern, Matcher, PathPattern, PoolIndex, RequestView,
    Rewrite, Route, RouteTable, ValueTest,
};
use zeroize::Zeroizing;

/// `Cookie` fields: a cookie that was taken out is gone, and all others stay as they are.
pub(crate) fn cookie(data: &[u8]) {
    const NAME: &[u8] = b"steadfast";
    let others = |field: &[u8]| -> Vec<(Vec<u8>, Vec<u8>)> {
        let kept = pairs(field).filter(|pair| pair.name != NAME);
        kept.map(|pair| (pair.name.to_vec(), pair.value.to_vec())).collect()
    };
    match strip(data, NAME) {
        Stripped::Unchanged => assert!(pairs(data).all(|pair| pair.name != NAME)),
        Stripped::Empty => assert!(others(data).is_empty(), "others are lost"),
        Stripped::Changed(left) => {
            assert!(pairs(&left).all(|pair| pair.name != NAME), "it is still there");
            assert_eq!(others(data), others(&left));
        }
    }
}

/// `Set-Cookie` fields.
pub(crate) fn set_cookie(data: &[u8]) {
    if let Some(parsed) = parse_set_cookie(data, 1_700_000_000) {
        assert!(parsed.name.len() <= data.len() && parsed.value.len() <= data.len());
    }
}

/// Tokens: what nobody sealed does not open.
pub(crate) fn token(data: &[u8]) {
    static KEYS: LazyLock<KeyRing> = LazyLock::new(|| {
        let older = vec![Key::new("b", &Zeroizing::new([2; 32]))];
        KeyRing::new(Key::new("a", &Zeroizing::new([1; 32])), older)
    });
    static POOL: LazyLock<PoolBinding> = LazyLock::new(|| PoolBinding::of(&PoolName::new("app")));
    assert!(KEYS.open(data, &POOL).is_err(), "forged");
}

/// Configuration files: refused with words, or checked.
pub(crate) fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let nothing = |_: &str| None;
    match steadfast::config::parse_with(text, Path::new("/nowhere/steadfast.yaml"), &nothing) {
        Ok(checked) => assert!(!checked.listeners.is_empty() && !checked.pools.is_empty()),
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
}

/// Heads of HTTP/1 requests: cutting makes no difference, and what passes has one framing and lines that end in CRLF.
pub(crate) fn head(data: &[u8]) {
    const LIMITS: HeadLimits =
        HeadLimits { bytes: 4096, fields: 50, target_bytes: 1024, body_bytes: Some(1 << 40) };
    let whole = inspect(data, 0, &LIMITS);
    let mut searched = 0;
    for end in 1..=data.len().min(2 * LIMITS.bytes) {
        match inspect(&data[..end], searched, &LIMITS) {
            Ok(Head::Partial) => searched = end,
            Ok(Head::Whole { length, framing }) => {
                assert_eq!(whole, Ok(Head::Whole { length, framing }), "cut at {end}");
                break;
            }
            // A limit or a bare LF may show before the rest has come.
            Err(_) => break,
        }
    }
    let Ok(Head::Whole { length, framing }) = whole else { return };
    let head = &data[..length];
    assert!(head.ends_with(b"\r\n\r\n") && !head.contains(&0));
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let lines: Vec<&str> = text.strip_suffix("\r\n\r\n").unwrap_or_default().split("\r\n").collect();
    assert!(lines.iter().all(|line| !line.contains(['\r', '\n']) && !line.starts_with([' ', '\t'])));
    let count = |name: &str| lines.iter().skip(1).filter(|line| line.starts_with(name)).count();
    let (lengths, codings) = (count("content-length"), count("transfer-encoding"));
    match framing {
        Framing::Chunked => {
            assert!(codings >= 1 && !lines.iter().any(|line| line.starts_with("content-length:")))
        }
        Framing::Length(length) if length > 0 => assert!(lengths >= 1),
        Framing::Length(_) | Framing::Upgrade => {}
    }
}

/// Chunked bodies: cutting makes no difference.
pub(crate) fn chunked(data: &[u8]) {
    let mut whole = Chunked::default();
    let at_once = whole.follow(data);
    let mut bytewise = Chunked::default();
    let mut taken = 0;
    for byte in data {
        match bytewise.follow(std::slice::from_ref(byte)) {
            Ok(here) => taken += here,
            Err(_) => return assert!(at_once.is_err(), "only byte by byte it is bad"),
        }
    }
    assert_eq!(at_once, Ok(taken));
    assert_eq!(whole.ended(), bytewise.ended());
}

/// PROXY protocol headers: of bounded length, found as soon as all of it is there and not before, and the same when it is written
/// and read again.
pub(crate) fn proxy_header(data: &[u8]) {
    let Some((length, found)) = proxy_header_in(data) else { return };
    assert!(length <= data.len() && length <= 1024);
    assert_eq!(proxy_header_in(&data[..length]), Some((length, found)), "what follows makes no difference");
    assert!((0..length).all(|end| proxy_header_in(&data[..end]).is_none()), "it is found too early");
    let ProxyHeader::Client { source, destination } = found else { return };
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        let again = written(version, source, destination);
        let Some((length, ProxyHeader::Client { source: from, destination: to })) = proxy_header_in(&again)
        else {
            panic!("what we write is none: {again:?}");
        };
        assert_eq!(length, again.len());
        // An address of IPv4 may be written as what it is.
        let plain = |address: std::net::SocketAddr| (address.ip().to_canonical(), address.port());
        assert_eq!((plain(from), plain(to)), (plain(source), plain(destination)));
    }
}

/// What clients of TLS, RDP and MQTT say first: bytes that come late make no difference, and each wait is for more.
pub(crate) fn first_bytes(data: &[u8]) {
    for of in [ClientName::TlsServerName, ClientName::RdpCookie, ClientName::MqttClientId] {
        let at_once = steadfast::first_bytes_say(data, of);
        let mut have = 0;
        let piecewise = loop {
            match steadfast::first_bytes_say(&data[..have], of) {
                Err(needed) => {
                    assert!(needed > have, "it waits for what it has");
                    if have == data.len() {
                        break Err(needed);
                    }
                    have = needed.min(data.len());
                }
                Ok(said) => {
                    assert!(said.as_ref().is_none_or(|said| said.len() <= have));
                    break Ok(said);
                }
            }
        };
        assert_eq!(at_once, piecewise, "{of:?}");
    }
}

/// Connection ids of QUIC: what stands behind one makes no difference, one that is cut off leads nowhere, and one in the clear leads
/// only to the server that stands in it.
pub(crate) fn connection_id(data: &[u8]) {
    static IDS: LazyLock<ConnectionIds> = LazyLock::new(|| {
        let form = |config_id, server_id_length: u8, nonce_length, key, encodes_length| {
            let ids = (0..=u8::MAX).map(|n| vec![n; usize::from(server_id_length)]);
            ConnectionIdForm {
                config_id,
                server_id_length,
                nonce_length,
                key,
                encodes_length,
                servers: ids.zip(0..).map(|(id, n)| (id, BackendTag(n))).collect(),
            }
        };
        let key = || Some(Zeroizing::new([7; 16]));
        ConnectionIds::new([
            form(0, 1, 4, None, false),
            form(1, 1, 4, None, true),
            form(2, 1, 15, key(), false),
            form(3, 1, 4, key(), true),
            form(4, 1, 9, key(), false),
            form(5, 15, 4, key(), false),
        ])
    });
    const LONGEST_HEADER: usize = 26;
    let home = IDS.home(data);
    let end = data.len().min(LONGEST_HEADER);
    assert_eq!(IDS.home(&data[..end]), home, "what is behind the id makes a difference");
    if data.len() >= LONGEST_HEADER {
        assert_eq!(IDS.home(&[data, b"more"].concat()), home);
    }
    let begins = match data.first() {
        Some(first) if first & 0x80 == 0 => 1,
        _ => 6,
    };
    let shortest = data.get(..begins + 1 + 4).and_then(|cut| IDS.home(cut));
    assert_eq!(shortest, None, "it is cut off");
    if let (Some(BackendTag(server)), Some([first, server_id, ..])) = (home, data.get(begins..))
        && first >> 5 < 2
    {
        assert_eq!(server, u64::from(*server_id), "another server");
    }
}

/// Route tables: the first line is a method, the second a host, the third a target, all others are fields. The table's
/// index and a walk over single routes lead to the same route.
pub(crate) fn route(data: &[u8]) {
    static TABLES: LazyLock<(RouteTable, Vec<RouteTable>)> = LazyLock::new(|| {
        let routes = routes();
        let alone = routes.iter().map(|route| RouteTable::new(vec![route.clone()])).collect();
        (RouteTable::new(routes), alone)
    });
    let mut lines = data.split(|byte| *byte == b'\n');
    let method = lines.next().and_then(|line| Method::from_bytes(line).ok()).unwrap_or(Method::GET);
    let host = lines.next();
    let target = lines.next().unwrap_or_default();
    let mut headers = HeaderMap::new();
    for line in lines.take(50) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(&value[1..])) {
            headers.append(name, value);
        }
    }
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let request = RequestView { method: &method, host, target, headers: &headers, client, server_name: None };
    let (table, alone) = &*TABLES;
    let Found::Route(found) = table.find(&request) else { return };
    let walked = alone.iter().find_map(|table| match table.find(&request) {
        Found::Route(route) => Some(route),
        Found::Nothing | Found::Ambiguous => None,
    });
    assert_eq!(walked.map(|route| &route.name), Some(&found.name));
}

fn routes() -> Vec<Route> {
    let exact = |text: &str| PathPattern::Exact(text.as_bytes().into());
    let prefix = |text: &str| PathPattern::Prefix(text.as_bytes().into());
    let host = |text: &str| HostPattern::Exact(text.as_bytes().into());
    let below = |text: &str| HostPattern::Below(text.as_bytes().into());
    let matchers = [
        Matcher { hosts: vec![host("a.example.com")], paths: vec![exact("/a")], conditions: vec![] },
        Matcher {
            hosts: vec![below("example.com")],
            paths: vec![prefix("/a"), prefix("/b/c")],
            conditions: vec![],
        },
        Matcher {
            hosts: vec![],
            paths: vec![prefix("/admin")],
            conditions: vec![
                Condition::Method([Method::POST].into()),
                Condition::Cookie((*b"a").into(), ValueTest::Present),
            ],
        },
        Matcher {
            hosts: vec![],
            paths: vec![],
            conditions: vec![Condition::Query((*b"q").into(), ValueTest::Equals([(*b"1").into()].into()))],
        },
        Matcher {
            hosts: vec![],
            paths: vec![prefix("/")],
            conditions: vec![Condition::Header(HeaderName::from_static("x"), ValueTest::Absent)],
        },
        Matcher::default(),
    ];
    let route = |(n, matcher): (u16, Matcher)| Route {
        name: n.to_string().into(),
        place: n.into(),
        matcher,
        action: Action::Pool(PoolIndex(n)),
        rewrite: Rewrite::default(),
        request_headers: HeaderChanges::default(),
        response_headers: HeaderChanges::default(),
        mirror: None,
    };
    (0..).zip(matchers).map(route).collect()
}
