//! `learn.shared`: where the engine is, and whether replicas can find what they share there.

use percent_encoding::percent_decode_str;
use url::Url;
use zeroize::Zeroizing;

use super::{Surroundings, secrets};
use crate::config::checked::{AffinityMode, Secret, Shared};
use crate::config::collections::Named;
use crate::config::model;
use crate::config::read::Spanned;
use crate::config::report::{Code, Place};
use crate::config::text::Text;

/// The port of Redis and Valkey.
const PORT: u16 = 6379;

const EXAMPLE: &str = "write `redis://HOST:6379/0`, or `rediss://…` for TLS";

/// Warns where each replica would share what no other finds: they hash with seeds of their own.
pub(super) fn warn_if_seeds_differ(
    keys: &Spanned<Option<Vec<Spanned<model::TokenKey>>>>,
    seed: &Spanned<Option<model::AffinitySeed>>,
    pools: &Spanned<Named<model::Pool>>,
    around: &Surroundings<'_>,
) {
    // A seed that is not configured is made from the oldest key.
    if !matches!((keys.get(), seed.get()), (Some(None), Some(None))) {
        return;
    }
    let pools = pools.get().map(|Named(pools)| pools.as_slice()).unwrap_or_default();
    for (_, pool) in pools {
        let learn = pool.get().and_then(|pool| pool.affinity.get()?.learn.get());
        let Some(shared) = learn.map(|learn| &learn.shared) else { continue };
        if matches!(shared.get(), Some(Some(_))) {
            let message = "`shared` without `affinity_seed`: no replica finds what another has shared";
            let help = "each replica makes a seed of its own, and keys depend on it: give all of them one \
                        `affinity_seed`, and `keys`";
            around.warn(Code::Secret, &shared.place, message, help);
        }
    }
}

/// Through what replicas share the learned table. The outer `None` is an error; the inner one is "not at all".
#[expect(clippy::option_option, reason = "two different absences")]
pub(super) fn shared(
    shared: Spanned<Option<model::Shared>>,
    mode: Option<AffinityMode>,
    around: &Surroundings<'_>,
) -> Option<Option<Shared>> {
    let Some(model::Shared { url, password_file, timeout }) = shared.value? else { return Some(None) };
    if mode.is_some_and(|mode| mode != AffinityMode::Bind) {
        let message = "`shared` has no effect without `mode: bind`";
        around.warn(Code::Unused, &shared.place, message, "remove it, or write `mode: bind`");
    }
    let parts = url.value.and_then(|Text(text)| parts(&Zeroizing::new(text), &url.place, around));
    let in_url = parts.as_ref().is_some_and(|parts| parts.password.is_some());
    let file = match password_file.value? {
        Some(_) if in_url => {
            let message = "the password has two sources";
            let help = "keep one of `password_file` and the password in `url`";
            around.error(Code::Conflict, &password_file.place, message, help);
            return None;
        }
        Some(path) => Some(secrets::from_file(&around.path(&path), &password_file.place, around)?),
        None => None,
    };
    let Parts { host, port, tls, database, user, password } = parts?;
    let password = file.or(password).map(|password| Secret(Zeroizing::new(password.as_bytes().to_vec())));
    Some(Some(Shared { host, port, tls, database, user, password, timeout: timeout.value?.0 }))
}

/// What a URL says.
struct Parts {
    host: String,
    port: u16,
    tls: bool,
    database: i64,
    user: Option<String>,
    password: Option<Zeroizing<String>>,
}

/// Takes the URL apart. No message repeats any of it but the scheme: a mistyped one may hold the password anywhere.
fn parts(text: &str, place: &Place, around: &Surroundings<'_>) -> Option<Parts> {
    let refuse = |message: String, help: &str| {
        around.error(Code::BadValue, place, message, help);
        None
    };
    let Ok(url) = Url::parse(text) else { return refuse("`url` is not a URL".to_owned(), EXAMPLE) };
    let tls = match url.scheme() {
        "redis" | "valkey" => false,
        "rediss" | "valkeys" => true,
        _ => return refuse("`url` is neither Redis's nor Valkey's".to_owned(), EXAMPLE),
    };
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return refuse("`url` names no host".to_owned(), EXAMPLE);
    };
    let database = match url.path().trim_matches('/') {
        "" => Some(0),
        number => number.parse().ok().filter(|number| *number >= 0),
    };
    let Some(database) = database else {
        return refuse("what follows the host in `url` is no number of a database".to_owned(), EXAMPLE);
    };
    if url.query().is_some() || url.fragment().is_some() {
        let help = "leave out `?…` and `#…`; write `%3F` and `%23` in a password";
        return refuse("`url` says more than host, port and database".to_owned(), help);
    }
    let decoded =
        |text| percent_decode_str(text).decode_utf8().ok().map(|text| Zeroizing::new(text.into_owned()));
    let (Some(user), Some(password)) = (decoded(url.username()), decoded(url.password().unwrap_or_default()))
    else {
        return refuse("user or password in `url` is not UTF-8".to_owned(), "use `password_file`");
    };
    Some(Parts {
        // An IPv6 address stands in brackets, which only a URL needs.
        host: host.trim_matches(['[', ']']).to_owned(),
        port: url.port().unwrap_or(PORT),
        tls,
        database,
        user: Some(user.as_str().to_owned()).filter(|user| !user.is_empty()),
        password: Some(password).filter(|password| !password.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::checked::Shared;

    fn parsed(lines: &str) -> Shared {
        let text = format!(
            "version: 1\naffinity_seed: {{ value: 0123456789abcdef0123 }}\nlisteners: [{{ name: web, address: \
             127.0.0.1:0, routes: [{{ pool: app }}] }}]\npools:\n  app:\n    backends: [{{ id: a, address: \
             10.0.0.1:80 }}]\n    affinity:\n      learn:\n        shared: {{ {lines} }}\n"
        );
        let checked = crate::config::parse(&text, Path::new("x.yaml"));
        let checked = checked.unwrap_or_else(|problems| panic!("{problems}"));
        checked.pools[0].affinity.learn.shared.clone().unwrap()
    }

    #[test]
    fn a_url_says_where_the_engine_is_and_who_we_are() {
        let plain = parsed("url: redis://cache");
        assert_eq!((plain.host.as_str(), plain.port, plain.tls, plain.database), ("cache", 6379, false, 0));
        assert!(plain.user.is_none() && plain.password.is_none());
        assert_eq!(plain.timeout.as_millis(), 50);
        let full = parsed("url: \"rediss://we:p%40ss%2Fword@[::1]:7000/3\", timeout: 20ms");
        assert_eq!((full.host.as_str(), full.port, full.tls, full.database), ("::1", 7000, true, 3));
        assert_eq!(full.user.as_deref(), Some("we"));
        assert_eq!(full.password.as_ref().map(|password| password.0.as_slice()), Some(&b"p@ss/word"[..]));
        assert_eq!(full.timeout.as_millis(), 20);
        assert!(!format!("{full:?}").contains("ss/word"));
        assert!(parsed("url: \"valkey://:x@h\"").password.is_some());
    }
}
