//! What a client's certificate says of its owner, as text that fits into a header field.

use rustls::pki_types::CertificateDer;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Longest text; a certificate that says more is not told of.
const MAX_BYTES: usize = 4096;

/// The subject's distinguished name as RFC 4514 writes it, such as `CN=alice,O=Example`: the last part first, what has a
/// meaning of its own escaped, and every byte outside of visible ASCII as `\XX`.
pub fn subject_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let mut text = String::new();
    for (place, part) in certificate.subject().iter_rdn().collect::<Vec<_>>().into_iter().rev().enumerate() {
        if place > 0 {
            text.push(',');
        }
        for (place, attribute) in part.iter().enumerate() {
            if place > 0 {
                text.push('+');
            }
            let kind = attribute.attr_type();
            match oid2abbrev(kind, oid_registry()) {
                Ok(name) => text.push_str(name),
                Err(_) => text.push_str(&kind.to_id_string()),
            }
            text.push('=');
            escape(attribute.as_str().map_or(attribute.as_slice(), str::as_bytes), &mut text);
        }
        if text.len() > MAX_BYTES {
            return None;
        }
    }
    Some(text)
}

/// RFC 4514 section 2.4, and all that a header field cannot have.
fn escape(value: &[u8], text: &mut String) {
    let last = value.len().saturating_sub(1);
    for (place, byte) in value.iter().enumerate() {
        let at_an_end = place == 0 && matches!(byte, b' ' | b'#') || place == last && *byte == b' ';
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'=' | b'>' | b'\\' => {
                text.push('\\');
                text.push(char::from(*byte));
            }
            b' '..=b'~' if !at_an_end => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(value: &str) -> String {
        let mut text = String::new();
        escape(value.as_bytes(), &mut text);
        text
    }

    #[test]
    fn nobody_slips_another_part_into_a_name() {
        assert_eq!(escaped("alice"), "alice");
        assert_eq!(escaped("alice,O=Admins"), "alice\\,O\\=Admins");
        assert_eq!(escaped("a\r\nX: y"), "a\\0D\\0AX: y");
        assert_eq!(escaped(" #a b "), "\\20#a b\\20");
        assert_eq!(escaped("ü\\"), "\\C3\\BC\\\\");
        assert_eq!(escaped(""), "");
    }
}
