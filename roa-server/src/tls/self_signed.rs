//! A certificate of the own making: an authority that signs one certificate, and whose key is then forgotten.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::{TlsError, pem};

/// What clients on the same machine call it.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The files of an own certificate.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
    pub(super) authority: PathBuf,
}

impl Own {
    /// Those in this data directory, whether they are there or not.
    pub(super) fn of(data_dir: &Path) -> Self {
        Self::within(&data_dir.join("tls"))
    }

    fn within(dir: &Path) -> Self {
        Self { cert: dir.join("server.crt"), key: dir.join("server.key"), authority: dir.join("ca.crt") }
    }
}

/// The own certificate in `data_dir`: the one that is there if it is good for all `names` and this machine's loopback,
/// else a new one. A new one is good for the host name, too; but that a host has another name makes no new one, since
/// clients trust the authority that would go with the old one.
pub(super) fn ensure(data_dir: &Path, names: &[String]) -> Result<Own, TlsError> {
    let dir = data_dir.join("tls");
    let own = Own::of(data_dir);
    let names: Vec<String> = LOOPBACK.into_iter().map(String::from).chain(names.iter().cloned()).collect();
    if own.cert.exists() && covers(&own.cert, &names)? {
        return Ok(own);
    }
    let failed = |reason: &dyn ToString| TlsError::SelfSigned { dir: dir.clone(), reason: reason.to_string() };
    let made = make(with_host_name(names)).map_err(|error| failed(&error))?;
    store(data_dir, &dir, &made).map_err(|error| failed(&error))?;
    Ok(own)
}

fn with_host_name(mut all: Vec<String>) -> Vec<String> {
    all.extend(nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()));
    all.retain(|name| !name.is_empty());
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether the certificate in a file is good for all these names.
fn covers(cert: &Path, names: &[String]) -> Result<bool, TlsError> {
    let certificates = pem::certificates(cert)?;
    let Some(Ok((_, parsed))) = certificates.first().map(|der| parse_x509_certificate(der)) else {
        return Ok(false);
    };
    let Ok(Some(extension)) = parsed.subject_alternative_name() else { return Ok(false) };
    let has = |name: &String| {
        let address = name.parse::<std::net::IpAddr>().ok();
        extension.value.general_names.iter().any(|known| match (known, address) {
            (GeneralName::DNSName(known), None) => known == name,
            (GeneralName::IPAddress(known), Some(std::net::IpAddr::V4(address))) => *known == address.octets(),
            (GeneralName::IPAddress(known), Some(std::net::IpAddr::V6(address))) => *known == address.octets(),
            _ => false,
        })
    };
    Ok(names.iter().all(has))
}

struct Made {
    chain: String,
    key: String,
    authority: String,
}

/// An authority and its one certificate, rather than a certificate that signs itself: some clients take no
/// authority for a server, others no server for an authority.
fn make(names: Vec<String>) -> Result<Made, rcgen::Error> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "roa's own authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Clients know it by its key alone; a date would only break them one day.
    (authority.not_before, authority.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2099, 1, 1));
    let (not_before, not_after) = (authority.not_before, authority.not_after);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let mut server = CertificateParams::new(names)?;
    server.distinguished_name.push(DnType::CommonName, "roa");
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    (server.not_before, server.not_after) = (not_before, not_after);
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &authority)?;
    let authority = authority.pem();
    Ok(Made { chain: format!("{}{authority}", certificate.pem()), key: key.serialize_pem(), authority })
}

/// All three files at once, by renaming their directory: nobody finds a certificate without its key.
fn store(data_dir: &Path, dir: &Path, made: &Made) -> io::Result<()> {
    let new = data_dir.join("tls.new");
    remove(&new)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&new)?;
    let files = Own::within(&new);
    for (path, text) in [(&files.cert, &made.chain), (&files.key, &made.key), (&files.authority, &made.authority)] {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
    }
    remove(dir)?;
    fs::rename(&new, dir)
}

fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_has_another_name_keeps_its_authority() {
        let dir = tempfile::tempdir().unwrap();
        let made = make(LOOPBACK.map(String::from).into_iter().chain(["old-host".to_owned()]).collect()).unwrap();
        store(dir.path(), &dir.path().join("tls"), &made).unwrap();
        let own = ensure(dir.path(), &[]).unwrap();
        assert_eq!(fs::read_to_string(&own.authority).unwrap(), made.authority);
        let own = ensure(dir.path(), &["192.0.2.2".to_owned()]).unwrap();
        assert_ne!(fs::read_to_string(&own.authority).unwrap(), made.authority, "a configured name counts");
        let names: Vec<String> = LOOPBACK.map(String::from).into_iter().chain(["192.0.2.2".to_owned()]).collect();
        assert!(covers(&own.cert, &names).unwrap());
    }
}
