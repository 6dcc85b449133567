//! Responses written shorter.

use super::{Surroundings, count, size};
use crate::config::checked::Compression;
use crate::config::collections::OneOrMany;
use crate::config::model;
use crate::config::patterns::MediaType;
use crate::config::read::Spanned;
use crate::config::report::Code;
use crate::config::text::Switch;
use crate::config::units::Bytes;
use crate::config::words::Word;

pub(super) fn compression(
    compression: Spanned<Option<model::Compression>>,
    around: &Surroundings<'_>,
) -> Option<Option<Compression>> {
    let place = compression.place;
    let Some(compression) = compression.value? else { return Some(None) };
    let model::Compression { algorithms, content_types, minimum_bytes, level, decompress, at_once } =
        compression;
    let OneOrMany(algorithms) = algorithms.value?;
    let algorithms: Option<Vec<_>> =
        algorithms.into_iter().map(|word| word.value.map(|Word(coding)| coding.into())).collect();
    let OneOrMany(types) = content_types.value?;
    let content_types: Option<Vec<_>> =
        types.into_iter().map(|word| word.value.map(|MediaType(media)| media)).collect();
    let (Switch(decompress), Bytes(minimum_bytes)) = (decompress.value?, minimum_bytes.value?);
    let (algorithms, content_types) = (algorithms?, content_types?);
    if (algorithms.is_empty() || content_types.is_empty()) && !decompress {
        let help = "remove `compression`, or name algorithms and content types, or write `decompress: true`";
        around.error(Code::Unused, &place, "`compression` would compress nothing", help);
        return None;
    }
    let (level, at_once) = (count(level.value?), size(at_once.value?));
    Some(Some(Compression { algorithms, content_types, minimum_bytes, level, decompress, at_once }))
}
