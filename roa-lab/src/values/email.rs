//! What an address of a person is: the rule of HTML's `<input type=email>`, with the limits of SMTP.

use roa_core::names;

/// How long an address may be, and the part of it before the `@`.
const MAX_ADDRESS: usize = 254;
const MAX_LOCAL: usize = 64;
/// What may stand before the `@` besides letters and digits.
const LOCAL_MARKS: &str = ".!#$%&'*+/=?^_`{|}~-";

/// Whether it is an address.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(address: &str) -> Result<(), String> {
    let expected = || format!("{:?} is no address, expected one such as student@example.com", shortened(address));
    if address.is_empty() {
        return Err("is missing, expected an address such as student@example.com".to_owned());
    }
    if address.len() > MAX_ADDRESS {
        return Err(format!("has {} bytes, expected at most {MAX_ADDRESS}", address.len()));
    }
    let (local, domain) = address.rsplit_once('@').ok_or_else(expected)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || LOCAL_MARKS.contains(c);
    let proper = (1..=MAX_LOCAL).contains(&local.len()) && local.chars().all(plain);
    // Domains are the same in capitals.
    let domain_is_proper = names::dns_subdomain(&domain.to_ascii_lowercase()).is_ok();
    if proper && domain_is_proper { Ok(()) } else { Err(expected()) }
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_LOCAL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_what_is_none() {
        for good in
            ["student@example.com", "a.b+c@x-y.example.ORG", "o'neil@localhost", &format!("{}@e.com", "l".repeat(64))]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let long = format!("{}@e.com", "l".repeat(65));
        for bad in
            ["student", "@example.com", "a@", "a@b@c", "a b@c.d", "a@b..c", "a@-b", "ä@example.com", "a@b\n", &long]
        {
            assert!(check(bad).unwrap_err().contains("expected one such as"), "{bad:?}");
        }
        assert!(check("").unwrap_err().contains("missing"));
        assert!(check(&format!("a@{}", "d".repeat(300))).unwrap_err().contains("at most 254"));
    }
}
