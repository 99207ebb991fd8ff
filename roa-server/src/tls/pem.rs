//! Certificates and keys from PEM files.

use std::path::Path;

use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;
use crate::files::{read_file, read_private};

/// No chain of certificates and no bundle of authorities is larger.
const MAX_BYTES: u64 = 4 << 20;

pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read_file(path, MAX_BYTES)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let malformed =
        |found: String| TlsError::Malformed { path: path.to_owned(), expected: "certificates in PEM", found };
    let certificates = certificates.map_err(|error| malformed(error.to_string()))?;
    if certificates.is_empty() { Err(malformed("none".to_owned())) } else { Ok(certificates) }
}

pub(super) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read_private(path, MAX_BYTES)?).map_err(|error| TlsError::Malformed {
        path: path.to_owned(),
        expected: "a private key in PEM, without a passphrase",
        found: error.to_string(),
    })
}

pub(super) fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| TlsError::Malformed {
            path: path.to_owned(),
            expected: "certificates of authorities",
            found: error.to_string(),
        })?;
    }
    Ok(roots)
}
