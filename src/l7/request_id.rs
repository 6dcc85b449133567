//! The id of a request: kept from a proxy that is trusted, else made.

use http::{HeaderName, HeaderValue};
use pingora::http::RequestHeader;

/// Of an id that is kept.
const MOST_BYTES: usize = 128;

/// The id. What anybody but a trusted proxy says is no id, and neither is what would not fit into a log line.
pub(super) fn of(head: &RequestHeader, name: &HeaderName, trusted: bool) -> HeaderValue {
    let given = head.headers.get(name).filter(|_| trusted);
    let right = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        (1..=MOST_BYTES).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:=+/@".contains(byte))
    };
    given.filter(right).cloned().unwrap_or_else(made)
}

/// 128 random bits as 32 digits.
fn made() -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut number: u128 = rand::random();
    let mut text = [0_u8; 32];
    for byte in &mut text {
        *byte = DIGITS.get(usize::try_from(number & 15).unwrap_or(0)).copied().unwrap_or(b'0');
        number >>= 4;
    }
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("none"))
}
