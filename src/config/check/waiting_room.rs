//! Waiting rooms: a pool that knows its sessions, time to come back, a page that says the place.

use std::fs::File;
use std::io::{self, Read as _};

use super::{Surroundings, size};
use crate::config::checked::{AffinityMode, WaitingRoom};
use crate::config::model;
use crate::config::read::Spanned;
use crate::config::report::Code;
use crate::config::text::FilePath;

/// Far above any page that is sent to everybody who waits.
const MAX_PAGE_BYTES: u64 = 256 << 10;

/// Checks a pool's waiting room. The outer `None` is an error; the inner one is no room.
#[expect(clippy::option_option, reason = "two different absences")]
pub(super) fn waiting_room(
    room: Spanned<Option<model::WaitingRoom>>,
    mode: Option<AffinityMode>,
    around: &Surroundings<'_>,
) -> Option<Option<WaitingRoom>> {
    let place = room.place;
    let Some(room) = room.value? else { return Some(None) };
    if mode.is_some_and(|mode| mode != AffinityMode::Bind) {
        let help = "write `affinity.mode: bind`, or remove `waiting_room`";
        around.error(Code::Conflict, &place, "only `affinity.mode: bind` knows which sessions live", help);
    }
    let patience_place = room.patience.place.clone();
    let (refresh, patience) = (room.refresh.value?.0, room.patience.value?.0);
    if patience < refresh * 2 {
        let message =
            "`patience` is shorter than twice `refresh`: visitors would lose their turn while they wait";
        around.error(Code::Conflict, &patience_place, message, "wait longer, or renew the page more often");
        return None;
    }
    Some(Some(WaitingRoom {
        sessions: room.sessions.value?.0,
        length: size(room.length.value?),
        refresh,
        patience,
        page: page(room.page, around)?,
    }))
}

#[expect(clippy::option_option, reason = "two different absences")]
fn page(page: Spanned<Option<FilePath>>, around: &Surroundings<'_>) -> Option<Option<String>> {
    let place = page.place;
    let Some(file) = page.value? else { return Some(None) };
    let path = around.path(&file);
    let read = || -> io::Result<String> {
        let mut text = String::new();
        let read = File::open(&path)?.take(MAX_PAGE_BYTES + 1).read_to_string(&mut text)?;
        if read as u64 > MAX_PAGE_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
    };
    match read() {
        Ok(text) if text.contains("{place}") => Some(Some(text)),
        Ok(_) => {
            let help = "write `{place}` where the visitor's place is to stand";
            around.error(Code::BadValue, &place, "the page does not say the visitor's place", help);
            None
        }
        Err(error) => {
            let message = format!("the page `{}` cannot be read: {error}", path.display());
            around.error(Code::File, &place, message, "it is a file in UTF-8, of at most 256 KiB");
            None
        }
    }
}
