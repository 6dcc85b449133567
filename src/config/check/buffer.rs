//! Buffers: a folder that can be written to, room for more than one body.

use super::Surroundings;
use crate::config::checked::{Buffer, RequestBuffer};
use crate::config::model;
use crate::config::read::Spanned;
use crate::config::report::Code;
use crate::config::text::FilePath;
use crate::config::units::Bytes;

/// Checks a listener's buffers.
pub(super) fn buffer(buffer: Spanned<model::Buffer>, around: &Surroundings<'_>) -> Option<Buffer> {
    let buffer = buffer.value?;
    let memory_place = buffer.memory.place;
    let Bytes(memory) = buffer.memory.value?;
    let request = match buffer.request.value? {
        Some(request) => Some(self::request(request, around)?),
        None => None,
    };
    let response = buffer.response.value?.map(|Bytes(bytes)| size(bytes));
    let largest = request.as_ref().map_or(0, |request| request.memory).max(response.unwrap_or(0));
    if u64::try_from(largest).is_ok_and(|largest| largest > memory) {
        let message = "`memory` is less than one body or response may take";
        around.error(
            Code::Conflict,
            &memory_place,
            message,
            "raise it, or lower `request.memory` and `response`",
        );
        return None;
    }
    Some(Buffer { request, response, memory })
}

fn request(request: model::RequestBuffer, around: &Surroundings<'_>) -> Option<RequestBuffer> {
    Some(RequestBuffer {
        memory: request.memory.value.map(|Bytes(bytes)| size(bytes))?,
        folder: folder(request.folder, around)?,
        file: request.file.value?.0,
        disk: request.disk.value?.0,
    })
}

#[expect(clippy::option_option, reason = "two different absences")]
fn folder(
    folder: Spanned<Option<FilePath>>,
    around: &Surroundings<'_>,
) -> Option<Option<std::path::PathBuf>> {
    let place = folder.place;
    let Some(folder) = folder.value? else { return Some(None) };
    let path = around.path(&folder);
    if !path.is_dir() {
        let message = format!("`{}` is no folder", path.display());
        around.error(
            Code::File,
            &place,
            message,
            "create it; the user that Steadfast runs as must be able to write to it",
        );
        return None;
    }
    Some(Some(path))
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
