//! Client certificates: who a certificate was issued to. That it was issued by an authority which counts, TLS has seen.

use roa_core::Timestamp;
use rustls_pki_types::CertificateDer;
use x509_parser::parse_x509_certificate;
use x509_parser::x509::AttributeTypeAndValue;

use super::{ANONYMOUS, UNAUTHENTICATED, User};

/// Whose certificate it is: the common name is the user, the organisations are the groups.
///
/// # Errors
/// Why it says nobody's name, or does so no longer: a connection may live longer than its certificate.
pub(super) fn user(certificate: &CertificateDer<'_>, now: Timestamp) -> Result<User, &'static str> {
    let (_, parsed) = parse_x509_certificate(certificate).map_err(|_| "its certificate can't be read")?;
    let validity = parsed.validity();
    if now.as_unix_seconds() < validity.not_before.timestamp() || now.as_unix_seconds() > validity.not_after.timestamp()
    {
        return Err("its certificate is not yet or no longer valid");
    }
    let subject = parsed.subject();
    let mut names = subject.iter_common_name().map(AttributeTypeAndValue::as_str);
    let name = match (names.next(), names.next()) {
        (Some(Ok(name)), None) if !name.is_empty() => name,
        _ => return Err("its certificate has no common name in UTF-8, or more than one"),
    };
    let groups: Result<Vec<&str>, _> = subject.iter_organization().map(AttributeTypeAndValue::as_str).collect();
    let groups = groups.map_err(|_| "an organisation in its certificate is no UTF-8")?;
    if name == ANONYMOUS || groups.contains(&UNAUTHENTICATED) {
        return Err("its certificate has a name that means nobody");
    }
    Ok(User::new(name, groups))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    use super::*;
    use crate::auth::AUTHENTICATED;

    fn now() -> Timestamp {
        "2027-06-01T00:00:00Z".parse().unwrap()
    }

    fn certificate(names: &[&str], groups: &[&str]) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, texts) in [(DnType::CommonName, names), (DnType::OrganizationName, groups)] {
            for text in texts {
                params.distinguished_name.push(kind.clone(), *text);
            }
        }
        (params.not_before, params.not_after) = (date_time_ymd(2027, 1, 1), date_time_ymd(2028, 1, 1));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn the_common_name_is_the_user_and_the_organisation_a_group() {
        let user = user(&certificate(&["jürgen, cn=x"], &["ops"]), now()).unwrap();
        assert_eq!((&*user.name, &user.groups[..]), ("jürgen, cn=x", &["ops", AUTHENTICATED].map(String::from)[..]));
    }

    #[test]
    fn t18_a_certificate_is_good_in_its_time_only() {
        let certificate = certificate(&["alice"], &[]);
        for (time, good) in
            [("2026-12-31T23:59:59Z", false), ("2027-01-01T00:00:00Z", true), ("2028-01-01T00:00:01Z", false)]
        {
            assert_eq!(user(&certificate, time.parse().unwrap()).is_ok(), good, "{time}");
        }
    }

    #[test]
    fn a_certificate_that_names_nobody_is_nobodys() {
        for (names, groups) in
            [(&[][..], &["ops"][..]), (&[""], &[]), (&[ANONYMOUS], &[]), (&["a"], &[UNAUTHENTICATED])]
        {
            assert!(user(&certificate(names, groups), now()).is_err(), "{names:?} {groups:?}");
        }
    }

    proptest! {
        #[test]
        fn a_broken_certificate_never_panics(
            flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = certificate(&["alice"], &["ops"]).to_vec();
            for (at, byte) in flips {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = user(&CertificateDer::from(bytes.clone()), now());
            bytes.truncate(cut.index(bytes.len()));
            prop_assert!(user(&CertificateDer::from(bytes), now()).is_err());
        }

        #[test]
        fn bytes_that_are_no_certificate_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(user(&CertificateDer::from(bytes), now()).is_err());
        }
    }
}
