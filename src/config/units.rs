//! Values with units, and bounded numbers.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::read::{Cursor, Read};
use super::report::Code;
use super::yaml::Scalar;

/// A duration with its unit, such as `250ms`, `2s`, `30m`, `12h` or `1h 30m`; not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(inline, extend("x-type" = "duration"))]
pub(super) struct Time(#[schemars(with = "String")] pub(super) Duration);

/// A duration with its unit; `0s` is allowed and means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(inline, extend("x-type" = "duration, or 0s"))]
pub(super) struct TimeOrZero(#[schemars(with = "String")] pub(super) Duration);

/// A size with its unit, such as `512B`, `16KiB` or `10MiB`; not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(inline, extend("x-type" = "size"))]
pub(super) struct Bytes(#[schemars(with = "String")] pub(super) u64);

/// A factor of at least 1, such as `1.25` or `125%`.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema)]
#[schemars(inline, extend("x-type" = "number from 1, or percent"))]
pub(super) struct Factor(#[schemars(with = "FactorText")] pub(super) f64);

/// A share from 0% to 100%, such as `10%`.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema)]
#[schemars(inline, extend("x-type" = "percent"))]
pub(super) struct Share(#[schemars(with = "String")] pub(super) f64);

/// How a factor may be written.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "for the schema only")]
enum FactorText {
    Number(f64),
    Percent(String),
}

/// A whole number between two bounds, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole<const MIN: u64, const MAX: u64>(pub(super) u64);

/// Longest duration: a year. Longer ones are slips, and would overflow deadlines.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl Read for Time {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let time = duration(cursor)?;
        if time.is_zero() {
            let message = format!("`{}` must not be zero", cursor.name());
            cursor.refuse(Code::OutOfRange, message, "write a duration such as 250ms, 2s or 30m");
            return None;
        }
        Some(Self(time))
    }
}

impl Read for Share {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("a share such as 10%")?;
        let percent =
            scalar.text.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        match percent.filter(|percent| (0.0..=100.0).contains(percent)) {
            Some(percent) => Some(Self(percent / 100.0)),
            None => {
                let message = format!("`{}` is no share", scalar.shown());
                cursor.refuse(Code::BadValue, message, "write it from 0% to 100%, such as 10% or 0.5%");
                None
            }
        }
    }
}

impl Read for TimeOrZero {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        duration(cursor).map(Self)
    }
}

fn duration(cursor: &Cursor<'_>) -> Option<Duration> {
    let scalar = cursor.scalar("a duration such as 250ms, 2s or 30m")?;
    let (text, shown) = (scalar.text.trim(), scalar.shown());
    if number(text).is_some() {
        let message = format!("`{}` needs a unit: `{shown}` could be anything", cursor.name());
        cursor.refuse(
            Code::BadValue,
            message,
            format!("write `{shown}s` for seconds, `{shown}ms` for milliseconds"),
        );
        return None;
    }
    let Ok(time) = humantime::parse_duration(text) else {
        let message = format!("`{shown}` is not a duration");
        cursor.refuse(
            Code::BadValue,
            message,
            "write a number and its unit: ms, s, m, h or d, such as 250ms or 30m",
        );
        return None;
    };
    if time > LONGEST {
        let message = format!("`{}` must be at most one year", cursor.name());
        cursor.refuse(Code::OutOfRange, message, "write a shorter duration");
        return None;
    }
    Some(time)
}

impl Read for Bytes {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("a size such as 16KiB or 10MiB")?;
        let (text, shown) = (scalar.text.trim(), scalar.shown());
        if number(text).is_some() {
            let message = format!("`{}` needs a unit: `{shown}` could be anything", cursor.name());
            cursor.refuse(
                Code::BadValue,
                message,
                format!("write `{shown}B` for bytes, `{shown}KiB` for 1024 bytes each"),
            );
            return None;
        }
        match text.parse::<bytesize::ByteSize>() {
            Ok(size) if size.as_u64() > 0 => Some(Self(size.as_u64())),
            Ok(_) => {
                let message = format!("`{}` must not be zero", cursor.name());
                cursor.refuse(Code::OutOfRange, message, "write a size such as 16KiB or 10MiB");
                None
            }
            Err(_) => {
                let message = format!("`{shown}` is not a size");
                cursor.refuse(
                    Code::BadValue,
                    message,
                    "write a number and its unit: B, KiB, MiB or GiB, such as 16KiB",
                );
                None
            }
        }
    }
}

impl Read for Factor {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("a number such as 1.25")?;
        let text = scalar.text.trim();
        let value = match text.strip_suffix('%') {
            Some(percent) => number(percent).map(|value| value / 100.0),
            None => number(text),
        };
        let Some(value) = value else {
            let message = format!("`{}` must be a number, not `{}`", cursor.name(), scalar.shown());
            cursor.refuse(Code::WrongType, message, "write a number such as 1.25, or 125%");
            return None;
        };
        if !(1.0..=1000.0).contains(&value) {
            let message = format!("`{}` must be between 1 and 1000, not {text}", cursor.name());
            cursor.refuse(
                Code::OutOfRange,
                message,
                "1.25 lets a backend take a quarter more than its share",
            );
            return None;
        }
        Some(Self(value))
    }
}

impl<const MIN: u64, const MAX: u64> Read for Whole<MIN, MAX> {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("a whole number")?;
        let (name, shown) = (cursor.name(), scalar.shown());
        let bounds = if MIN == MAX { MIN.to_string() } else { format!("from {MIN} to {MAX}") };
        let Some(number) = whole(scalar) else {
            let text = if scalar.plain { "" } else { "the text " };
            let message = format!("`{name}` must be a whole number, not {text}`{shown}`");
            cursor.refuse(Code::WrongType, message, format!("write a number without quotes: {bounds}"));
            return None;
        };
        if !(i128::from(MIN)..=i128::from(MAX)).contains(&number) {
            let nearest = if number < i128::from(MIN) { MIN } else { MAX };
            let message = format!("`{name}` must be {bounds}, not {shown}");
            cursor.refuse(Code::OutOfRange, message, format!("the nearest that is allowed is {nearest}"));
            return None;
        }
        u64::try_from(number).ok().map(Self)
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for Whole<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Whole_{MIN}_{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// A whole number as YAML writes it: decimal digits, `_` between them for the eye.
fn whole(scalar: &Scalar) -> Option<i128> {
    let digits = scalar.text.trim().replace('_', "");
    scalar.plain.then(|| digits.parse().ok()).flatten()
}

fn number(text: &str) -> Option<f64> {
    let digits = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    digits.then(|| text.parse().ok()).flatten().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::report::Report;
    use crate::config::yaml;

    fn read<T: Read>(text: &str) -> Result<T, String> {
        let node = yaml::parse(text).expect("valid YAML");
        let report = Report::new(Path::new("x.yaml"), text);
        let value = T::read(&Cursor::root(&node, &report));
        report.finish().map_err(|problems| problems.iter().map(|p| p.message.clone()).collect::<String>())?;
        value.ok_or_else(|| "no value and no problem".to_owned())
    }

    #[test]
    fn durations_have_units() {
        let cases =
            [("250ms", 250), ("2s", 2_000), ("30m", 1_800_000), ("1h 30m", 5_400_000), ("\"2s\"", 2_000)];
        for (text, millis) in cases {
            assert_eq!(read(text), Ok(Time(Duration::from_millis(millis))), "{text}");
        }
        for text in ["2", "2.5", "-2s", "2x", "fast", "0s", "400d", "''"] {
            assert!(read::<Time>(text).is_err(), "{text}");
        }
        assert_eq!(read("0s"), Ok(TimeOrZero(Duration::ZERO)));
    }

    #[test]
    fn sizes_have_units() {
        let cases = [("512B", 512), ("16KiB", 16_384), ("10 MiB", 10 << 20), ("1kB", 1_000)];
        for (text, bytes) in cases {
            assert_eq!(read(text), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["512", "0B", "-1KiB", "16 kilos", "1.5"] {
            assert!(read::<Bytes>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn factors_may_be_percent() {
        assert_eq!(read("1.25"), Ok(Factor(1.25)));
        assert_eq!(read("125%"), Ok(Factor(1.25)));
        assert_eq!(read("1"), Ok(Factor(1.0)));
        for text in ["0.9", ".nan", ".inf", "inf", "lots", "50%"] {
            assert!(read::<Factor>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn whole_numbers_keep_their_bounds() {
        assert_eq!(read("1_000"), Ok(Whole::<0, 1000>(1000)));
        for text in ["-1", "1001", "1.5", "\"5\"", "true", "99999999999999999999999999999999999999999"] {
            assert!(read::<Whole<0, 1000>>(text).is_err(), "{text}");
        }
    }
}
