//! Routes: they lead somewhere, and each can match.

use super::{Surroundings, actions, all, shadow};
use crate::config::checked::{Action, LimitBy, Matcher, PathPattern, RequestLimit, Route, ValueTest};
use crate::config::collections::{Keyed, Named, OneOrMany};
use crate::config::model;
use crate::config::network::Network;
use crate::config::patterns::{HostPattern, MatchPath, MediaType, Method, Pattern};
use crate::config::read::Spanned;
use crate::config::report::{Code, Place, nearest};
use crate::config::text::{Name, Switch, Text};

/// More routes than one listener can have.
const MAX_ROUTES: usize = 1_000_000;

/// Checks the routes of one listener.
pub(super) fn routes(
    routes: Spanned<Vec<Spanned<model::Route>>>,
    pools: &Spanned<Named<model::Pool>>,
    around: &Surroundings<'_>,
) -> Option<Vec<Route>> {
    let (place, given) = (routes.place, routes.given);
    let routes = routes.value?;
    if !given {
        let help = "add `routes: [{ pool: NAME }]` here";
        around.error(Code::MissingKey, &place, "`routes` is missing", help);
        return None;
    }
    if routes.is_empty() {
        let message = "`routes` is empty: no request would be served";
        around.error(Code::MissingKey, &place, message, "add `{ pool: NAME }`");
        return None;
    }
    if routes.len() > MAX_ROUTES {
        let message = format!("`routes` has more than {MAX_ROUTES} entries");
        around.error(Code::OutOfRange, &place, message, "split the listener");
        return None;
    }
    let named = routes.iter().filter_map(|route| {
        let name = &route.get()?.name;
        Some((name.get()?.as_ref()?.0.as_str(), &name.place))
    });
    around.unique("route name", named);
    let places: Vec<Place> = routes.iter().map(|route| route.place.clone()).collect();
    // What was meant by a `match` without a usable condition is not known.
    let is_vague = |route: &Spanned<model::Route>| {
        matches!(route.get().map(|route| &route.r#match.value), Some(Some(Some(_))))
    };
    let vague: Vec<bool> = routes.iter().map(is_vague).collect();
    let checked: Vec<_> =
        routes.into_iter().map(|route| self::route(route.value?, &route.place, pools, around)).collect();
    let matchers = checked.iter().zip(vague).map(|(route, vague)| {
        let matcher = route.as_ref().map(|route| &route.matcher);
        matcher.filter(|matcher| !vague || **matcher != Matcher::default())
    });
    let matchers: Vec<_> = matchers.collect();
    shadow::report(&matchers, &places, around);
    all(checked.into_iter())
}

/// The pools that routes name; `None`: a name is broken, and may mean any of them.
pub(super) fn pools_named(routes: &[Spanned<model::Route>]) -> Option<Vec<&Name>> {
    let names: Option<Vec<_>> = routes.iter().map(|route| pools_of(route.get()?)).collect();
    Some(names?.into_iter().flatten().collect())
}

/// The pools that a route names.
pub(super) fn pools_of(route: &model::Route) -> Option<Vec<&Name>> {
    let mut names = Vec::new();
    names.extend(route.pool.get()?);
    for part in route.split.get()?.iter().flatten() {
        names.push(part.get()?.pool.get()?);
    }
    if let Some(mirror) = route.mirror.get()? {
        names.push(mirror.pool.get()?);
    }
    Some(names)
}

fn route(
    route: model::Route,
    place: &Place,
    pools: &Spanned<Named<model::Pool>>,
    around: &Surroundings<'_>,
) -> Option<Route> {
    let model::Route {
        name,
        r#match,
        pool,
        split,
        redirect,
        respond,
        rewrite,
        request_headers,
        response_headers,
        mirror,
        limits,
    } = route;
    let matcher = matcher(r#match, around);
    let known = matcher.as_ref();
    let to_backend = [&rewrite.place, &request_headers.place, &mirror.place];
    let given = [rewrite.given, request_headers.given, mirror.given];
    let keys = actions::Keys { pool, split, redirect, respond };
    let action = actions::action(keys, place, known, pools, around);
    if matches!(action, Some(Action::Redirect { .. } | Action::Respond { .. }))
        && let Some((place, _)) = to_backend.into_iter().zip(given).find(|(_, given)| *given)
    {
        let message = format!("`{}` has no effect: the route sends nothing to a backend", place.name());
        around.error(Code::Unused, place, message, "remove it");
    }
    let limits_place = limits.place;
    let requests = limits.value.map(|limits| super::limits::requests(limits.requests, around));
    let requests = requests.flatten();
    let by_session = |limit: &RequestLimit| limit.by == LimitBy::Session;
    if matches!(action, Some(Action::Redirect { .. } | Action::Respond { .. }))
        && requests.iter().flatten().any(by_session)
    {
        let message =
            "`by: session` has no effect: the route sends nothing to a backend, so no session is read";
        around.error(Code::Unused, &limits_place, message, "count `by: client` or `by: header`");
    }
    let rewrite = actions::rewrite(rewrite, known, around);
    let request_headers = actions::header_changes(request_headers, known, around);
    let response_headers = actions::header_changes(response_headers, known, around);
    let mirror = actions::mirror(mirror, pools, around);
    Some(Route {
        name: name.value?.map(|Name(name)| name),
        matcher: matcher?,
        action: action?,
        rewrite: rewrite?,
        request_headers: request_headers?,
        response_headers: response_headers?,
        mirror: mirror?,
        requests: requests?,
    })
}

/// The index of the pool that is named.
pub(super) fn pool(
    name: &Name,
    place: &Place,
    pools: &Spanned<Named<model::Pool>>,
    around: &Surroundings<'_>,
) -> Option<usize> {
    let Named(pools) = pools.get()?;
    let found = pools.iter().position(|(pool, _)| pool.get() == Some(name));
    // That there is no pool at all is said once, where the pools should be.
    if found.is_none() && !pools.is_empty() {
        let names = pools.iter().filter_map(|(pool, _)| Some(pool.get()?.0.as_str()));
        let help = match nearest(&name.0, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("defined under `pools`: {}", names.collect::<Vec<_>>().join(", ")),
        };
        around.error(Code::Unresolved, place, format!("no pool is named `{}`", name.0), help);
    }
    found
}

fn matcher(matcher: Spanned<Option<model::Match>>, around: &Surroundings<'_>) -> Option<Matcher> {
    let place = matcher.place;
    let Some(model::Match {
        host,
        path,
        method,
        header,
        cookie,
        query,
        accept,
        content_type,
        client,
        server_name,
    }) = matcher.value?
    else {
        return Some(Matcher::default());
    };
    let path = self::path(path, around);
    let header = tests(header, |name| name.0, around);
    let cookie = tests(cookie, |name| name.0, around);
    let query = tests(query, |name| name.0, around);
    let media = |MediaType(media)| media;
    let matcher = Matcher {
        hosts: list(host, |HostPattern(host)| host, around)?,
        paths: path?,
        methods: list(method, |Method(method)| method, around)?,
        headers: header?,
        cookies: cookie?,
        query: query?,
        accept: list(accept, media, around)?,
        content_type: list(content_type, media, around)?,
        client: list(client, |Network(network)| network, around)?,
        server_names: list(server_name, |HostPattern(host)| host, around)?,
    };
    if matcher == Matcher::default() {
        let message = "`match` has no condition: the route takes every request";
        around.warn(Code::Unused, &place, message, "leave it out, or add a condition");
    }
    Some(matcher)
}

/// A list of which one has to match; one without entries would match nothing.
fn list<T, C>(
    list: Spanned<Option<OneOrMany<T>>>,
    part: impl Fn(T) -> C,
    around: &Surroundings<'_>,
) -> Option<Vec<C>> {
    let place = list.place;
    let Some(OneOrMany(list)) = list.value? else { return Some(Vec::new()) };
    if list.is_empty() {
        let message = format!("`{}` is empty: no request would match", place.name());
        around.error(Code::MissingKey, &place, message, "add a value, or leave the key out");
        return None;
    }
    list.into_iter().map(|spanned| spanned.value.map(&part)).collect()
}

fn path(path: Spanned<Option<model::PathMatch>>, around: &Surroundings<'_>) -> Option<Vec<PathPattern>> {
    let place = path.place;
    let Some(model::PathMatch { exact, prefix, regex }) = path.value? else { return Some(Vec::new()) };
    let exact = list(exact, |MatchPath(path)| PathPattern::Exact(path), around);
    let prefix = list(prefix, |MatchPath(path)| PathPattern::Prefix(path), around);
    let regex = list(regex, |Pattern(pattern)| PathPattern::Regex(pattern), around);
    let mut paths = exact?;
    paths.extend(prefix?);
    paths.extend(regex?);
    if paths.is_empty() {
        let help = "write one of `exact`, `prefix` and `regex`, such as `path: { prefix: /reports }`";
        around.error(Code::MissingKey, &place, "`path` says no path", help);
        return None;
    }
    Some(paths)
}

fn tests<K>(
    tests: Spanned<Option<Keyed<K, model::Test>>>,
    name: impl Fn(K) -> String,
    around: &Surroundings<'_>,
) -> Option<Vec<(String, ValueTest)>> {
    let Some(Keyed(tests)) = tests.value? else { return Some(Vec::new()) };
    all(tests.into_iter().map(|(key, test)| {
        let test = self::test(test, around);
        Some((name(key.value?), test?))
    }))
}

fn test(test: Spanned<model::Test>, around: &Surroundings<'_>) -> Option<ValueTest> {
    let place = test.place;
    let model::TestKeys { equals, regex, present } = match test.value? {
        model::Test::Values(OneOrMany(values)) => {
            let values = Spanned { place, given: true, value: Some(Some(OneOrMany(values))) };
            return list(values, |Text(text)| text, around).map(ValueTest::Equals);
        }
        model::Test::Keys(keys) => keys,
    };
    let mut kinds = Vec::new();
    let equals = list(equals, |Text(text)| text, around)?;
    if !equals.is_empty() {
        kinds.push(ValueTest::Equals(equals));
    }
    kinds.extend(regex.value?.map(|Pattern(pattern)| ValueTest::Regex(pattern)));
    kinds.extend(present.value?.map(|Switch(is)| if is { ValueTest::Present } else { ValueTest::Absent }));
    let one = kinds.pop();
    if one.is_none() || !kinds.is_empty() {
        let message = format!("`{}` needs one of `equals`, `regex` and `present`", place.name());
        around.error(Code::Conflict, &place, message, "keep one; routes in a row are an `or`");
        return None;
    }
    one
}
