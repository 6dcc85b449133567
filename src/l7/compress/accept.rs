//! `Accept-Encoding` (RFC 9110 section 12.5.3): what a client can read, and what it likes.

use http::{HeaderMap, header};

use crate::route::quality;
use crate::snapshot::Coding;

/// What a client likes, each from 0 to 1000; `None`: it does not say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Accepted {
    gzip: Option<u16>,
    brotli: Option<u16>,
    zstd: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

impl Accepted {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let mut accepted = Self::default();
        let fields = headers.get_all(header::ACCEPT_ENCODING).iter();
        for entry in fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b',')) {
            let mut parts = entry.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let Some(word) = parts.next().filter(|word| !word.is_empty()) else { continue };
            let weight = parts.find_map(|part| {
                let weight = part.strip_prefix(b"q").or_else(|| part.strip_prefix(b"Q"))?;
                Some(quality(weight.trim_ascii_start().strip_prefix(b"=")?))
            });
            // A weight that is none: better nothing than what the client cannot read.
            let weight = weight.unwrap_or(Some(1000)).unwrap_or(0);
            let slot = match Coding::read(word) {
                Some(Coding::Gzip) => &mut accepted.gzip,
                Some(Coding::Brotli) => &mut accepted.brotli,
                Some(Coding::Zstd) => &mut accepted.zstd,
                None if word.eq_ignore_ascii_case(b"identity") => &mut accepted.identity,
                None if word == b"*" => &mut accepted.any,
                None => continue,
            };
            *slot = (*slot).max(Some(weight));
        }
        accepted
    }

    fn of(&self, coding: Coding) -> u16 {
        let own = match coding {
            Coding::Gzip => self.gzip,
            Coding::Brotli => self.brotli,
            Coding::Zstd => self.zstd,
        };
        own.or(self.any).unwrap_or(0)
    }

    /// The one that the client likes best, if it does not like the plain body better; of equals, the first.
    pub(super) fn best(&self, known: &[Coding]) -> Option<Coding> {
        let mut best: Option<(u16, Coding)> = None;
        for coding in known {
            let weight = self.of(*coding);
            if best.is_none_or(|(other, _)| weight > other) {
                best = Some((weight, *coding));
            }
        }
        let plain = self.identity.unwrap_or(0);
        best.filter(|(weight, _)| *weight > 0 && *weight >= plain).map(|(_, coding)| coding)
    }

    /// Whether the client can read it.
    pub(super) fn takes(&self, coding: Coding) -> bool {
        self.of(coding) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_gets_what_it_likes_best() {
        use Coding::{Brotli, Gzip, Zstd};

        let table = [
            ("gzip, deflate, br, zstd", Some(Zstd)),
            ("gzip, deflate, br", Some(Brotli)),
            ("gzip;q=1.0, br;q=0.5", Some(Gzip)),
            ("deflate", None),
            ("deflate, gzip", Some(Gzip)),
            ("x-gzip", Some(Gzip)),
            ("GZIP ; Q=0.5", Some(Gzip)),
            ("*", Some(Zstd)),
            ("*;q=0.1, zstd;q=0", Some(Brotli)),
            ("gzip;q=0", None),
            ("identity", None),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip", Some(Gzip)),
            ("gzip;q=nonsense", None),
            ("", None),
        ];
        for (field, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, field.parse().unwrap());
            assert_eq!(Accepted::read(&headers).best(&[Zstd, Brotli, Gzip]), expected, "{field}");
        }
        assert_eq!(Accepted::default().best(&[Gzip]), None, "a client that says nothing may read nothing");
    }
}
