use http::{HeaderMap, Method, header};
use proptest::prelude::*;
use regex::bytes::Regex;

use super::super::matcher::{Condition, HostPattern, MediaRange, PathPattern, ValueTest};
use super::*;

fn bytes(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}

fn host(text: &str) -> HostPattern {
    text.strip_prefix("*.")
        .map_or_else(|| HostPattern::Exact(bytes(text)), |below| HostPattern::Below(bytes(below)))
}

fn path(text: &str) -> PathPattern {
    match text.split_once(' ') {
        Some(("prefix", path)) => PathPattern::Prefix(bytes(path)),
        Some(("regex", regex)) => PathPattern::Regex(Regex::new(&format!(r"(?s-u)\A(?:{regex})\z")).unwrap()),
        _ => PathPattern::Exact(bytes(text)),
    }
}

fn table(matchers: Vec<Matcher>) -> RouteTable {
    let route = |(number, matcher): (usize, Matcher)| Route {
        name: number.to_string().into(),
        place: number,
        matcher,
        action: Action::Pool(PoolIndex(0)),
        rewrite: Rewrite::default(),
        request_headers: HeaderChanges::default(),
        response_headers: HeaderChanges::default(),
        mirror: None,
    };
    RouteTable::new(matchers.into_iter().enumerate().map(route).collect())
}

fn routes(lines: &[(&[&str], &[&str])]) -> RouteTable {
    let matcher = |(hosts, paths): &(&[&str], &[&str])| Matcher {
        hosts: hosts.iter().map(|text| host(text)).collect(),
        paths: paths.iter().map(|text| path(text)).collect(),
        conditions: Vec::new(),
    };
    table(lines.iter().map(matcher).collect())
}

fn ask<'t>(table: &'t RouteTable, host: &str, target: &str, headers: &HeaderMap) -> &'t str {
    let request = RequestView {
        method: &Method::GET,
        host: Some(host.as_bytes()),
        target: target.as_bytes(),
        headers,
        client: [10, 0, 0, 1].into(),
        server_name: None,
    };
    match table.find(&request) {
        Found::Route(route) => &route.name,
        Found::Nothing => "none",
        Found::Ambiguous => "ambiguous",
    }
}

#[test]
fn the_first_route_of_the_file_wins() {
    let table = routes(&[
        (&["a.test"], &["/exact"]),
        (&["*.example.com"], &["prefix /api"]),
        (&["app.example.com"], &[]),
        (&[], &["prefix /api", "/login"]),
        (&["*.example.com"], &[]),
        (&[], &["regex /v[0-9]+(/.*)?"]),
        (&["a.test"], &["prefix /"]),
    ]);
    for (host, target, expected) in [
        ("a.test", "/exact", "0"),
        ("A.TEST:8080", "/exact?x=/api", "0"),
        ("a.test", "/exact/", "6"),
        ("app.example.com", "/api/x", "1"),
        ("app.example.com", "/apix", "2"),
        ("other.example.com", "/", "4"),
        ("deep.other.example.com.", "/api", "1"),
        ("example.com", "/api/", "3"),
        ("example.com", "/login", "3"),
        ("example.com", "/login/x", "none"),
        ("example.com", "/v12/x", "5"),
        ("example.com", "/v12x", "none"),
        ("a.test", "/v1", "5"),
        ("a.test", "http://a.test/exact", "0"),
        ("a.test", "http://a.test", "6"),
        ("a.test", "*", "none"),
        ("none.test", "/", "none"),
    ] {
        assert_eq!(ask(&table, host, target, &HeaderMap::new()), expected, "{host} {target}");
    }
}

/// No path that a server takes for another one gets around a route, whether this lets in or keeps out.
#[test]
fn a_route_cannot_be_dodged() {
    let keeps_out = routes(&[(&[], &["prefix /admin"]), (&[], &[])]);
    let lets_in = routes(&[(&[], &["prefix /public"]), (&[], &[])]);
    for target in [
        "/admin",
        "/%61dmin",
        "//admin",
        "/./admin",
        "/x/../admin",
        "/admin;x=1",
        "/admin/",
        "/x//../admin",
        "/x;y/../admin/z",
        "/x/..;/admin",
        "/x%2f..%2fadmin",
        "/x\\..\\admin",
        "/x/%2e%2e/admin",
        "/public/../admin",
        "/admin/..;/public",
        "/admin/../public",
        "/public;/../admin",
        "/public;%2f..%2fadmin",
        "/admin%2fx",
        "/admin%00",
    ] {
        let found = ask(&keeps_out, "a", target, &HeaderMap::new());
        assert!(
            ["0", "ambiguous"].contains(&found),
            "{target} got past the route that keeps it out: {found}"
        );
        let found = ask(&lets_in, "a", target, &HeaderMap::new());
        assert!(["1", "ambiguous"].contains(&found), "{target} got in by the route of other paths: {found}");
    }
    for harmless in ["/x%2fy", "/x/a%2Fb/c", "/x\\y", "/x/../y", "/x;jsessionid=A1/y"] {
        assert_eq!(ask(&keeps_out, "a", harmless, &HeaderMap::new()), "1", "{harmless}");
    }
}

#[test]
fn all_conditions_have_to_hold() {
    let test = |values: &[&str]| ValueTest::Equals(values.iter().map(|text| bytes(text)).collect());
    let all = vec![
        Condition::Method([Method::GET, Method::HEAD].into()),
        Condition::Header("x-tenant".parse().unwrap(), test(&["acme", "globex"])),
        Condition::Cookie(bytes("beta"), test(&["1"])),
        Condition::Query(bytes("format"), test(&["a b"])),
        Condition::Accept([MediaRange { kind: bytes("text"), subtype: Some(bytes("csv")) }].into()),
        Condition::ContentType([MediaRange { kind: bytes("application"), subtype: None }].into()),
        Condition::Client(["10.0.0.0/8".parse().unwrap()].into()),
        Condition::ServerName([HostPattern::Below(bytes("example.com"))].into()),
        Condition::Header("x-absent".parse().unwrap(), ValueTest::Absent),
        Condition::Query(bytes("flag"), ValueTest::Present),
        Condition::Header("x-version".parse().unwrap(), ValueTest::Regex(Regex::new(r"\A[0-9]+\z").unwrap())),
    ];
    let table = table(vec![Matcher { conditions: all, ..Matcher::default() }]);
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-tenant", "other"),
        ("x-tenant", " globex"),
        ("cookie", "a=b; beta=0"),
        ("cookie", "beta=\"1\""),
        ("accept", "text/csv"),
        ("content-type", "application/json; charset=utf-8"),
        ("x-version", "12"),
    ] {
        headers.append(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
    }
    let good = RequestView {
        method: &Method::GET,
        host: None,
        target: b"/x?flag&format=x&form%61t=a+b",
        headers: &headers,
        client: [10, 1, 2, 3].into(),
        server_name: Some("App.Example.com"),
    };
    let taken = |request: &RequestView<'_>| matches!(table.find(request), Found::Route(_));
    assert!(taken(&good));
    assert!(!taken(&RequestView { method: &Method::POST, ..good }));
    assert!(!taken(&RequestView { target: b"/x?flag&format=x", ..good }));
    assert!(!taken(&RequestView { target: b"/x?format=a+b", ..good }));
    assert!(!taken(&RequestView { client: [11, 0, 0, 1].into(), ..good }));
    assert!(!taken(&RequestView { server_name: None, ..good }), "cleartext has no server name");
    assert!(!taken(&RequestView { server_name: Some("example.com"), ..good }));
    for name in ["x-tenant", "cookie", "accept", "content-type", "x-version"] {
        let mut fewer = headers.clone();
        fewer.remove(name);
        assert!(!taken(&RequestView { headers: &fewer, ..good }), "without {name}");
    }
    for (name, value) in [("x-absent", ""), ("x-version", "12a"), ("accept", "text/html")] {
        let mut other = headers.clone();
        other.insert(name, value.parse().unwrap());
        assert!(!taken(&RequestView { headers: &other, ..good }), "{name}: {value}");
    }
}

/// What a newline or a byte that is no UTF-8 would do to `.` in another mode.
#[test]
fn a_pattern_meets_any_byte() {
    let table = routes(&[(&[], &["regex /admin/.*"]), (&[], &[])]);
    for target in ["/admin/%0a", "/admin/%ff", "/admin/x%0ay"] {
        assert_eq!(ask(&table, "a", target, &HeaderMap::new()), "0", "{target}");
    }
}

const HOSTS: [&str; 7] = ["a.test", "b.test", "*.test", "*.a.test", "x.a.test", "c.d.test", "*.d.test"];
const PATHS: [&str; 11] = [
    "/",
    "/a",
    "/a/",
    "prefix /",
    "prefix /a",
    "prefix /a/b",
    "/a/b",
    "regex /a.*",
    "regex /[ab]/.",
    "regex .*b",
    "prefix /b/",
];

fn pick<const N: usize>(from: [&'static str; N], most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(from.to_vec()), 0..=most)
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let condition = prop::option::of(prop_oneof![
        Just(Condition::Method([Method::POST].into())),
        Just(Condition::Header(header::ACCEPT_LANGUAGE, ValueTest::Equals([bytes("de")].into()))),
        Just(Condition::Client(["10.0.0.0/8".parse().unwrap()].into())),
    ]);
    (pick(HOSTS, 3), pick(PATHS, 3), condition).prop_map(|(hosts, paths, condition)| Matcher {
        hosts: hosts.into_iter().map(host).collect(),
        paths: paths.into_iter().map(path).collect(),
        conditions: condition.into_iter().collect(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The index finds what a look at every route in turn finds.
    #[test]
    fn the_first_match_in_file_order_is_found(
        matchers in prop::collection::vec(matcher(), 0..24),
        names in prop::collection::vec("(x\\.)?[abc](\\.[ad])?\\.test(:80)?", 4),
        targets in prop::collection::vec("/([ab]{0,2}/?){0,3}(\\?q)?|\\*|/a/\\.\\./b|/%61%2fb", 4),
        post in any::<bool>(),
        german in any::<bool>(),
        last in 9..=11_u8,
    ) {
        let table = table(matchers.clone());
        let mut headers = HeaderMap::new();
        if german {
            headers.insert(header::ACCEPT_LANGUAGE, "de".parse().unwrap());
        }
        for (name, target) in names.iter().zip(&targets) {
            let request = RequestView {
                method: if post { &Method::POST } else { &Method::GET },
                host: Some(name.as_bytes()),
                target: target.as_bytes(),
                headers: &headers,
                client: [last, 0, 0, 1].into(),
                server_name: None,
            };
            let naive = |path: Option<&[u8]>| matchers.iter().position(|matcher| matcher.takes(&request, path));
            let raw = request.path();
            let usual = raw.map(path::usual);
            let first = naive(usual.as_deref());
            let agree = raw.is_none_or(|raw| path::others(raw).all(|reading| naive(Some(&reading)) == first));
            match table.find(&request) {
                Found::Route(route) => prop_assert_eq!(Some(route.name.to_string()), first.map(|n| n.to_string())),
                Found::Nothing => prop_assert_eq!(first, None),
                Found::Ambiguous => prop_assert!(!agree),
            }
            if agree {
                prop_assert!(!matches!(table.find(&request), Found::Ambiguous));
            }
        }
    }
}

/// Of ten thousand hosts, a request looks at the routes of its own.
#[test]
fn cost_grows_with_matches_not_with_routes() {
    let looked_at = |hosts: u32| {
        let names: Vec<_> = (0..hosts).map(|n| format!("host{n}.test")).collect();
        let matchers = names.iter().map(|name| Matcher { hosts: vec![host(name)], ..Matcher::default() });
        let matchers: Vec<_> = matchers.collect();
        let index = Index::new(matchers.iter());
        let looks = std::cell::Cell::new(0);
        let look = |_| {
            looks.set(looks.get() + 1);
            false
        };
        assert_eq!(index.first(Some(b"host7.test"), Some(b"/"), &look), None);
        looks.get()
    };
    assert_eq!((looked_at(10), looked_at(10_000)), (1, 1));
}

/// More patterns than one set has room for are still all found.
#[test]
fn many_patterns_are_matched_together() {
    let paths: Vec<_> = (0..400).map(|n| format!("regex /x{n}/[a-z]{{1,40}}/[0-9]{{1,40}}")).collect();
    let matchers = paths.iter().map(|text| Matcher { paths: vec![path(text)], ..Matcher::default() });
    let table = table(matchers.collect());
    for n in [0, 7, 399] {
        assert_eq!(ask(&table, "a", &format!("/x{n}/abc/123"), &HeaderMap::new()), n.to_string());
    }
    assert_eq!(ask(&table, "a", "/x400/abc/123", &HeaderMap::new()), "none");
}
