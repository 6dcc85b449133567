//! A pool's affinity.

use crate::config::checked::{
    Affinity, AffinityMode, FirstContact, Insert, LbCookie, Learn, OnLostBackend, SameSite, Toggle,
};
use crate::config::report::Report;
use crate::config::values::Values;

pub(super) fn affinity(affinity: &Values<'_>, report: &mut Report<'_>) -> Affinity {
    let mode = match affinity.word("mode").as_str() {
        "hash" => AffinityMode::Hash,
        "none" => AffinityMode::None,
        _ => AffinityMode::Bind,
    };
    let cookies = affinity.texts("application_cookie");
    if cookies.is_empty() && mode != AffinityMode::None {
        let help = "name the cookie that the application sets, for instance `JSESSIONID`".to_owned();
        report.error(
            affinity.at("application_cookie"),
            "no application cookie is named".to_owned(),
            Some(help),
        );
    }
    for (position, (name, at)) in cookies.iter().enumerate() {
        if cookies.iter().take(position).any(|(earlier, _)| earlier == name) {
            report.error(
                *at,
                format!("the application cookie `{name}` is named twice"),
                Some("name it once".to_owned()),
            );
        }
    }
    if mode == AffinityMode::Hash {
        let message = "plain hashing loses the first session of every client: the cookie that its first response sets \
                       leads to another backend";
        report.warning(affinity.at("mode"), message.to_owned(), Some("write `mode: bind`".to_owned()));
    }
    let learn = affinity.section("learn");
    Affinity {
        mode,
        path_parameter: affinity.text("path_parameter"),
        header: affinity.text("header").map(|name| name.to_ascii_lowercase()),
        query: affinity.text("query"),
        route_suffix: affinity.boolean("route_suffix"),
        first_contact: match affinity.word("first_contact").as_str() {
            "connection" => FirstContact::Connection,
            "balance" => FirstContact::Balance,
            _ => FirstContact::Client,
        },
        learn: Learn { capacity: learn.number("capacity"), idle: learn.duration("idle") },
        cookie: cookie(&affinity.section("load_balancer_cookie"), &cookies, report),
        release_on_logout: affinity.word("release") != "never",
        on_lost_backend: match affinity.word("on_lost_backend").as_str() {
            "fail" => OnLostBackend::Fail,
            _ => OnLostBackend::Move,
        },
        fail_back: affinity.word("fail_back") == "always",
        suspect_hold: affinity.duration("suspect_hold"),
        application_cookies: cookies.into_iter().map(|(name, _)| name).collect(),
    }
}

fn cookie(
    cookie: &Values<'_>,
    application: &[(String, crate::config::node::At)],
    report: &mut Report<'_>,
) -> LbCookie {
    let name = cookie.text("name");
    if let Some(name) = &name
        && application.iter().any(|(own, _)| own == name)
    {
        let help = "choose a name that the application does not use, or leave it out".to_owned();
        report.error(cookie.at("name"), format!("`{name}` is the application's own cookie"), Some(help));
    }
    let domain = cookie.text("domain");
    if let Some(domain) = &domain {
        check_domain(domain, cookie, report);
    }
    let secure = toggle(&cookie.word("secure"));
    let same_site = match cookie.word("same_site").as_str() {
        "strict" => Some(SameSite::Strict),
        "lax" => Some(SameSite::Lax),
        "none" => Some(SameSite::None),
        _ => None,
    };
    let partitioned = toggle(&cookie.word("partitioned"));
    if secure == Toggle::Off {
        for (key, needs) in
            [("same_site", same_site == Some(SameSite::None)), ("partitioned", partitioned == Toggle::On)]
        {
            if needs {
                let message =
                    format!("browsers drop a cookie with `{key}: {}` that is not secure", cookie.word(key));
                report.error(
                    cookie.at("secure"),
                    message,
                    Some("write `secure: auto` or `secure: always`".to_owned()),
                );
            }
        }
    }
    LbCookie {
        name,
        insert: match cookie.word("insert").as_str() {
            "always" => Insert::Always,
            "never" => Insert::Never,
            _ => Insert::WhenNeeded,
        },
        domain,
        secure,
        http_only: cookie.boolean("http_only"),
        same_site,
        partitioned,
        idle: cookie.optional_duration("idle"),
        lifetime: cookie.optional_duration("lifetime"),
    }
}

fn check_domain(domain: &str, cookie: &Values<'_>, report: &mut Report<'_>) {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if !domain.trim_start_matches('.').split('.').all(label) {
        let help = "write a host name such as `example.com`".to_owned();
        report.error(cookie.at("domain"), format!("`{domain}` is no domain"), Some(help));
    }
}

fn toggle(word: &str) -> Toggle {
    match word {
        "always" => Toggle::On,
        "never" => Toggle::Off,
        _ => Toggle::Auto,
    }
}
