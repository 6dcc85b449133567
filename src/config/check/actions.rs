//! What becomes of requests: one action for each route, which leads somewhere, and nowhere else.

use std::fs::File;
use std::io::Read as _;

use super::routes::pool;
use super::template::{rest_is_known, url_stays};
use super::{Surroundings, all, count, size};
use crate::config::checked::{Action, HeaderChanges, Matcher, Mirror, Rewrite, Template};
use crate::config::collections::{Keyed, Named, OneOrMany};
use crate::config::patterns::FieldName;
use crate::config::read::Spanned;
use crate::config::report::{Code, Place};
use crate::config::text::{FilePath, HeaderName, Text};
use crate::config::units::{Bytes, Share};
use crate::config::{model, template};

/// Of a body that is read from a file.
const MAX_BODY_BYTES: u64 = 1 << 20;
/// Pools of one split: each costs a look at the evidence.
const MAX_PARTS: usize = 16;

pub(super) type Pools = Spanned<Named<model::Pool>>;

/// The keys of a route of which one says what becomes of its requests.
pub(super) struct Keys {
    pub(super) pool: Spanned<Option<crate::config::text::Name>>,
    pub(super) split: Spanned<Option<model::Parts>>,
    pub(super) redirect: Spanned<Option<model::Redirect>>,
    pub(super) respond: Spanned<Option<model::Respond>>,
}

/// The one action of a route.
pub(super) fn action(
    keys: Keys,
    place: &Place,
    matcher: Option<&Matcher>,
    pools: &Pools,
    around: &Surroundings<'_>,
) -> Option<Action> {
    let Keys { pool: name, split, redirect, respond } = keys;
    let actions = [
        part(name, |name, place| pool(&name, place, pools, around).map(Action::Pool)),
        part(split, |parts, place| self::split(parts, place, pools, around)),
        part(redirect, |redirect, _| self::redirect(redirect, matcher, around)),
        part(respond, |respond, place| self::respond(respond, place, around)),
    ];
    let mut actions: Vec<Action> = all(actions.into_iter())?.into_iter().flatten().collect();
    let action = actions.pop();
    let help = "write one of `pool`, `split`, `redirect` and `respond`";
    if action.is_none() {
        around.error(Code::MissingKey, place, "the route does not say what becomes of its requests", help);
    } else if !actions.is_empty() {
        around.error(Code::Conflict, place, "the route has more than one action", help);
        return None;
    }
    action
}

/// A key that may be absent: outside `None`, its problem is reported; inside, it is not there.
fn part<T, C>(key: Spanned<Option<T>>, check: impl FnOnce(T, &Place) -> Option<C>) -> Option<Option<C>> {
    match key.value? {
        None => Some(None),
        Some(value) => check(value, &key.place).map(Some),
    }
}

fn split(parts: model::Parts, place: &Place, pools: &Pools, around: &Surroundings<'_>) -> Option<Action> {
    if parts.is_empty() || parts.len() > MAX_PARTS {
        let message = format!("`split` has {} pools", parts.len());
        around.error(
            Code::OutOfRange,
            place,
            message,
            format!("write 1 to {MAX_PARTS}: `- {{ pool: NAME, weight: 95 }}`"),
        );
        return None;
    }
    let named = parts
        .iter()
        .filter_map(Spanned::get)
        .filter_map(|part| Some((part.pool.get()?.0.as_str(), &part.pool.place)));
    around.unique("pool of the split", named);
    for (name, at) in
        parts.iter().filter_map(Spanned::get).filter_map(|part| Some((part.pool.get()?, &part.pool.place)))
    {
        warn_unless_bound(name, at, pools, around);
    }
    let checked = parts.into_iter().map(|part| {
        let model::Part { pool: name, weight } = part.value?;
        let pool = name.value.as_ref().and_then(|known| pool(known, &name.place, pools, around));
        Some((pool?, count(weight.value?)))
    });
    let parts = all(checked)?;
    if parts.iter().all(|(_, weight)| *weight == 0) {
        let help = "give one of the pools a weight above 0";
        around.error(
            Code::OutOfRange,
            place,
            "every weight of the split is 0: new clients would go nowhere",
            help,
        );
        return None;
    }
    Some(Action::Split(parts))
}

/// Only a bound session is known to live in one of the pools.
fn warn_unless_bound(
    name: &crate::config::text::Name,
    place: &Place,
    pools: &Pools,
    around: &Surroundings<'_>,
) {
    use crate::config::checked::AffinityMode;
    use crate::config::words::Word;

    let pool = pools.get().and_then(|Named(pools)| {
        pools.iter().find(|(pool, _)| pool.get() == Some(name)).and_then(|(_, pool)| pool.get())
    });
    let mode = pool.and_then(|pool| pool.affinity.get()).and_then(|affinity| affinity.mode.get());
    if matches!(mode, Some(Word(AffinityMode::Hash | AffinityMode::None))) {
        let message = format!(
            "sessions of pool `{}` are not bound: in a split, a change of a weight moves them",
            name.0
        );
        around.warn(Code::Trap, place, message, "set its `affinity.mode: bind`, unless it keeps no sessions");
    }
}

fn redirect(
    redirect: model::Redirect,
    matcher: Option<&Matcher>,
    around: &Surroundings<'_>,
) -> Option<Action> {
    let model::Redirect { to, status } = redirect;
    let known = [301, 302, 303, 307, 308];
    let code = status.get().map(|status| status.0);
    if code.is_some_and(|code| !known.contains(&code)) {
        around.error(
            Code::BadValue,
            &status.place,
            "this status is no redirect",
            "write 301, 302, 303, 307 or 308",
        );
    }
    let place = to.place;
    let to = to.value?.0;
    let stays = url_stays(&to, &place, matcher, around);
    let rest = rest_is_known(&to, &place, matcher, around);
    let status = u16::try_from(code?).ok().filter(|code| known.contains(&u64::from(*code)))?;
    (stays && rest).then_some(Action::Redirect { status, to })
}

fn respond(respond: model::Respond, place: &Place, around: &Surroundings<'_>) -> Option<Action> {
    let model::Respond { status, body, file, content_type } = respond;
    let is_page = file.get().and_then(Option::as_ref).is_some_and(|FilePath(path)| {
        path.extension().is_some_and(|extension| extension == "html" || extension == "htm")
    });
    let read = match (body.value?, file.value?) {
        (Some(_), Some(_)) => {
            around.error(Code::Conflict, place, "`respond` has a `body` and a `file`", "keep one of them");
            return None;
        }
        (Some(Text(text)), None) => text.into_bytes(),
        (None, Some(path)) => self::file(&path, &file.place, around)?,
        (None, None) => Vec::new(),
    };
    let media_type = match content_type.value? {
        Some(Text(text)) if http::HeaderValue::from_str(&text).is_err() => {
            around.error(
                Code::BadValue,
                &content_type.place,
                "this is no media type",
                "write it such as text/html",
            );
            return None;
        }
        Some(Text(text)) => text,
        None if is_page => "text/html; charset=utf-8".to_owned(),
        None => "text/plain; charset=utf-8".to_owned(),
    };
    let status = u16::try_from(status.value?.0).ok()?;
    if !read.is_empty() && matches!(status, 204 | 205 | 304) {
        around.error(
            Code::Conflict,
            place,
            format!("an answer with status {status} has no body"),
            "leave the body out",
        );
        return None;
    }
    Some(Action::Respond { status, media_type, body: read })
}

/// A file that is read now, so that a missing one is noticed now.
pub(super) fn file(path: &FilePath, place: &Place, around: &Surroundings<'_>) -> Option<Vec<u8>> {
    let path = around.path(path);
    let mut body = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(MAX_BODY_BYTES + 1).read_to_end(&mut body));
    match read {
        Err(error) => {
            let message = format!("{} cannot be read: {error}", path.display());
            around.error(Code::File, place, message, "paths start at the configuration file's folder");
            None
        }
        Ok(_) if body.len() as u64 > MAX_BODY_BYTES => {
            let message = format!("{} is larger than 1 MiB", path.display());
            around.error(Code::OutOfRange, place, message, "serve large files from a backend");
            None
        }
        Ok(_) => Some(body),
    }
}

/// What is asked instead.
pub(super) fn rewrite(
    rewrite: Spanned<Option<model::Rewrite>>,
    matcher: Option<&Matcher>,
    around: &Surroundings<'_>,
) -> Option<Rewrite> {
    use crate::config::checked::Piece;

    let Some(model::Rewrite { path, host }) = rewrite.value? else { return Some(Rewrite::default()) };
    let (path_place, host_place) = (path.place, host.place);
    let plain = |template: Option<template::Template>| template.map(|template::Template(template)| template);
    let (path, host) = (plain(path.value?), plain(host.value?));
    if let Some(path) = &path {
        let begins = match path.0.first() {
            Some(Piece::Text(text)) => {
                text.starts_with('/')
                    && !path
                        .0
                        .iter()
                        .any(|piece| matches!(piece, Piece::Text(text) if text.contains(['?', '#'])))
            }
            Some(Piece::Path | Piece::Rest) => true,
            Some(Piece::Scheme | Piece::Host | Piece::Query | Piece::Client | Piece::RequestId) | None => {
                false
            }
        };
        if !begins || path.0.contains(&Piece::Query) {
            let help = "write it such as /v2{rest}; the query stays as it is";
            around.error(Code::BadValue, &path_place, "this is no path", help);
            return None;
        }
        if !rest_is_known(path, &path_place, matcher, around) {
            return None;
        }
    }
    if let Some(host) = &host {
        let fits = |piece: &Piece| match piece {
            Piece::Text(text) => text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:[]".contains(c)),
            Piece::Host => true,
            Piece::Scheme | Piece::Path | Piece::Rest | Piece::Query | Piece::Client | Piece::RequestId => {
                false
            }
        };
        if host.0.is_empty() || !host.0.iter().all(fits) {
            around.error(
                Code::BadValue,
                &host_place,
                "this is no host",
                "write it such as app.internal or app.internal:8080",
            );
            return None;
        }
    }
    Some(Rewrite { path, host })
}

/// Fields whose loss or change would break the exchange, or lose sessions.
const NOT_CHANGED: [(&str, &str); 12] = [
    ("connection", "it belongs to one connection"),
    ("keep-alive", "it belongs to one connection"),
    ("proxy-connection", "it belongs to one connection"),
    ("transfer-encoding", "it says where a message ends"),
    ("content-length", "it says where a message ends"),
    ("trailer", "it says where a message ends"),
    ("te", "it belongs to one connection"),
    ("upgrade", "it belongs to one connection"),
    ("host", "`rewrite.host` changes it"),
    ("cookie", "sessions would be lost"),
    ("set-cookie", "sessions would be lost"),
    ("content-encoding", "it says how the body is written"),
];

/// What is changed in header fields.
pub(super) fn header_changes(
    changes: Spanned<Option<model::HeaderChanges>>,
    matcher: Option<&Matcher>,
    around: &Surroundings<'_>,
) -> Option<HeaderChanges> {
    let Some(model::HeaderChanges { remove, set, add }) = changes.value? else {
        return Some(HeaderChanges::default());
    };
    let refuse = |name: &str, place: &Place| {
        let why = NOT_CHANGED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        if let Some((name, why)) = why {
            around.error(Code::Trap, place, format!("`{name}` is not changed here"), *why);
        }
        why.is_none()
    };
    let remove = match remove.value? {
        None => Some(Vec::new()),
        Some(OneOrMany(names)) => all(names.into_iter().map(|name| {
            let place = name.place;
            name.value.map(|HeaderName(name)| name).filter(|name| refuse(name, &place))
        })),
    };
    let fields = |fields: Spanned<Option<Keyed<FieldName, template::Template>>>| match fields.value? {
        None => Some(Vec::new()),
        Some(Keyed(fields)) => all(fields.into_iter().map(|(name, value)| {
            let FieldName(known) = name.value?;
            let template::Template(template) = value.value?;
            let right = refuse(&known, &name.place) & rest_is_known(&template, &value.place, matcher, around);
            right.then_some((known, template))
        })),
    };
    let (set, add): (Option<Vec<(String, Template)>>, _) = (fields(set), fields(add));
    Some(HeaderChanges { remove: remove?, set: set?, add: add? })
}

/// Where else requests are sent.
pub(super) fn mirror(
    mirror: Spanned<Option<model::Mirror>>,
    pools: &Pools,
    around: &Surroundings<'_>,
) -> Option<Option<Mirror>> {
    let Some(model::Mirror { pool: name, share, body_bytes, at_once }) = mirror.value? else {
        return Some(None);
    };
    let pool = name.value.as_ref().and_then(|known| pool(known, &name.place, pools, around));
    let (Share(share), Bytes(bytes)) = (share.value?, body_bytes.value?);
    let body_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    Some(Some(Mirror { pool: pool?, share, body_bytes, at_once: size(at_once.value?) }))
}
