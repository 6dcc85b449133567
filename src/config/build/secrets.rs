//! Keys and seed. Their values never appear in a message.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::Context;
use crate::config::checked::{Secret, TokenKey};
use crate::config::report::Report;
use crate::config::values::Values;

/// Bytes of a key: AES-256.
const KEY_LENGTH: usize = 32;
/// Bytes that a seed has at least: SipHash's key.
const SEED_LENGTH: usize = 16;

pub(super) fn keys(root: &Values<'_>, context: &Context<'_>, report: &mut Report<'_>) -> Vec<TokenKey> {
    let mut keys: Vec<TokenKey> = Vec::new();
    if root.items("keys").is_empty() {
        let message = "no `keys`: one is made in `state_dir`; replicas must share keys".to_owned();
        report.note(root.at("keys"), message, None);
    }
    for key in root.sections("keys") {
        let id = key.word("id");
        if key.has("id") && keys.iter().any(|known| known.id == id) {
            report.error(
                key.at("id"),
                format!("two keys have the id `{id}`"),
                Some("give each its own id".to_owned()),
            );
        }
        let Some(text) = read(&key, "a key", context, report) else { continue };
        match decode(text.trim()) {
            Some(bytes) if bytes.len() == KEY_LENGTH => keys.push(TokenKey { id, secret: Secret(bytes) }),
            found => {
                let found = found.map_or("neither base64 nor hexadecimal".to_owned(), |bytes| {
                    format!("{} bytes", bytes.len())
                });
                let help = "make one with `head -c 32 /dev/urandom | base64`".to_owned();
                report.error(key.at("id"), format!("key `{id}` is {found}, not 32 bytes"), Some(help));
            }
        }
    }
    keys
}

pub(super) fn affinity_seed(
    root: &Values<'_>,
    context: &Context<'_>,
    report: &mut Report<'_>,
) -> Option<Secret> {
    if !root.has("affinity_seed") {
        return None;
    }
    let seed = root.section("affinity_seed");
    let text = read(&seed, "`affinity_seed`", context, report)?;
    let text = text.trim();
    if text.len() < SEED_LENGTH {
        let message = format!("the affinity seed has {} bytes, fewer than {SEED_LENGTH}", text.len());
        report.error(
            root.at("affinity_seed"),
            message,
            Some("make one with `head -c 24 /dev/urandom | base64`".to_owned()),
        );
        return None;
    }
    Some(Secret(Zeroizing::new(text.as_bytes().to_vec())))
}

/// The text of a secret, from exactly one of its three places.
fn read(
    secret: &Values<'_>,
    called: &str,
    context: &Context<'_>,
    report: &mut Report<'_>,
) -> Option<Zeroizing<String>> {
    let given: Vec<_> = ["value", "file", "env"].into_iter().filter(|key| secret.has(key)).collect();
    let [place] = given.as_slice() else {
        let message = format!("{called} needs exactly one of `value`, `file` and `env`, not {}", given.len());
        report.error(
            secret.at("id"),
            message,
            Some("prefer `file`: it stays out of the configuration".to_owned()),
        );
        return None;
    };
    let at = secret.at(place);
    match *place {
        "file" => {
            let path = context.path(secret, "file")?;
            warn_if_open(&path, at, report);
            match std::fs::read_to_string(&path) {
                Ok(text) => Some(Zeroizing::new(text)),
                Err(error) => {
                    report.error(
                        at,
                        format!("cannot read `{}`: {error}", path.display()),
                        Some("paths start from the configuration's folder".to_owned()),
                    );
                    None
                }
            }
        }
        "env" => {
            let name = secret.text("env")?;
            let value = (context.environment)(&name).map(Zeroizing::new);
            if value.is_none() {
                report.error(
                    at,
                    format!("the environment variable `{name}` is not set"),
                    Some("set it where Steadfast is started".to_owned()),
                );
            }
            value
        }
        _ => secret.text("value").map(Zeroizing::new),
    }
}

fn warn_if_open(path: &Path, at: crate::config::node::At, report: &mut Report<'_>) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).map(|metadata| metadata.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o077 != 0) {
        report.warning(at, format!("others can read `{}`", path.display()), Some("chmod 600 it".to_owned()));
    }
}

fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    if text.len() == 2 * KEY_LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let digit = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
        return (0..text.len()).step_by(2).map(digit).collect::<Option<Vec<_>>>().map(Zeroizing::new);
    }
    [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD]
        .into_iter()
        .find_map(|engine| engine.decode(text).ok())
        .map(Zeroizing::new)
}
