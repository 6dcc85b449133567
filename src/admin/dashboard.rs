//! The dashboard: one page, three small modules, one style sheet and an icon, embedded. They are the same for everybody and hold no
//! numbers: those the page asks the API for, with the admin token where there is one.

use http::StatusCode;

use super::answer::Answer;

/// Nothing but its own files and this API; no markup from strings, no frame around it.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                                 require-trusted-types-for 'script'; trusted-types 'none'";

/// The file at a path, if it is one of the dashboard's.
pub(super) fn asset(path: &str) -> Option<Answer> {
    let (content_type, body): (_, &'static [u8]) = match path {
        "/" => ("text/html; charset=utf-8", include_bytes!("dashboard/index.html")),
        "/dashboard/app.js" => ("text/javascript; charset=utf-8", include_bytes!("dashboard/app.js")),
        "/dashboard/parts.js" => ("text/javascript; charset=utf-8", include_bytes!("dashboard/parts.js")),
        "/dashboard/chart.js" => ("text/javascript; charset=utf-8", include_bytes!("dashboard/chart.js")),
        "/dashboard/style.css" => ("text/css; charset=utf-8", include_bytes!("dashboard/style.css")),
        "/dashboard/icon.svg" => ("image/svg+xml", include_bytes!("dashboard/icon.svg")),
        _ => return None,
    };
    Some(Answer { status: StatusCode::OK, body: body.to_vec(), content_type, allow: None, is_page: true })
}
