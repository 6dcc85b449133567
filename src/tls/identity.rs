//! A certificate with its chain and its private key.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroize as _;

use super::file::{FileError, read};

/// A certificate with its chain and its private key, which belong together.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    certified: Arc<CertifiedKey>,
    names: Vec<String>,
    expires_s: i64,
}

impl Identity {
    /// Reads both files.
    ///
    /// # Errors
    /// One cannot be read or understood, or they do not belong together.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, FileError> {
        const CHAIN: &str =
            "it has the server's certificate first, then the chain, each between BEGIN and END CERTIFICATE";
        const KEY: &str = "it has one private key in PEM, not encrypted";
        let bytes = read(certificate)?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| FileError::new(certificate, format!("is no PEM file: {error}"), CHAIN))?;
        let Some(leaf) = chain.first() else {
            return Err(FileError::new(certificate, "has no certificate", CHAIN));
        };
        let (names, expires_s) = described(leaf)
            .ok_or_else(|| FileError::new(certificate, "has a certificate that is not understood", CHAIN))?;
        let mut bytes = read(key)?;
        let parsed = PrivateKeyDer::from_pem_slice(&bytes);
        bytes.zeroize();
        // Its error may not quote what it has found.
        let parsed = parsed.ok().ok_or_else(|| FileError::new(key, "has no private key", KEY))?;
        let signing = default_provider().key_provider.load_private_key(parsed.clone_key());
        let signing = signing
            .ok()
            .ok_or_else(|| FileError::new(key, "has a private key of a kind that is not known", KEY))?;
        let certified = CertifiedKey::new(chain.clone(), signing);
        match certified.keys_match() {
            // A key that cannot tell its public half is tried when it is used.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(_) => {
                let why = format!("is not the key of `{}`", certificate.display());
                return Err(FileError::new(
                    key,
                    why,
                    "give the certificate and the key that it was made with",
                ));
            }
        }
        Ok(Self { chain, key: parsed, certified: Arc::new(certified), names, expires_s })
    }

    /// The DNS names that it speaks for, in lower case; `*.` may begin one.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// When it ends, in seconds of the Unix time.
    pub fn expires_s(&self) -> i64 {
        self.expires_s
    }

    /// The certificate and its chain.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// Its private key.
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }

    /// As rustls signs by.
    pub(super) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain && self.key == other.key
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// The names that a certificate speaks for, and when it ends.
fn described(certificate: &CertificateDer<'_>) -> Option<(Vec<String>, i64)> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let alternative = certificate.subject_alternative_name().ok()?;
    let names = alternative.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let names = names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    Some((names.collect(), certificate.validity().not_after.timestamp()))
}
