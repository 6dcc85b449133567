//! Text from clients, so that it can neither end a line nor a field.

/// Longer values are cut: a line has a bound, whatever a client sends.
const MOST: usize = 2048;
/// Stands for what was cut away.
const CUT: &[u8] = b"...";

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Whether all bytes stand in a line as they are. Looks at each of them, without a way out: compilers make vectors of that.
fn all_plain(text: &[u8]) -> bool {
    text.iter().fold(true, |all, byte| all & is_plain(*byte))
}

/// Whether a text stands in a line as it is, in every format.
pub(super) fn is_short_and_plain(text: &[u8]) -> bool {
    text.len() <= MOST && all_plain(text)
}

/// Whether a byte stands in a line as it is, within JSON's quotes as well as within those of the Combined format.
fn is_plain(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte) & (byte != b'"') & (byte != b'\\')
}

/// Within JSON's quotes (RFC 8259 section 7). What is not UTF-8 is replaced.
pub(super) fn json(text: &[u8], to: &mut Vec<u8>) {
    let (text, cut) = bounded(text);
    // Nearly all values are plain ASCII, and looking is cheaper than writing byte by byte.
    if all_plain(text) {
        to.extend_from_slice(text);
    } else {
        for chunk in text.utf8_chunks() {
            for char in chunk.valid().chars() {
                match char {
                    '"' => to.extend_from_slice(b"\\\""),
                    '\\' => to.extend_from_slice(b"\\\\"),
                    // Also the separators of lines that are no control characters to JSON.
                    char if char.is_control() || matches!(char, '\u{2028}' | '\u{2029}') => {
                        to.extend_from_slice(b"\\u");
                        let code = u32::from(char);
                        for shift in [12, 8, 4, 0] {
                            push_hex(u8::try_from(code >> shift & 0xF).unwrap_or(0), to);
                        }
                    }
                    char => to.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
                }
            }
            if !chunk.invalid().is_empty() {
                to.extend_from_slice("\u{FFFD}".as_bytes());
            }
        }
    }
    to.extend_from_slice(cut);
}

/// As Apache and NGINX write it in their text formats: other than visible ASCII becomes `\xHH`.
pub(super) fn text(text: &[u8], to: &mut Vec<u8>) {
    let (text, cut) = bounded(text);
    if all_plain(text) {
        to.extend_from_slice(text);
    } else {
        for byte in text {
            if is_plain(*byte) {
                to.push(*byte);
            } else {
                to.extend_from_slice(b"\\x");
                push_hex(byte >> 4, to);
                push_hex(byte & 0xF, to);
            }
        }
    }
    to.extend_from_slice(cut);
}

/// A number as hexadecimal digits, all of them.
pub(super) fn hex(number: u64, to: &mut Vec<u8>) {
    for byte in number.to_be_bytes() {
        push_hex(byte >> 4, to);
        push_hex(byte & 0xF, to);
    }
}

fn push_hex(digit: u8, to: &mut Vec<u8>) {
    to.push(HEX.get(usize::from(digit)).copied().unwrap_or(b'?'));
}

fn bounded(text: &[u8]) -> (&[u8], &'static [u8]) {
    match text.get(..MOST) {
        Some(head) if text.len() > MOST => (head, CUT),
        _ => (text, b""),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json_of(bytes: &[u8]) -> String {
        let mut line = vec![b'"'];
        json(bytes, &mut line);
        line.push(b'"');
        String::from_utf8(line).expect("UTF-8")
    }

    fn text_of(bytes: &[u8]) -> String {
        let mut line = Vec::new();
        text(bytes, &mut line);
        String::from_utf8(line).expect("ASCII")
    }

    #[test]
    fn nothing_ends_a_field_or_a_line() {
        assert_eq!(json_of(b"a\"b\\c\nd\xFFe\x7F"), "\"a\\\"b\\\\c\\u000ad\u{FFFD}e\\u007f\"");
        assert_eq!(json_of("größer\u{2028}".as_bytes()), "\"größer\\u2028\"");
        assert_eq!(text_of(b"a\"b\\c\nd\xFF"), "a\\x22b\\x5cc\\x0ad\\xff");
        let mut line = Vec::new();
        hex(0x0123_4567_89AB_CDEF, &mut line);
        assert_eq!(line, b"0123456789abcdef");
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(text_of(&[b'a'; 3000]).len(), MOST + 3);
        assert_eq!(text_of(&[b'a'; MOST]).len(), MOST);
        assert!(json_of(&[b'a'; 3000]).ends_with("a...\""));
    }

    proptest! {
        #[test]
        fn any_bytes_make_one_line(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let (json, text) = (json_of(&bytes), text_of(&bytes));
            prop_assert!(!json.contains('\n') && !text.contains(['\n', '"', '\r']));
            let read: String = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(read, String::from_utf8_lossy(&bytes));
        }
    }
}
