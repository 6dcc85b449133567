//! Affinity: attributes that browsers take together, names that do not collide, and the traps.

use super::{Surroundings, layer4, shared, size};
use crate::config::checked::{Affinity, AffinityMode, Insert, LbCookie, Learn, SameSite, Toggle};
use crate::config::collections::OneOrMany;
use crate::config::model;
use crate::config::read::Spanned;
use crate::config::report::{Code, Place};
use crate::config::text::{CookieName, Name};
use crate::config::words::{Partitioned, SameSiteOrFollow, Secure, Word};

/// Reports pools whose load-balancer cookies have one name: browsers keep one cookie of a name.
pub(super) fn cookie_names_differ(
    pools: &[(Spanned<Name>, Spanned<model::Pool>)],
    around: &Surroundings<'_>,
) {
    let names = pools.iter().filter_map(|(_, pool)| {
        let affinity = pool.get()?.affinity.get()?;
        let name = &affinity.load_balancer_cookie.get()?.name;
        Some((name.get()?.as_ref()?.0.as_str(), &name.place))
    });
    around.unique("load-balancer cookie name", names);
}

/// With a route suffix, an id with a dot could not be told from the session id in front of it.
pub(super) fn backends_suit_route_suffix(
    affinity: &Spanned<model::Affinity>,
    backends: &Spanned<Vec<Spanned<model::Backend>>>,
    around: &Surroundings<'_>,
) {
    let suffix = affinity.get().and_then(|affinity| affinity.route_suffix.get()).is_some_and(|on| on.0);
    if !suffix {
        return;
    }
    for backend in backends.get().into_iter().flatten() {
        let Some(id) = backend.get().map(|backend| &backend.id) else { continue };
        if let Some(Name(name)) = id.get().filter(|id| id.0.contains('.')) {
            let message = format!("backend id `{name}` has a dot, which `route_suffix` cannot read");
            let help = "a route suffix begins behind the last dot of the session id: rename the backend (and its \
                        `jvmRoute`), or turn `route_suffix` off";
            around.error(Code::Conflict, &id.place, message, help);
        }
    }
}

/// With a route suffix, ids that come from DNS could not be told from the session id: they have dots.
pub(super) fn discovery_suits_route_suffix(
    affinity: &Spanned<model::Affinity>,
    discovery: &Spanned<Option<model::Discovery>>,
    around: &Surroundings<'_>,
) {
    let suffix = affinity.get().and_then(|affinity| affinity.route_suffix.get()).is_some_and(|on| on.0);
    let dns = discovery.get().and_then(Option::as_ref).map(|discovery| &discovery.dns);
    if let Some(dns) = dns.filter(|dns| suffix && dns.get().is_some_and(Option::is_some)) {
        let message = "backends of `dns` have ids with dots, which `route_suffix` cannot read";
        let help =
            "turn `route_suffix` off, or use `file`, which gives each backend the name of its `jvmRoute`";
        around.error(Code::Conflict, &dns.place, message, help);
    }
}

/// Checks a pool's affinity.
pub(super) fn affinity(
    affinity: Spanned<model::Affinity>,
    layer4: bool,
    around: &Surroundings<'_>,
) -> Option<Affinity> {
    let affinity = affinity.value?;
    let place = affinity.mode.place.clone();
    let mode = affinity.mode.value.map(|Word(mode)| mode);
    warn_of_the_trap(mode, layer4, &place, around);
    let cookies = application_cookies(affinity.application_cookie, mode, around);
    // What others learned is known to them alone, and only a suffix of the application's own tells more.
    let alone = affinity.learn.get().is_some_and(|learn| matches!(learn.shared.get(), Some(None)));
    let only_learned = affinity.route_suffix.get().is_some_and(|suffix| !suffix.0)
        && mode == Some(AffinityMode::Bind)
        && alone;
    let cookie = cookie(affinity.load_balancer_cookie, cookies.as_deref(), only_learned, around);
    let learn = affinity.learn.value;
    let source = layer4::source_address(&affinity.source_address);
    let mut learn = self::learn(learn?, mode, around)?;
    let (source_address, idle) = source?;
    if layer4 {
        learn.idle = idle;
    }
    Some(Affinity {
        mode: mode?,
        application_cookies: cookies?,
        path_parameter: affinity.path_parameter.value?.map(|name| name.0),
        header: affinity.header.value?.map(|name| name.0),
        query: affinity.query.value?.map(|name| name.0),
        route_suffix: affinity.route_suffix.value?.0,
        first_contact: affinity.first_contact.value?.0,
        learn,
        cookie: cookie?,
        release_on_logout: affinity.release.value?.0.0,
        on_lost_backend: affinity.on_lost_backend.value?.0,
        fail_back: affinity.fail_back.value?.0.0,
        suspect_hold: affinity.suspect_hold.value?.0,
        source_address: layer4.then_some(source_address),
    })
}

fn warn_of_the_trap(mode: Option<AffinityMode>, layer4: bool, place: &Place, around: &Surroundings<'_>) {
    if mode == Some(AffinityMode::Hash) && layer4 {
        let message = "`mode: hash` moves clients with each change of backends";
        let help = "`mode: bind` remembers where each client is, and moves nobody whose backend is alive";
        around.warn(Code::Trap, place, message, help);
    } else if mode == Some(AffinityMode::Hash) {
        let message = "`mode: hash` loses the first session of most clients";
        let help = "the first request has no session id and goes anywhere; the hash of the id that this backend \
                    then makes leads elsewhere, where nobody knows it. `mode: bind` keeps the session where it began";
        around.warn(Code::Trap, place, message, help);
    }
}

fn application_cookies(
    cookies: Spanned<OneOrMany<CookieName>>,
    mode: Option<AffinityMode>,
    around: &Surroundings<'_>,
) -> Option<Vec<String>> {
    let OneOrMany(names) = cookies.value?;
    if names.is_empty() && mode != Some(AffinityMode::None) {
        let help = "name the application's session cookie, or write `mode: none`";
        around.error(Code::MissingKey, &cookies.place, "`application_cookie` is empty", help);
        return None;
    }
    around.unique(
        "application cookie",
        names.iter().filter_map(|name| Some((name.get()?.0.as_str(), &name.place))),
    );
    names.into_iter().map(|name| name.value.map(|CookieName(name)| name)).collect()
}

fn learn(learn: model::Learn, mode: Option<AffinityMode>, around: &Surroundings<'_>) -> Option<Learn> {
    let shared = shared::shared(learn.shared, mode, around);
    Some(Learn {
        capacity: size(learn.capacity.value?),
        idle: learn.idle.value?.0,
        persist: learn.persist.value?.0,
        shared: shared?,
    })
}

fn cookie(
    cookie: Spanned<model::Cookie>,
    application: Option<&[String]>,
    only_learned: bool,
    around: &Surroundings<'_>,
) -> Option<LbCookie> {
    let cookie = cookie.value?;
    name_is_its_own(&cookie, application.unwrap_or_default(), around);
    prefix_holds(&cookie, around);
    attributes_agree(&cookie, around);
    lifetimes_agree(&cookie, around);
    if only_learned && matches!(cookie.insert.get(), Some(Word(Insert::Never))) {
        let message = "with `insert: never`, only the table of learned sessions leads clients home";
        let help = "other replicas do not know it, and clients without an application cookie are not kept; \
                    `when_needed` is safer";
        around.warn(Code::Trap, &cookie.insert.place, message, help);
    }
    Some(LbCookie {
        name: cookie.name.value?.map(|name| name.0),
        insert: cookie.insert.value?.0,
        domain: cookie.domain.value?.map(|domain| domain.0),
        secure: cookie.secure.value?.0.0,
        http_only: cookie.http_only.value?.0,
        same_site: cookie.same_site.value?.0.0,
        partitioned: cookie.partitioned.value?.0.0,
        idle: cookie.idle.value?.map(|idle| idle.0),
        lifetime: cookie.lifetime.value?.map(|lifetime| lifetime.0),
    })
}

fn name_is_its_own(cookie: &model::Cookie, application: &[String], around: &Surroundings<'_>) {
    let Some(Some(CookieName(name))) = cookie.name.get() else { return };
    if application.contains(name) {
        let message = format!("`{name}` is the application's own cookie");
        around.error(
            Code::Conflict,
            &cookie.name.place,
            message,
            "give the load-balancer cookie another name",
        );
    }
}

/// RFC 6265bis section 4.1.3: browsers drop a cookie whose name promises what its attributes do not keep.
fn prefix_holds(cookie: &model::Cookie, around: &Surroundings<'_>) {
    let Some(Some(CookieName(name))) = cookie.name.get() else { return };
    let lower = name.to_ascii_lowercase();
    let host = lower.starts_with("__host-");
    if !host && !lower.starts_with("__secure-") {
        return;
    }
    if !matches!(cookie.secure.get(), Some(Word(Secure(Toggle::On))) | None) {
        let message = format!("browsers drop `{name}` unless it is `Secure`");
        around.error(Code::Conflict, &cookie.name.place, message, "write `secure: true`, or another name");
    }
    if host && matches!(cookie.domain.get(), Some(Some(_))) {
        let message = format!("browsers drop `{name}` if it has a `Domain`");
        around.error(
            Code::Conflict,
            &cookie.domain.place,
            message,
            "remove `domain`, or choose another name",
        );
    }
}

/// Browsers drop `SameSite=None` and `Partitioned` cookies without `Secure`.
fn attributes_agree(cookie: &model::Cookie, around: &Surroundings<'_>) {
    if !matches!(cookie.secure.get(), Some(Word(Secure(Toggle::Off)))) {
        return;
    }
    let none = matches!(cookie.same_site.get(), Some(Word(SameSiteOrFollow(Some(SameSite::None)))));
    let partitioned = matches!(cookie.partitioned.get(), Some(Word(Partitioned(Toggle::On))));
    for (conflict, place, what) in [
        (none, &cookie.same_site.place, "same_site: none"),
        (partitioned, &cookie.partitioned.place, "partitioned: true"),
    ] {
        if conflict {
            let message = format!("browsers drop a cookie with `{what}` and `secure: false`");
            around.error(Code::Conflict, place, message, "write `secure: true` or `secure: auto`");
        }
    }
}

fn lifetimes_agree(cookie: &model::Cookie, around: &Surroundings<'_>) {
    let (Some(Some(idle)), Some(Some(lifetime))) = (cookie.idle.get(), cookie.lifetime.get()) else { return };
    if idle.0 > lifetime.0 {
        let help = "make `idle` the shorter of the two";
        around.error(Code::Conflict, &cookie.idle.place, "`idle` is longer than `lifetime`", help);
    }
}
