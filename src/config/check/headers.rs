//! What is told about a request, and the pages of our own answers.

use super::actions::file;
use super::{Surroundings, all};
use crate::config::checked::{ErrorPage, Headers};
use crate::config::collections::Keyed;
use crate::config::model;
use crate::config::network::StatusClass;
use crate::config::patterns::FieldName;
use crate::config::read::Spanned;
use crate::config::report::Code;
use crate::config::text::{FilePath, Name, Text};

/// Fields that say something else already.
const TAKEN: [&str; 8] = [
    "host",
    "cookie",
    "connection",
    "content-length",
    "transfer-encoding",
    "authorization",
    "forwarded",
    "via",
];

/// What backends and clients are told about a request.
pub(super) fn headers(headers: Spanned<model::Headers>, around: &Surroundings<'_>) -> Option<Headers> {
    let model::Headers { forwarded, request_id, server, via } = headers.value?;
    let place = request_id.place;
    let request_id = request_id.value?.map(|FieldName(name)| name);
    if let Some(name) =
        request_id.as_deref().filter(|name| TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(name)))
    {
        around.error(
            Code::Conflict,
            &place,
            format!("`{name}` is another thing's field"),
            "write it such as X-Request-Id",
        );
        return None;
    }
    let server_place = server.place;
    let server = server.value?.map(|Text(text)| text);
    if server.as_ref().is_some_and(|text| http::HeaderValue::from_str(text).is_err() || !text.is_ascii()) {
        around.error(
            Code::BadValue,
            &server_place,
            "this is no value of `Server`",
            "write one line of visible ASCII",
        );
        return None;
    }
    Some(Headers {
        forwarded: forwarded.value?.0.into(),
        request_id,
        server,
        via: via.value?.map(|Name(name)| name),
    })
}

/// The pages of our own answers, read now.
pub(super) fn error_pages(
    pages: Spanned<Option<Keyed<StatusClass, FilePath>>>,
    around: &Surroundings<'_>,
) -> Option<Vec<ErrorPage>> {
    let Some(Keyed(pages)) = pages.value? else { return Some(Vec::new()) };
    let mut pages = all(pages.into_iter().map(|(status, path)| {
        let (StatusClass((first, last)), at) = (status.value?, path.place);
        let path = path.value?;
        let body = file(&path, &at, around)?;
        let FilePath(path) = path;
        let media_type = match path.extension().and_then(|extension| extension.to_str()) {
            Some("html" | "htm") => "text/html; charset=utf-8",
            Some("json") => "application/json",
            _ => "text/plain; charset=utf-8",
        };
        Some(ErrorPage { first, last, media_type: media_type.to_owned(), body })
    }))?;
    // The narrower one first.
    pages.sort_by_key(|page| page.last - page.first);
    Some(pages)
}
