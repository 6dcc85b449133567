//! Texts with pieces of the request: the pieces are known where they stand, and a URL leads where it says.

use super::Surroundings;
use crate::config::checked::{Matcher, PathPattern, Piece, Template};
use crate::config::report::{Code, Place};

/// Whether `{rest}` has a meaning: each path of the route is a prefix.
pub(super) fn rest_is_known(
    template: &Template,
    place: &Place,
    matcher: Option<&Matcher>,
    around: &Surroundings<'_>,
) -> bool {
    // Without a matcher its own problem is reported.
    let Some(matcher) = matcher.filter(|_| template.0.contains(&Piece::Rest)) else { return true };
    let all =
        !matcher.paths.is_empty() && matcher.paths.iter().all(|path| matches!(path, PathPattern::Prefix(_)));
    if !all {
        let help = "let `match` have a `path` with `prefix` alone, or write `{path}`";
        around.error(
            Code::Conflict,
            place,
            "`{rest}` is what stands behind a prefix, and this route has other paths",
            help,
        );
    }
    all
}

/// Whether a redirect leads to a place that the operator has written: a path cannot become a host. Which host a request
/// names is the client's choice, which only a `match` on hosts bounds.
pub(super) fn url_stays(
    template: &Template,
    place: &Place,
    matcher: Option<&Matcher>,
    around: &Surroundings<'_>,
) -> bool {
    let wrong = |message: &str, help: &str| {
        around.error(Code::Trap, place, message, help);
        false
    };
    let mut pieces = template.0.iter();
    let authority = match pieces.next() {
        // Whatever follows, two slashes at its start are made one.
        Some(Piece::Path | Piece::Rest) => return true,
        Some(Piece::Text(text)) if text.starts_with('/') => return true,
        Some(Piece::Text(text)) => match text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
        {
            Some(authority) => authority,
            None => {
                return wrong("this is neither a path nor a URL", "begin with `/`, `https://` or `{path}`");
            }
        },
        Some(Piece::Scheme) => match pieces.next() {
            Some(Piece::Text(text)) if text.starts_with("://") => text.get(3..).unwrap_or_default(),
            _ => {
                return wrong(
                    "`{scheme}` is followed by no host",
                    "write it such as `{scheme}://app.example.com{path}`",
                );
            }
        },
        Some(Piece::Host | Piece::Query | Piece::Client | Piece::RequestId) | None => {
            return wrong("this is neither a path nor a URL", "begin with `/`, `https://` or `{path}`");
        }
    };
    if let Some((host, _)) = authority.split_once(['/', '?', '#']) {
        return is_authority(host)
            || wrong("this URL has no host", "write it such as https://app.example.com/");
    }
    if authority.is_empty() {
        if pieces.next() != Some(&Piece::Host) {
            return wrong("this URL has no host", "write it such as `https://{host}{path}`");
        }
        if matcher.is_some_and(|matcher| matcher.hosts.is_empty()) {
            let message = "`{host}` is what the client says: without a `host` in `match`, it may be any";
            around.note(Code::Trap, place, message, "name the hosts in `match`, or write one here");
        }
        return match pieces.next() {
            None | Some(Piece::Path | Piece::Rest | Piece::Query) => true,
            Some(Piece::Text(text)) if is_port_or_path(text) => true,
            Some(Piece::Text(_) | Piece::Scheme | Piece::Host | Piece::Client | Piece::RequestId) => wrong(
                "what follows `{host}` would belong to the host",
                "let a path follow, or `:` and a port",
            ),
        };
    }
    let ends = matches!(pieces.next(), None | Some(Piece::Path | Piece::Rest | Piece::Query));
    if !ends || !is_authority(authority) {
        return wrong("what follows the host would belong to it", "let a path follow");
    }
    true
}

fn is_authority(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:[]".contains(c))
}

/// `:8443`, alone or before a path; or a path.
fn is_port_or_path(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else { return text.starts_with(['/', '?', '#']) };
    let (port, _) = port.split_once(['/', '?', '#']).unwrap_or((port, ""));
    port.parse::<u16>().is_ok()
}
