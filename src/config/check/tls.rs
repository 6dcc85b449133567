//! TLS: files that can be read, that belong together and that have not expired.

use std::sync::Arc;

use super::{Surroundings, all};
use crate::clock::Now;
use crate::config::checked;
use crate::config::model;
use crate::config::read::Spanned;
use crate::config::report::{Code, Place};
use crate::config::text::{FilePath, HeaderName};
use crate::tls::{Authorities, ClientAuth, FileError, Identity, ServerSettings};

/// Seconds before the end of a certificate at which it is spoken of.
const SOON_S: i64 = 14 * 24 * 3600;

/// TLS on a listener; the outer `None` is an error.
#[expect(clippy::option_option, reason = "two different absences")]
pub(super) fn tls(
    tls: Spanned<Option<model::ListenerTls>>,
    around: &Surroundings<'_>,
) -> Option<Option<checked::ListenerTls>> {
    let Some(tls) = tls.value? else { return Some(None) };
    let model::ListenerTls {
        certificates,
        http2,
        minimum_version,
        client_ca,
        client_certificates,
        client_subject_header,
    } = tls;
    for (given, place) in [
        (client_certificates.given, &client_certificates.place),
        (client_subject_header.given, &client_subject_header.place),
    ] {
        if given && matches!(client_ca.get(), Some(None)) {
            let message = format!("`{}` does nothing without `client_ca`", place.name());
            around.warn(Code::Unused, place, message, "add `client_ca`, or remove it");
        }
    }
    let identities = self::certificates(certificates, around);
    let place = client_ca.place;
    let authorities = match client_ca.value? {
        None => None,
        Some(path) => Some(authorities(&path, &place, around)?),
    };
    let required = client_certificates.value?.0;
    let header = client_subject_header.value?.map(|HeaderName(name)| name);
    let subject_header = header.filter(|_| authorities.is_some());
    Some(Some(checked::ListenerTls {
        settings: ServerSettings {
            identities: identities?,
            http2: http2.value?.0,
            tls12: minimum_version.value?.0.0,
            clients: authorities.map(|authorities| ClientAuth { authorities, required: required.0 }),
        },
        subject_header,
    }))
}

fn certificates(
    certificates: Spanned<Vec<Spanned<model::Certificate>>>,
    around: &Surroundings<'_>,
) -> Option<Vec<Arc<Identity>>> {
    let place = certificates.place;
    let certificates = certificates.value?;
    if certificates.is_empty() {
        let help = "add one: `- { cert: site.pem, key: site.key }`";
        around.error(Code::MissingKey, &place, "`certificates` is empty", help);
        return None;
    }
    let several = certificates.len() > 1;
    let read = |(index, certificate): (usize, Spanned<model::Certificate>)| {
        let model::Certificate { cert, key } = certificate.value?;
        let place = cert.place.clone();
        let (path, identity) = identity(cert, key, around)?;
        if several && index > 0 && identity.names().is_empty() {
            let message = format!("`{}` has no DNS name: it would serve nobody", path.display());
            let help = "put it first, or give it a subject alternative name";
            around.warn(Code::Unused, &place, message, help);
        }
        Some(Arc::new(identity))
    };
    all(certificates.into_iter().enumerate().map(read))
}

/// A certificate with its key; and the certificate's file.
pub(super) fn identity(
    cert: Spanned<FilePath>,
    key: Spanned<FilePath>,
    around: &Surroundings<'_>,
) -> Option<(std::path::PathBuf, Identity)> {
    let (cert_place, key_place) = (cert.place, key.place);
    let (cert, key) = (cert.value, key.value);
    let (cert, key) = (around.path(&cert?), around.path(&key?));
    let identity = match Identity::read(&cert, &key) {
        Ok(identity) => identity,
        Err(error) => {
            refuse(&error, if error.path == cert { &cert_place } else { &key_place }, around);
            return None;
        }
    };
    around.nobody_else_reads(&key, &key_place)?;
    let now = i64::try_from(Now::read().unix_s).unwrap_or(i64::MAX);
    let left_s = identity.expires_s().saturating_sub(now);
    let (shown, help) = (cert.display(), "put a new one in its place and reload");
    if left_s <= 0 {
        around.warn(Code::File, &cert_place, format!("`{shown}` has expired: clients will refuse it"), help);
    } else if left_s < SOON_S {
        let message = format!("`{shown}` expires in less than {} days", left_s / 86_400 + 1);
        around.warn(Code::File, &cert_place, message, help);
    }
    Some((cert, identity))
}

/// Authorities from a file.
pub(super) fn authorities(path: &FilePath, place: &Place, around: &Surroundings<'_>) -> Option<Authorities> {
    let path = around.path(path);
    Authorities::read(&path).map_err(|error| refuse(&error, place, around)).ok()
}

fn refuse(error: &FileError, place: &Place, around: &Surroundings<'_>) {
    around.error(Code::File, place, error.to_string(), error.help);
}

/// HTTP/2 on a listener.
pub(super) fn http2(http2: Spanned<model::Http2>, around: &Surroundings<'_>) -> Option<checked::Http2> {
    /// What RFC 9113 section 6.9.1 allows.
    const MAX_WINDOW: u64 = (1 << 31) - 1;
    let http2 = http2.value?;
    let window = http2.window.value?.0;
    if !(1..=MAX_WINDOW).contains(&window) {
        let help = "write a size between 1B and 2GiB; 64KiB is the default";
        around.error(Code::OutOfRange, &http2.window.place, "`window` is out of range", help);
        return None;
    }
    Some(checked::Http2 {
        cleartext: http2.cleartext.value?.0,
        max_streams: super::count(http2.max_streams.value?),
        window: u32::try_from(window).unwrap_or(u32::MAX >> 1),
        send_buffer: usize::try_from(http2.send_buffer.value?.0).unwrap_or(usize::MAX),
    })
}

impl Surroundings<'_> {
    /// Whether nobody else can read a file with a secret; says so where somebody can.
    pub(super) fn nobody_else_reads(&self, path: &std::path::Path, place: &Place) -> Option<()> {
        let Ok(metadata) = std::fs::metadata(path) else { return Some(()) };
        super::secrets::others_cannot_read(&metadata, path, place, self)
    }
}
