//! Bytes that are sent or expected.

use schemars::JsonSchema;

use super::read::{Cursor, Read};
use super::report::Code;

/// Text as it is, or `hex:` and two digits for each byte.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline, extend("x-type" = "text, or `hex:` and digits"))]
pub(super) struct Payload(#[schemars(with = "String")] pub(super) Vec<u8>);

impl Read for Payload {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("text, or `hex:` and two digits for each byte")?;
        let Some(digits) = scalar.text.strip_prefix("hex:") else {
            return Some(Self(scalar.text.clone().into_bytes()));
        };
        if let Some(bytes) = from_hex(digits) {
            return Some(Self(bytes));
        }
        let message = format!("`{}` is not in hex", scalar.shown());
        cursor.refuse(Code::BadValue, message, "write two digits for each byte, such as `hex:0d0a`");
        None
    }
}

/// 1 to 15 bytes, two digits of hex for each.
#[derive(Clone, PartialEq, Eq, Debug, JsonSchema)]
#[schemars(inline, extend("x-type" = "hex", "pattern" = "^([0-9A-Fa-f]{2}){1,15}$"))]
pub(super) struct ServerId(#[schemars(with = "String")] pub(super) Vec<u8>);

impl Read for ServerId {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("a server id in hex")?;
        let bytes = from_hex(&scalar.text).filter(|bytes| (1..=15).contains(&bytes.len()));
        if bytes.is_none() {
            let message = format!("`{}` is not a server id", scalar.shown());
            cursor.refuse(
                Code::BadValue,
                message,
                "write 1 to 15 bytes, two digits of hex for each, such as `c4605e`",
            );
        }
        bytes.map(Self)
    }
}

/// Two digits for each byte; spaces in between count for nothing.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().filter(|c| !c.is_whitespace());
    let digits: Option<Vec<u8>> =
        digits.map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_has_two_digits_for_each_byte() {
        assert_eq!(from_hex("0d 0A ff"), Some(vec![13, 10, 255]));
        assert_eq!(from_hex(""), Some(vec![]));
        assert!(["0", "0g", "é0"].iter().all(|text| from_hex(text).is_none()));
    }
}
