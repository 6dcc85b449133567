//! Authorities whose signatures count.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::file::{FileError, read};

/// Authorities whose signatures count.
#[derive(Clone, Debug)]
pub struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
    store: Arc<RootCertStore>,
}

impl Authorities {
    /// Reads a PEM file with one certificate or more.
    ///
    /// # Errors
    /// It cannot be read, has none, or has one that is no authority's.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let bytes = read(path)?;
        const HELP: &str = "it has the authorities' certificates, each between BEGIN and END CERTIFICATE";
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| FileError::new(path, format!("is no PEM file: {error}"), HELP))?;
        if certificates.is_empty() {
            return Err(FileError::new(path, "has no certificate", HELP));
        }
        let mut store = RootCertStore::empty();
        for certificate in &certificates {
            let added = store.add(certificate.clone());
            added.map_err(|error| {
                FileError::new(path, format!("has a certificate that is not understood: {error}"), HELP)
            })?;
        }
        Ok(Self { certificates, store: Arc::new(store) })
    }

    /// Their certificates, in the order of the file.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// As rustls verifies by.
    pub fn store(&self) -> &Arc<RootCertStore> {
        &self.store
    }
}

impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        self.certificates == other.certificates
    }
}
