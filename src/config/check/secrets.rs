//! Keys and seed: exactly one source each, the right length, and no word of them in any message.

use std::path::Path;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::{Zeroize as _, Zeroizing};

use super::{Surroundings, all};
use crate::config::checked::{Secret, TokenKey};
use crate::config::model;
use crate::config::read::Spanned;
use crate::config::report::{Code, Place};
use crate::config::text::{FilePath, Text};

const KEY_BYTES: usize = 32;
/// AES-128: draft-ietf-quic-load-balancers section 5.3.
const CONNECTION_ID_KEY_BYTES: usize = 16;
const MIN_SEED_BYTES: usize = 16;

/// A key or seed file is one line: more is another file, given by mistake.
const MAX_SECRET_FILE_BYTES: u64 = 4096;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Where a secret comes from, as the file says it.
struct Sources {
    /// `None`: it may not stand in the configuration itself.
    value: Option<Spanned<Option<Text>>>,
    file: Spanned<Option<FilePath>>,
    env: Spanned<Option<Text>>,
}

impl Sources {
    /// The words for the keys that may say it.
    fn words(&self) -> &'static str {
        if self.value.is_some() { "`value`, `file` and `env`" } else { "`file` and `env`" }
    }
}

/// Notes that replicas cannot share what each of them would make for itself.
pub(super) fn note_what_replicas_lack(
    keys: &Spanned<Option<Vec<Spanned<model::TokenKey>>>>,
    seed: &Spanned<Option<model::AffinitySeed>>,
    around: &Surroundings<'_>,
) {
    let no_keys = matches!(keys.get(), Some(None));
    let no_seed = matches!(seed.get(), Some(None));
    let (place, what, each) = match (no_keys, no_seed) {
        (false, false) => return,
        (true, true) => (&keys.place, "no `keys` and no `affinity_seed`: both are", "both"),
        (true, false) => (&keys.place, "no `keys`: a key is", "the key"),
        (false, true) => (&seed.place, "no `affinity_seed`: one is", "the seed"),
    };
    let message = format!("{what} made at first start and kept in `state_dir`");
    let help = format!("enough for a single instance; replicas must be given {each} in the configuration");
    around.note(Code::Secret, place, message, help);
}

/// The key ring.
pub(super) fn keys(
    keys: Spanned<Option<Vec<Spanned<model::TokenKey>>>>,
    around: &Surroundings<'_>,
) -> Option<Vec<TokenKey>> {
    let Some(keys_given) = keys.value? else { return Some(Vec::new()) };
    if keys_given.is_empty() {
        around.error(Code::BadValue, &keys.place, "`keys` is empty", "add a key, or remove `keys`");
        return None;
    }
    let ids = keys_given.iter().filter_map(|key| {
        let id = &key.get()?.id;
        Some((id.get()?.0.as_str(), &id.place))
    });
    around.unique("key id", ids);
    all(keys_given.into_iter().map(|key| self::key(key, around)))
}

fn key(key: Spanned<model::TokenKey>, around: &Surroundings<'_>) -> Option<TokenKey> {
    let model::TokenKey { id, value, file, env } = key.value?;
    let sources = Sources { value: Some(value), file, env };
    let secret = sources.key(KEY_BYTES, &key.place, "`openssl rand -base64 32` makes one", around)?;
    Some(TokenKey { id: id.value?.0, secret })
}

/// The key of connection ids.
pub(super) fn connection_id_key(
    key: model::ConnectionIdKey,
    place: &Place,
    around: &Surroundings<'_>,
) -> Option<Secret> {
    let model::ConnectionIdKey { file, env } = key;
    let help = "`openssl rand -hex 16` makes one; it is the one that backends have";
    Sources { value: None, file, env }.key(CONNECTION_ID_KEY_BYTES, place, help, around)
}

/// The seed of all hashes.
pub(super) fn affinity_seed(
    seed: Spanned<Option<model::AffinitySeed>>,
    around: &Surroundings<'_>,
) -> Option<Option<Secret>> {
    let Some(model::AffinitySeed { value, file, env }) = seed.value? else { return Some(None) };
    let (text, place) = Sources { value: Some(value), file, env }.read(&seed.place, "seed", around)?;
    let length = text.len();
    if length < MIN_SEED_BYTES {
        let message = format!("the seed from `{}` is too short: {length} bytes", place.name());
        let help = "at least 16 bytes are needed; `openssl rand -base64 32` makes one";
        around.error(Code::BadValue, &place, message, help);
        return None;
    }
    Some(Some(Secret(Zeroizing::new(text.as_bytes().to_vec()))))
}

impl Sources {
    /// A key of so many bytes.
    fn key(self, bytes: usize, whole: &Place, help: &str, around: &Surroundings<'_>) -> Option<Secret> {
        let (text, place) = self.read(whole, "key", around)?;
        match decoded(&text, bytes) {
            Ok(secret) => Some(Secret(secret)),
            Err(found) => {
                let name = place.name();
                let message =
                    format!("the key from `{name}` is not {bytes} bytes in base64 or hex: it is {found}");
                around.error(Code::BadValue, &place, message, help);
                None
            }
        }
    }

    /// The secret's text, trimmed, and the place that named its source.
    fn read(
        self,
        whole: &Place,
        what: &str,
        around: &Surroundings<'_>,
    ) -> Option<(Zeroizing<String>, Place)> {
        let words = self.words();
        let Self { value, file, env } = self;
        let value_given = value.iter().map(|value| (value.given, &value.place));
        let places = value_given.chain([(file.given, &file.place), (env.given, &env.place)]);
        let given: Vec<_> = places.filter(|(given, _)| *given).map(|(_, place)| place).collect();
        let (first, second) = (given.first().copied(), given.get(1).copied());
        if let Some(place) = second {
            let message = format!("the {what} has two sources");
            around.error(Code::Conflict, place, message, format!("keep one of {words}"));
            return None;
        }
        if first.is_none() {
            let message = format!("the {what} has no source");
            around.error(Code::MissingKey, whole, message, format!("add one of {words}"));
            return None;
        }
        let place = first.unwrap_or(whole).clone();
        let value = match value {
            Some(value) => value.value?,
            None => None,
        };
        match (value, file.value?, env.value?) {
            (Some(Text(text)), ..) => Some((trimmed(text), place)),
            (_, Some(path), _) => Some((from_file(&around.path(&path), &file.place, around)?, file.place)),
            (_, _, Some(Text(name))) => Some((from_variable(&name, &env.place, around)?, env.place)),
            (None, None, None) => {
                let message = format!("the {what} has no source");
                around.error(Code::MissingKey, &place, message, format!("write it in one of {words}"));
                None
            }
        }
    }
}

fn from_variable(name: &str, place: &Place, around: &Surroundings<'_>) -> Option<Zeroizing<String>> {
    let Some(text) = around.environment.variable(name) else {
        let message = format!("environment variable `{name}` is not set");
        around.error(Code::Variable, place, message, "set it before Steadfast starts");
        return None;
    };
    Some(trimmed(text))
}

/// A secret file's one line, trimmed; a warning where everybody can read it.
pub(super) fn from_file(path: &Path, place: &Place, around: &Surroundings<'_>) -> Option<Zeroizing<String>> {
    around.reads(path);
    let shown = path.display();
    let refuse = |why: String, help: &str| {
        around.error(Code::File, place, format!("`{shown}` {why}"), help);
        None
    };
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            let help = "relative paths start at the configuration file's folder";
            return refuse(format!("cannot be read: {error}"), help);
        }
    };
    if !metadata.is_file() || metadata.len() > MAX_SECRET_FILE_BYTES {
        return refuse("is no file with a secret".to_owned(), "the file has the secret alone, on one line");
    }
    others_cannot_read(&metadata, path, place, around)?;
    match std::fs::read_to_string(path) {
        Ok(text) => Some(trimmed(text)),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => refuse(
            "is not text".to_owned(),
            "write the secret in base64: `openssl rand -base64 32` makes one",
        ),
        Err(error) => {
            refuse(format!("cannot be read: {error}"), "let the user that Steadfast runs as read it")
        }
    }
}

/// Says so where everybody can read a secret's file, and refuses it where that is wanted.
#[cfg(unix)]
pub(super) fn others_cannot_read(
    metadata: &std::fs::Metadata,
    path: &Path,
    place: &Place,
    around: &Surroundings<'_>,
) -> Option<()> {
    use std::os::unix::fs::PermissionsExt as _;

    if metadata.permissions().mode() & 0o004 != 0 {
        let path = path.display();
        let message = format!("`{path}` can be read by everybody on this machine");
        let help = format!("`chmod 600 {path}`");
        if around.refuses_insecure_files {
            around.error(Code::Secret, place, message, help);
            return None;
        }
        around.warn(Code::Secret, place, message, help);
    }
    Some(())
}

#[cfg(not(unix))]
pub(super) fn others_cannot_read(
    _: &std::fs::Metadata,
    _: &Path,
    _: &Place,
    _: &Surroundings<'_>,
) -> Option<()> {
    Some(())
}

fn trimmed(mut text: String) -> Zeroizing<String> {
    let result = Zeroizing::new(text.trim().to_owned());
    text.zeroize();
    result
}

/// A key's bytes, or what was found instead, without saying any of it.
fn decoded(text: &str, length: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    // Hex first: 64 hex digits are also base64, of 48 bytes.
    if text.len() == 2 * length
        && let Some(bytes) = from_hex(text)
    {
        return Ok(bytes);
    }
    match STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).map(Zeroizing::new) {
        Ok(bytes) if bytes.len() == length => Ok(bytes),
        Ok(bytes) => Err(format!("{} bytes", bytes.len())),
        Err(_) => Err("neither".to_owned()),
    }
}

fn from_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = Zeroizing::new(digits?);
    let (pairs, _) = digits.as_chunks::<2>();
    Some(Zeroizing::new(pairs.iter().map(|[high, low]| high << 4 | low).collect()))
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn a_key_is_32_bytes_in_base64_or_hex() {
        let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eFF";
        let good = [
            hex,
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHv8=",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHv8",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHv8=",
        ];
        for text in good {
            let bytes = decoded(text, 32).expect("32 bytes");
            assert_eq!((bytes.len(), bytes[1], bytes[31]), (32, 1, 255), "{text}");
        }
        let url_safe = "-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_8";
        assert_eq!(decoded(url_safe, 32).map(|bytes| bytes.len()), Ok(32));
        for bad in ["", "AAEC", "not base64 at all!", &hex[2..], &format!("{hex}00")] {
            assert!(decoded(bad, 32).is_err(), "{bad}");
        }
    }
}
