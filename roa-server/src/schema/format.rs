//! The formats of text and numbers that are checked; all others are only words.

use std::net::{Ipv4Addr, Ipv6Addr};

use roa_core::{HumanDuration, Timestamp, names};

/// How text or a number must look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Byte,
    Cidr,
    Date,
    DateTime,
    Duration,
    Email,
    Hostname,
    Int32,
    Int64,
    Ipv4,
    Ipv6,
    Uri,
    Uuid,
}

impl Format {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "byte" => Self::Byte,
            "cidr" => Self::Cidr,
            "date" => Self::Date,
            "date-time" | "datetime" => Self::DateTime,
            "duration" => Self::Duration,
            "email" => Self::Email,
            "hostname" => Self::Hostname,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "uri" => Self::Uri,
            "uuid" => Self::Uuid,
            _ => return None,
        })
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Byte => "byte",
            Self::Cidr => "cidr",
            Self::Date => "date",
            Self::DateTime => "date-time",
            Self::Duration => "duration",
            Self::Email => "email",
            Self::Hostname => "hostname",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Uri => "uri",
            Self::Uuid => "uuid",
        }
    }

    /// Whether text looks so.
    pub(crate) fn fits_text(self, text: &str) -> bool {
        match self {
            Self::Byte => is_base64(text),
            Self::Cidr => is_cidr(text),
            Self::Date => is_date(text),
            Self::DateTime => text.contains(['T', 't']) && text.parse::<Timestamp>().is_ok(),
            Self::Duration => text.strip_prefix('-').unwrap_or(text).parse::<HumanDuration>().is_ok(),
            Self::Email => is_email(text),
            Self::Hostname => names::dns_subdomain(&text.to_ascii_lowercase()).is_ok(),
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::Uri => is_uri(text),
            Self::Uuid => text.len() == 36 && text.bytes().enumerate().all(is_of_uuid),
            Self::Int32 | Self::Int64 => true,
        }
    }

    /// Whether a whole number fits.
    pub(crate) fn fits_number(self, number: i128) -> bool {
        match self {
            Self::Int32 => i32::try_from(number).is_ok(),
            Self::Int64 => i64::try_from(number).is_ok(),
            _ => true,
        }
    }
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    text.len().is_multiple_of(4) && text.len() - body.len() <= 2 && body.bytes().all(alphabet)
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let Ok(bits) = bits.parse::<u8>() else { return false };
    (address.parse::<Ipv4Addr>().is_ok() && bits <= 32) || (address.parse::<Ipv6Addr>().is_ok() && bits <= 128)
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && format!("{text}T00:00:00Z").parse::<Timestamp>().is_ok()
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"()<>[]:;@\\,\"".contains(c);
    !local.is_empty() && local.len() <= 64 && local.chars().all(plain) && Format::Hostname.fits_text(domain)
}

fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut letters = scheme.bytes();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !rest.is_empty()
        && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
}

const fn is_of_uuid((place, byte): (usize, u8)) -> bool {
    match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_checked_by_its_format() {
        let cases = [
            (
                "date-time",
                vec!["2027-01-02T03:04:05Z", "2027-01-02T03:04:05.123456+02:00"],
                vec!["2027-01-02", "x", ""],
            ),
            ("date", vec!["2027-01-02"], vec!["2027-13-02", "2027-1-2", "2027-01-02T00:00:00Z"]),
            ("duration", vec!["60m", "1h0m0s", "1.5h"], vec!["60", "x", ""]),
            ("email", vec!["a@b.ch", "a.b+c@example.com"], vec!["a", "@b", "a@", "a b@c.d", "a@b..c"]),
            (
                "uuid",
                vec!["123e4567-e89b-12d3-a456-426614174000"],
                vec!["123e4567", "123e4567-e89b-12d3-a456-42661417400g"],
            ),
            ("ipv4", vec!["10.0.0.1"], vec!["10.0.0", "::1"]),
            ("ipv6", vec!["::1"], vec!["10.0.0.1"]),
            ("cidr", vec!["10.0.0.0/8", "fd00::/8"], vec!["10.0.0.0", "10.0.0.0/33"]),
            ("hostname", vec!["a.example.com", "LOCALHOST"], vec!["-a", ""]),
            ("uri", vec!["http://a/b", "urn:x"], vec!["a", "1:x", "http:"]),
            ("byte", vec!["", "YWI=", "YWJj"], vec!["a", "YW=I", "===="]),
        ];
        for (name, good, bad) in cases {
            let format = Format::parse(name).unwrap();
            assert!(good.iter().all(|text| format.fits_text(text)), "{name}");
            for text in bad {
                assert!(!format.fits_text(text), "{name} {text:?}");
            }
        }
        assert_eq!(Format::parse("password"), None);
        assert!(Format::Int32.fits_number(1 << 30) && !Format::Int32.fits_number(1 << 31));
    }
}
