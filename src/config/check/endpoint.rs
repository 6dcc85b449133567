//! Where something is posted: a URL that can be reached, and a token for it.

use std::time::Duration;

use url::{Host, Url};
use zeroize::Zeroizing;

use super::{Surroundings, secrets};
use crate::config::checked::{Endpoint, Secret};
use crate::config::read::Spanned;
use crate::config::report::{Code, Place};
use crate::config::text::{FilePath, Text};

const EXAMPLE: &str = "write `https://HOST/PATH`, or `http://…`";

/// An endpoint; `default_path` is meant where the URL has no path. No message repeats any of the URL: it often is a secret.
pub(super) fn endpoint(
    url: Spanned<Text>,
    token_file: Spanned<Option<FilePath>>,
    timeout: Option<Duration>,
    default_path: &str,
    around: &Surroundings<'_>,
) -> Option<Endpoint> {
    let parts = url.value.and_then(|Text(text)| parts(&text, &url.place, default_path, around));
    let token = match token_file.value? {
        Some(file) => Some(token(
            secrets::from_file(&around.path(&file), &token_file.place, around)?,
            &token_file.place,
            around,
        )?),
        None => None,
    };
    let (tls, host, port, target) = parts?;
    Some(Endpoint { tls, host, port, target, token, timeout: timeout? })
}

fn parts(
    text: &str,
    place: &Place,
    default_path: &str,
    around: &Surroundings<'_>,
) -> Option<(bool, String, u16, String)> {
    let refuse = |message: &str, help: &str| {
        around.error(Code::BadValue, place, message, help);
        None
    };
    let Ok(url) = Url::parse(text) else { return refuse("`url` is not a URL", EXAMPLE) };
    let tls = match url.scheme() {
        "http" => false,
        "https" => true,
        _ => return refuse("`url` is neither `http` nor `https`", EXAMPLE),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("`url` has a user or a password in it", "use `token_file`");
    }
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(ip)) => ip.to_string(),
        Some(Host::Ipv6(ip)) => ip.to_string(),
        None => return refuse("`url` names no host", EXAMPLE),
    };
    let target = match (url.path(), url.query()) {
        ("/", None) => default_path.to_owned(),
        (path, None) => path.to_owned(),
        (path, Some(query)) => format!("{path}?{query}"),
    };
    Some((tls, host, url.port_or_known_default()?, target))
}

fn token(text: Zeroizing<String>, place: &Place, around: &Surroundings<'_>) -> Option<Secret> {
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic()) {
        let message = "the token has characters other than visible ASCII, or none";
        around.error(Code::BadValue, place, message, "write one word");
        return None;
    }
    Some(Secret(Zeroizing::new(text.as_bytes().to_vec())))
}
