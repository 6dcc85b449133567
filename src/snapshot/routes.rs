//! From checked routes to a table.

use http::{HeaderName, Method};

use crate::config::checked;
use crate::route::{
    Condition, HostPattern, Matcher, MediaRange, PathPattern, PoolIndex, Route, RouteTable, ValueTest,
};

/// The routes of one listener.
pub(super) fn table(routes: Vec<checked::Route>) -> RouteTable {
    let route = |(route, number): (checked::Route, u32)| {
        Some(Route {
            name: route.name.unwrap_or_else(|| format!("#{number}")).into(),
            matcher: matcher(route.matcher),
            pool: PoolIndex(u16::try_from(route.pool).ok()?),
        })
    };
    RouteTable::new(routes.into_iter().zip(1..).filter_map(route).collect())
}

fn matcher(matcher: checked::Matcher) -> Matcher {
    let checked::Matcher { hosts, paths, methods, headers, cookies, query, accept, content_type, client } =
        matcher;
    let mut conditions = Vec::new();
    let mut add = |is_given: bool, condition: Condition| {
        if is_given {
            conditions.push(condition);
        }
    };
    // The cheapest first.
    let methods: Box<[_]> =
        methods.iter().filter_map(|method| Method::from_bytes(method.as_bytes()).ok()).collect();
    add(!methods.is_empty(), Condition::Method(methods));
    add(!client.is_empty(), Condition::Client(client.into()));
    for (name, test) in headers {
        if let Ok(name) = HeaderName::try_from(name) {
            add(true, Condition::Header(name, self::test(test)));
        }
    }
    for (name, test) in query {
        add(true, Condition::Query(bytes(name), self::test(test)));
    }
    for (name, test) in cookies {
        add(true, Condition::Cookie(bytes(name), self::test(test)));
    }
    add(!accept.is_empty(), Condition::Accept(media(accept)));
    add(!content_type.is_empty(), Condition::ContentType(media(content_type)));
    Matcher {
        hosts: hosts.into_iter().map(host).collect(),
        paths: paths.into_iter().map(path).collect(),
        conditions,
    }
}

fn host(host: checked::HostPattern) -> HostPattern {
    match host {
        checked::HostPattern::Exact(name) => HostPattern::Exact(bytes(name)),
        checked::HostPattern::Below(domain) => HostPattern::Below(bytes(domain)),
    }
}

fn path(path: checked::PathPattern) -> PathPattern {
    match path {
        checked::PathPattern::Exact(path) => PathPattern::Exact(path.into()),
        checked::PathPattern::Prefix(path) => PathPattern::Prefix(path.into()),
        checked::PathPattern::Regex(pattern) => PathPattern::Regex(pattern.regex),
    }
}

fn test(test: checked::ValueTest) -> ValueTest {
    match test {
        checked::ValueTest::Present => ValueTest::Present,
        checked::ValueTest::Absent => ValueTest::Absent,
        checked::ValueTest::Equals(values) => ValueTest::Equals(values.into_iter().map(bytes).collect()),
        checked::ValueTest::Regex(pattern) => ValueTest::Regex(pattern.regex),
    }
}

fn media(types: Vec<checked::MediaRange>) -> Box<[MediaRange]> {
    let media = |media: checked::MediaRange| MediaRange {
        kind: bytes(media.kind),
        subtype: media.subtype.map(bytes),
    };
    types.into_iter().map(media).collect()
}

fn bytes(text: String) -> Box<[u8]> {
    text.into_bytes().into()
}
