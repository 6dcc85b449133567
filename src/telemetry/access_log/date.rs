//! Moments as logs write them, in UTC.

use std::cell::Cell;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

struct Date {
    year: u64,
    /// From 1.
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Date {
    /// Howard Hinnant's `civil_from_days`, for moments after 1970.
    fn of(unix_ms: u64) -> Self {
        let seconds = unix_ms / 1000;
        // Days since 1 March of the year 0.
        let days = seconds / 86_400 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let in_new_year = month >= 10;
        Self {
            year: year_of_era + era * 400 + u64::from(in_new_year),
            month: if in_new_year { month - 9 } else { month + 3 },
            day: day_of_year - (153 * month + 2) / 5 + 1,
            hour: seconds / 3600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
        }
    }
}

thread_local! {
    /// The second that this thread wrote last, and its text up to the point.
    static LAST: Cell<(u64, [u8; SECOND])> = const { Cell::new((u64::MAX, [0; SECOND])) };
}

/// `2026-11-25T14:02:11.`
const SECOND: usize = 20;

/// RFC 3339, with milliseconds: `2026-11-25T14:02:11.042Z`.
pub(super) fn rfc3339(unix_ms: u64, to: &mut Vec<u8>) {
    let (second, text) = LAST.get();
    if second == unix_ms / 1000 {
        to.extend_from_slice(&text);
    } else {
        let begin = to.len();
        write_second(&Date::of(unix_ms), to);
        // Years above 9999 are longer, and nobody's.
        if let Some(Ok(text)) = to.get(begin..).map(<[u8; SECOND]>::try_from) {
            LAST.set((unix_ms / 1000, text));
        }
    }
    digits(unix_ms % 1000, 3, to);
    to.push(b'Z');
}

fn write_second(date: &Date, to: &mut Vec<u8>) {
    digits(date.year, 4, to);
    for (before, number) in
        [(b'-', date.month), (b'-', date.day), (b'T', date.hour), (b':', date.minute), (b':', date.second)]
    {
        to.push(before);
        digits(number, 2, to);
    }
    to.push(b'.');
}

/// As the Common Log Format has it: `25/Nov/2026:14:02:11 +0000`.
pub(super) fn common(unix_ms: u64, to: &mut Vec<u8>) {
    let date = Date::of(unix_ms);
    digits(date.day, 2, to);
    to.push(b'/');
    let month = usize::try_from(date.month).ok().and_then(|month| MONTHS.get(month.wrapping_sub(1)));
    to.extend_from_slice(month.copied().unwrap_or_default().as_bytes());
    to.push(b'/');
    digits(date.year, 4, to);
    for number in [date.hour, date.minute, date.second] {
        to.push(b':');
        digits(number, 2, to);
    }
    to.extend_from_slice(b" +0000");
}

/// A number with at least so many digits.
fn digits(number: u64, least: usize, to: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(number);
    to.extend(std::iter::repeat_n(b'0', least.saturating_sub(text.len())));
    to.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(unix_ms: u64) -> (String, String) {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        rfc3339(unix_ms, &mut one);
        common(unix_ms, &mut two);
        (String::from_utf8(one).unwrap(), String::from_utf8(two).unwrap())
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (unix_ms, rfc, log) in [
            (0, "1970-01-01T00:00:00.000Z", "01/Jan/1970:00:00:00 +0000"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z", "29/Feb/2000:00:00:00 +0000"),
            (1_764_079_331_042, "2025-11-25T14:02:11.042Z", "25/Nov/2025:14:02:11 +0000"),
            (4_102_444_799_999, "2099-12-31T23:59:59.999Z", "31/Dec/2099:23:59:59 +0000"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z", "01/Mar/2100:00:00:00 +0000"),
        ] {
            assert_eq!(both(unix_ms), (rfc.to_owned(), log.to_owned()));
        }
    }

    #[test]
    fn every_day_of_two_centuries_is_as_another_library_has_it() {
        for day in 0..73_000_u64 {
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(day * 86_400 + 3723);
            // `Thu, 01 Jan 1970 01:02:03 GMT`
            let other = httpdate::fmt_http_date(at);
            let (_, log) = both((day * 86_400 + 3723) * 1000);
            let expected =
                format!("{}/{}/{}:{}", &other[5..7], &other[8..11], &other[12..16], &other[17..25]);
            assert_eq!(log, format!("{expected} +0000"));
        }
    }
}
