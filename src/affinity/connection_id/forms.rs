//! The forms of connection ids that the servers of a pool write, and whose id is whose.

use aes::Aes128;
use aes::cipher::KeyInit as _;
use zeroize::Zeroizing;

use super::decipher::{Lengths, decipher, number, plain};
use super::header::{Shown, shown};
use crate::names::BackendTag;

/// The first three bits of a connection id say its form; seven ones are left for ids that say nothing (section 3.2).
const FORMS: usize = 7;

/// How servers write who they are into connection ids: a configuration of QUIC-LB.
#[derive(Clone, Debug)]
pub struct ConnectionIdForm {
    /// The first three bits of ids of this form, 0 to 6.
    pub config_id: u8,
    /// Octets of the server id, 1 to 15, in which all of `servers` are.
    pub server_id_length: u8,
    /// Octets of the nonce, at least 4; together at most 19.
    pub nonce_length: u8,
    /// The key of AES-128; `None`: server ids are there for all to see.
    pub key: Option<Zeroizing<[u8; 16]>>,
    /// Whether the other five bits of the first octet say how many octets follow.
    pub encodes_length: bool,
    /// Server ids, and whose they are.
    pub servers: Vec<(Vec<u8>, BackendTag)>,
}

/// What the connection ids of a pool's servers say.
#[derive(Debug, Default)]
pub struct ConnectionIds([Option<Form>; FORMS]);

#[derive(Debug)]
struct Form {
    lengths: Lengths,
    cipher: Option<Aes128>,
    encodes_length: bool,
    /// In order.
    servers: Box<[(u128, BackendTag)]>,
}

impl ConnectionIds {
    /// Ids of these forms; of several of one config id, the last.
    pub fn new(forms: impl IntoIterator<Item = ConnectionIdForm>) -> Self {
        let mut all = Self::default();
        for form in forms {
            if let Some(place) = all.0.get_mut(usize::from(form.config_id)) {
                *place = Some(Form::new(form));
            }
        }
        all
    }

    /// The backend that has made the connection id of a datagram; `None`: what its address says goes.
    pub fn home(&self, datagram: &[u8]) -> Option<BackendTag> {
        let shown = shown(datagram)?;
        let (Shown::Whole(id) | Shown::Begins(id)) = shown;
        let (first, rest) = id.split_first()?;
        let form = self.0.get(usize::from(first >> 5))?.as_ref()?;
        // Servers may add octets of their own behind.
        let fits = rest.len() >= form.lengths.whole();
        let says = usize::from(first & 0x1f);
        let says_so = match shown {
            Shown::Whole(_) => says == rest.len(),
            Shown::Begins(_) => (form.lengths.whole()..=rest.len()).contains(&says),
        };
        (fits && (says_so || !form.encodes_length)).then(|| form.home(rest)).flatten()
    }
}

impl Form {
    fn new(form: ConnectionIdForm) -> Self {
        let lengths = Lengths { server_id: form.server_id_length, nonce: form.nonce_length };
        let mut servers: Vec<_> =
            form.servers.iter().map(|(id, backend)| (lengths.server_id_of(number(id)), *backend)).collect();
        servers.sort_unstable();
        Self {
            lengths,
            cipher: form.key.map(|key| Aes128::new((&*key).into())),
            encodes_length: form.encodes_length,
            servers: servers.into(),
        }
    }

    fn home(&self, id: &[u8]) -> Option<BackendTag> {
        let server_id = match &self.cipher {
            Some(cipher) => decipher(id, self.lengths, cipher),
            None => plain(id, self.lengths),
        };
        let at = self.servers.binary_search_by_key(&server_id, |(id, _)| *id).ok()?;
        self.servers.get(at).map(|(_, backend)| *backend)
    }
}

#[cfg(test)]
mod tests {
    use super::super::decipher::encipher;
    use super::*;

    /// The key of all encrypted vectors of the draft's appendix B.
    const KEY: &str = "8f95f09245765f80256934e50c66207f";
    const HOME: Option<BackendTag> = Some(BackendTag(7));

    fn hex(text: &str) -> Vec<u8> {
        let octets = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        octets.map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect()
    }

    /// A form with one server.
    fn form(config_id: u8, server_id: &str, nonce_length: u8, key: Option<&str>) -> ConnectionIdForm {
        ConnectionIdForm {
            config_id,
            server_id_length: u8::try_from(server_id.len() / 2).unwrap(),
            nonce_length,
            key: key.map(|key| Zeroizing::new(hex(key).try_into().unwrap())),
            encodes_length: true,
            servers: vec![(hex(server_id), BackendTag(7))],
        }
    }

    fn short(id: &[u8]) -> Vec<u8> {
        [b"\x43", id, b"and what is encrypted"].concat()
    }

    fn handshake(id: &[u8]) -> Vec<u8> {
        [b"\xe0\0\0\0\x01", &[u8::try_from(id.len()).unwrap()][..], id, b"\0and more"].concat()
    }

    #[test]
    fn the_vectors_of_the_draft_lead_home() {
        // But for the second one of those without a key, whose digits are odd in number.
        let vectors = [
            (0, "c4605e", 4, None, "07c4605e4504cc4f"),
            (0, "ed793a", 4, Some(KEY), "0720b1d07b359d3c"),
            (1, "ed793a51d49b8f5fab65", 5, Some(KEY), "2fcc381bc74cb4fbad2823a3d1f8fed2"),
            (2, "ed793a51d49b8f5f", 8, Some(KEY), "504dd2d05a7b0de9b2b9907afb5ecf8cc3"),
            // Its config id is 3, which its first octet does not say.
            (0, "ed793a51d49b8f5fab", 9, Some(KEY), "125779c9cc86beb3a3a4a3ca96fce4bfe0cdbc"),
        ];
        for (config_id, server_id, nonce_length, key, id) in vectors {
            let ids = ConnectionIds::new([form(config_id, server_id, nonce_length, key)]);
            let mut id = hex(id);
            assert_eq!(ids.home(&short(&id)), HOME, "{server_id}");
            assert_eq!(ids.home(&handshake(&id)), HOME, "{server_id}");
            id[3] ^= 1;
            assert_eq!(ids.home(&short(&id)), None, "another server's");
        }
    }

    #[test]
    fn several_forms_are_in_force_at_once() {
        let ids = ConnectionIds::new([form(0, "c4605e", 4, None), form(2, "ed793a51d49b8f5f", 8, Some(KEY))]);
        let (plain, encrypted) = (hex("07c4605e4504cc4f"), hex("504dd2d05a7b0de9b2b9907afb5ecf8cc3"));
        assert_eq!((ids.home(&short(&plain)), ids.home(&short(&encrypted))), (HOME, HOME));
        for first in [0x27, 0x47, 0x67, 0xe7] {
            let other = [&[first], &plain[1..]].concat();
            assert_eq!(ids.home(&short(&other)), None, "{first:x}");
        }
    }

    #[test]
    fn ids_that_are_too_short_or_lie_about_their_length_lead_nowhere() {
        let with = |encodes_length| {
            ConnectionIds::new([ConnectionIdForm { encodes_length, ..form(0, "c4605e", 4, None) }])
        };
        let (strict, lenient) = (with(true), with(false));
        for ids in [&strict, &lenient] {
            assert_eq!(ids.home(&handshake(&hex("06c4605e4504cc"))), None);
            assert_eq!(ids.home(&hex("43 06c4605e4504cc".replace(' ', "").as_str())), None);
            assert_eq!(ids.home(b""), None);
            assert_eq!(ids.home(b"\x43"), None);
            // One octet of the server's own behind.
            assert_eq!(ids.home(&handshake(&hex("08c4605e4504cc4fff"))), HOME);
            assert_eq!(ids.home(&short(&hex("08c4605e4504cc4fff"))), HOME);
        }
        for lie in ["06c4605e4504cc4f", "09c4605e4504cc4f"] {
            assert_eq!(
                (strict.home(&handshake(&hex(lie))), lenient.home(&handshake(&hex(lie)))),
                (None, HOME)
            );
        }
        for lie in ["06c4605e4504cc4f", "1fc4605e4504cc4f"] {
            assert_eq!((strict.home(&short(&hex(lie))), lenient.home(&short(&hex(lie)))), (None, HOME));
        }
    }

    #[test]
    fn each_of_many_servers_is_found() {
        let key: [u8; 16] = hex(KEY).try_into().unwrap();
        let servers: Vec<_> =
            (0..1000_u16).map(|n| (n.to_be_bytes().to_vec(), BackendTag(n.into()))).collect();
        let ids = ConnectionIds::new([ConnectionIdForm { servers, ..form(5, "0000", 6, Some(KEY)) }]);
        for n in 0..2000_u16 {
            let id = encipher(&n.to_be_bytes(), b"random", &Aes128::new(&key.into()));
            let home = (n < 1000).then(|| BackendTag(n.into()));
            assert_eq!(ids.home(&short(&[&[5 << 5 | 8], &*id].concat())), home, "{n}");
        }
    }
}
