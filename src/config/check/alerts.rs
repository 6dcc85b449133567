//! `alerts`: a web hook that can be reached.

use url::{Host, Url};
use zeroize::Zeroizing;

use super::{Surroundings, secrets};
use crate::config::checked::{Secret, Webhook};
use crate::config::model;
use crate::config::read::Spanned;
use crate::config::report::{Code, Place};
use crate::config::text::Text;

const EXAMPLE: &str = "write `https://HOST/PATH`, or `http://…`";

/// The web hook, if there is one. The outer `None` is an error.
#[expect(clippy::option_option, reason = "two different absences")]
pub(super) fn webhook(
    alerts: Spanned<Option<model::Alerts>>,
    around: &Surroundings<'_>,
) -> Option<Option<Webhook>> {
    let Some(model::Alerts { webhook }) = alerts.value? else { return Some(None) };
    let Some(model::Webhook { url, token_file, timeout }) = webhook.value? else { return Some(None) };
    let parts = url.value.and_then(|Text(text)| parts(&text, &url.place, around));
    let token = match token_file.value? {
        Some(file) => Some(token(
            secrets::from_file(&around.path(&file), &token_file.place, around)?,
            &token_file.place,
            around,
        )?),
        None => None,
    };
    let (tls, host, port, target) = parts?;
    Some(Some(Webhook { tls, host, port, target, token, timeout: timeout.value?.0 }))
}

/// No message repeats any of the URL: it often is a secret.
fn parts(text: &str, place: &Place, around: &Surroundings<'_>) -> Option<(bool, String, u16, String)> {
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
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    Some((tls, host, url.port_or_known_default()?, target))
}

fn token(text: Zeroizing<String>, place: &Place, around: &Surroundings<'_>) -> Option<Secret> {
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic()) {
        let message = "the web hook's token has characters other than visible ASCII, or none";
        around.error(Code::BadValue, place, message, "write one word");
        return None;
    }
    Some(Secret(Zeroizing::new(text.as_bytes().to_vec())))
}
