//! The access log: exactly one destination, and one way for a line to look.

use super::{Surroundings, count};
use crate::config::checked::{AccessLog, LogDestination, LogFormat, Rotation, SyslogAddress};
use crate::config::log_text::{self, SyslogPlace, Tag, Template};
use crate::config::model;
use crate::config::read::Spanned;
use crate::config::report::{Code, Place};
use crate::config::text::{FilePath, Switch};
use crate::config::units::{Bytes, Whole};
use crate::config::words::Word;

/// Room for the lines of a moment.
const SMALLEST_BUFFER: u64 = 16 * 1024;

/// Checks an access log. The outer `None` is an error; the inner one is none.
#[expect(clippy::option_option, reason = "two different absences")]
pub(super) fn access_log(
    log: Spanned<Option<model::AccessLog>>,
    around: &Surroundings<'_>,
) -> Option<Option<AccessLog>> {
    let place = log.place;
    let Some(log) = log.value? else { return Some(None) };
    let enabled = log.enabled.get().is_none_or(|Switch(on)| *on);
    let model::AccessLog { file, stdout, syslog, journald, template, format, buffer, .. } = log;
    // A log that is switched off needs no destination.
    let destination = match enabled {
        true => Some(destination(file, stdout, syslog, journald, &place, around)),
        false => None,
    };
    let format = self::format(format, template, around);
    if let Some(Bytes(bytes)) = buffer.get().filter(|Bytes(bytes)| *bytes < SMALLEST_BUFFER) {
        let message = format!("`buffer` has room for {bytes} bytes: a few lines");
        around.error(
            Code::OutOfRange,
            &buffer.place,
            message,
            "write `16KiB` or more; `1MiB` is the default",
        );
    }
    let only = log.only.value?.into_iter().map(|matter| matter.value.map(|Word(matter)| matter));
    let only = only.collect::<Option<Vec<_>>>();
    let (Switch(query), slower_than) = (log.query.value?, log.slower_than.value?);
    let Whole(one_of) = log.one_of.value?;
    let Bytes(buffer) = buffer.value?;
    let (format, only) = (format?, only?);
    let Some(destination) = destination else { return Some(None) };
    Some(Some(AccessLog {
        destination: destination?,
        format,
        query,
        only,
        slower_than: slower_than.map(|time| time.0),
        one_of,
        buffer: usize::try_from(buffer).unwrap_or(usize::MAX),
    }))
}

fn destination(
    file: Spanned<Option<model::LogFile>>,
    stdout: Spanned<Switch>,
    syslog: Spanned<Option<model::Syslog>>,
    journald: Spanned<Option<model::Journald>>,
    place: &Place,
    around: &Surroundings<'_>,
) -> Option<LogDestination> {
    // All are looked at, so that each reports its problems.
    let places = [&file.place, &stdout.place, &syslog.place, &journald.place].map(Place::clone);
    let file = file.value.map(|file| file.map(|file| self::file(file, around)));
    let stdout = stdout.value.map(|Switch(on)| on.then_some(Some(LogDestination::Stdout)));
    let syslog = syslog.value.map(|syslog| syslog.map(|syslog| self::syslog(syslog, around)));
    let journald = journald.value.map(|journald| journald.map(|journald| self::journald(journald, around)));
    let all = [file?, stdout?, syslog?, journald?];
    let mut given = all.into_iter().zip(&places).filter_map(|(one, place)| Some((one?, place)));
    let Some((first, _)) = given.next() else {
        let help = "add `file: { path: access.log }`, `stdout: true`, `syslog: {}` or `journald: {}`";
        around.error(Code::MissingKey, place, "the access log has nowhere to go", help);
        return None;
    };
    if let Some((_, second)) = given.next() {
        let help =
            "keep one of `file`, `stdout`, `syslog` and `journald`; each listener may have its own log";
        around.error(Code::Conflict, second, "the access log has two destinations", help);
        return None;
    }
    first
}

fn file(file: model::LogFile, around: &Surroundings<'_>) -> Option<LogDestination> {
    let rotation = match file.rotate.value? {
        Some(rotate) => {
            let Bytes(size) = rotate.size.value?;
            Some(Rotation { size, keep: count(rotate.keep.value?) })
        }
        None => None,
    };
    Some(LogDestination::File { path: around.path(&file.path.value?), rotation })
}

fn syslog(syslog: model::Syslog, around: &Surroundings<'_>) -> Option<LogDestination> {
    let SyslogPlace(address) = syslog.address.value?;
    let address = match address {
        SyslogAddress::Unix(path) => SyslogAddress::Unix(around.path(&FilePath(path))),
        udp @ SyslogAddress::Udp(_) => udp,
    };
    let (Word(facility), Tag(tag)) = (syslog.facility.value?, syslog.tag.value?);
    Some(LogDestination::Syslog { address, facility, tag })
}

fn journald(journald: model::Journald, around: &Surroundings<'_>) -> Option<LogDestination> {
    let Tag(tag) = journald.tag.value?;
    Some(LogDestination::Journald { socket: around.path(&journald.socket.value?), tag })
}

fn format(
    format: Spanned<Word<log_text::LogFormat>>,
    template: Spanned<Option<Template>>,
    around: &Surroundings<'_>,
) -> Option<LogFormat> {
    let Word(word) = format.value?;
    match template.value? {
        Some(_) if format.given => {
            let help = "keep `format` or `template`";
            around.error(
                Code::Conflict,
                &template.place,
                "a line looks as `template` says, or as `format` does",
                help,
            );
            None
        }
        Some(Template(pieces)) => Some(LogFormat::Template(pieces)),
        None => Some(match word {
            log_text::LogFormat::Json => LogFormat::Json,
            log_text::LogFormat::Common => LogFormat::Common,
            log_text::LogFormat::Combined => LogFormat::Combined,
        }),
    }
}
