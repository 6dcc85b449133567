//! Limits of requests: a header where one is counted by, and only there.

use super::{Surroundings, all, count, size};
use crate::config::checked::{LimitBy, RequestLimit};
use crate::config::model;
use crate::config::read::Spanned;
use crate::config::report::Code;
use crate::config::words::Word;

/// Checks a listener's limits of requests.
pub(super) fn requests(
    limits: Spanned<Vec<Spanned<model::RequestLimit>>>,
    around: &Surroundings<'_>,
) -> Option<Vec<RequestLimit>> {
    all(limits.value?.into_iter().map(|limit| self::limit(limit, around)))
}

fn limit(limit: Spanned<model::RequestLimit>, around: &Surroundings<'_>) -> Option<RequestLimit> {
    let place = limit.place;
    let limit = limit.value?;
    let Word(by) = limit.by.value?;
    let header_place = limit.header.place;
    let header = limit.header.value?.map(|header| header.0);
    if by == LimitBy::Header && header.is_none() {
        let help = "add `header: NAME`, such as `header: x-api-key`";
        around.error(Code::MissingKey, &place, "`by: header` needs to know which one", help);
        return None;
    }
    if by != LimitBy::Header && header.is_some() {
        let help = "write `by: header`, or remove `header`";
        around.error(Code::Conflict, &header_place, "`header` counts only with `by: header`", help);
        return None;
    }
    let requests = count(limit.requests.value?);
    Some(RequestLimit {
        by,
        header,
        requests,
        per: limit.per.value?.0,
        burst: limit.burst.value?.map_or(requests, count),
        keys: size(limit.keys.value?),
    })
}
