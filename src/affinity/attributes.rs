//! The load-balancer cookie's line, with attributes that follow the application's own cookie.

use std::fmt::Write as _;

use http::HeaderValue;

use super::policy::CookiePolicy;
use super::set_cookie::{Keeps, SameSite, SetCookie};
use super::token::{Flags, SealedToken};

/// Attributes of the application's cookie that ours follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Kept {
    pub(super) flags: Flags,
    /// `Max-Age` in minutes; 0: until the browser ends.
    pub(super) max_age_min: u16,
}

/// What ours takes over from a session cookie of the application.
pub(super) fn of_application(cookie: &SetCookie<'_>) -> Kept {
    let max_age_min = match cookie.keeps {
        Keeps::Session | Keeps::Deleted => 0,
        Keeps::For(time) => u16::try_from(time.as_secs().div_ceil(60)).unwrap_or(u16::MAX),
    };
    let flags = Flags { secure: cookie.secure, partitioned: cookie.partitioned, same_site: cookie.same_site };
    Kept { flags, max_age_min }
}

/// The `Set-Cookie` line that hands a token to the client.
pub(super) fn line(
    policy: &CookiePolicy,
    token: &SealedToken,
    kept: Kept,
    secure: bool,
) -> Option<HeaderValue> {
    let mut line = String::with_capacity(192);
    let _ = write!(line, "{}={}", policy.name, token.as_str());
    if kept.max_age_min > 0 {
        let _ = write!(line, "; Max-Age={}", u32::from(kept.max_age_min) * 60);
    }
    finish(line, policy, kept.flags, secure)
}

/// The line that takes the token away again: same name, domain, path and partition, or a browser keeps it.
pub(super) fn deletion(policy: &CookiePolicy, flags: Flags, secure: bool) -> Option<HeaderValue> {
    let line = format!("{}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT", policy.name);
    finish(line, policy, flags, secure)
}

fn finish(
    mut line: String,
    policy: &CookiePolicy,
    flags: Flags,
    connection_secure: bool,
) -> Option<HeaderValue> {
    line.push_str("; Path=/");
    if let Some(domain) = &policy.domain {
        let _ = write!(line, "; Domain={domain}");
    }
    let partitioned = policy.partitioned.unwrap_or(flags.partitioned);
    let same_site = policy.same_site.or(flags.same_site).unwrap_or(SameSite::Lax);
    // A browser drops `SameSite=None` and `Partitioned` without `Secure`.
    let secure = policy
        .secure
        .unwrap_or(connection_secure || flags.secure || partitioned || same_site == SameSite::None);
    if secure {
        line.push_str("; Secure");
    }
    if policy.http_only {
        line.push_str("; HttpOnly");
    }
    let _ = write!(line, "; SameSite={}", same_site.as_str());
    if partitioned {
        line.push_str("; Partitioned");
    }
    HeaderValue::try_from(line).ok()
}
