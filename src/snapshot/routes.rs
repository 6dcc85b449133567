//! From checked routes to a table.

use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::config::checked;
use crate::route::{
    Action, Condition, FixedAnswer, HeaderChanges, HostPattern, Matcher, MediaRange, Mirror, Part,
    PathPattern, Piece, PoolIndex, Rewrite, Route, RouteTable, Split, Template, ValueTest,
};

/// The routes of one listener.
pub(super) fn table(routes: Vec<checked::Route>) -> RouteTable {
    let route = |(place, route): (usize, checked::Route)| {
        Some(Route {
            name: name(&route, place).into(),
            place,
            matcher: matcher(route.matcher),
            action: action(route.action)?,
            rewrite: Rewrite {
                path: route.rewrite.path.map(template).unwrap_or_default(),
                host: route.rewrite.host.map(template).unwrap_or_default(),
            },
            request_headers: header_changes(route.request_headers),
            response_headers: header_changes(route.response_headers),
            mirror: match route.mirror {
                Some(mirror) => {
                    Some(Mirror::new(pool(mirror.pool)?, mirror.share, mirror.body_bytes, mirror.at_once))
                }
                None => None,
            },
        })
    };
    RouteTable::new(routes.into_iter().enumerate().filter_map(route).collect())
}

/// Its name in log and `explain`.
pub(super) fn name(route: &checked::Route, place: usize) -> String {
    route.name.clone().unwrap_or_else(|| format!("#{}", place + 1))
}

fn pool(index: usize) -> Option<PoolIndex> {
    u16::try_from(index).ok().map(PoolIndex)
}

fn action(action: checked::Action) -> Option<Action> {
    Some(match action {
        checked::Action::Pool(index) => Action::Pool(pool(index)?),
        checked::Action::Split(parts) => {
            let part = |(index, weight)| Some(Part { pool: pool(index)?, weight });
            Action::Split(Split::new(parts.into_iter().map(part).collect::<Option<_>>()?))
        }
        checked::Action::Redirect { status, to } => {
            Action::Redirect { status: StatusCode::from_u16(status).ok()?, to: template(to) }
        }
        checked::Action::Respond { status, media_type, body } => Action::Respond(FixedAnswer {
            status: StatusCode::from_u16(status).ok()?,
            media_type: HeaderValue::try_from(media_type).ok()?,
            body: body.into(),
        }),
    })
}

fn template(template: checked::Template) -> Template {
    let piece = |piece| match piece {
        checked::Piece::Text(text) => Piece::Text(bytes(text)),
        checked::Piece::Scheme => Piece::Scheme,
        checked::Piece::Host => Piece::Host,
        checked::Piece::Path => Piece::Path,
        checked::Piece::Rest => Piece::Rest,
        checked::Piece::Query => Piece::Query,
        checked::Piece::Client => Piece::Client,
        checked::Piece::RequestId => Piece::RequestId,
    };
    Template(template.0.into_iter().map(piece).collect())
}

fn header_changes(changes: checked::HeaderChanges) -> HeaderChanges {
    let fields = |fields: Vec<(String, checked::Template)>| {
        fields.into_iter().map(|(name, value)| (name.into(), template(value))).collect()
    };
    HeaderChanges {
        remove: changes.remove.into_iter().filter_map(|name| name.try_into().ok()).collect(),
        set: fields(changes.set),
        add: fields(changes.add),
    }
}

fn matcher(matcher: checked::Matcher) -> Matcher {
    let checked::Matcher {
        hosts,
        paths,
        methods,
        headers,
        cookies,
        query,
        accept,
        content_type,
        client,
        server_names,
    } = matcher;
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
    let server_names: Box<[_]> = server_names.into_iter().map(host).collect();
    add(!server_names.is_empty(), Condition::ServerName(server_names));
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

pub(super) fn media(types: Vec<checked::MediaRange>) -> Box<[MediaRange]> {
    let media = |media: checked::MediaRange| MediaRange {
        kind: bytes(media.kind),
        subtype: media.subtype.map(bytes),
    };
    types.into_iter().map(media).collect()
}

fn bytes(text: String) -> Box<[u8]> {
    text.into_bytes().into()
}
