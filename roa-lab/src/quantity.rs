//! [`Quantity`]: an amount of cpu or memory as Kubernetes writes it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// An amount, in thousandths, as Kubernetes writes it: `1`, `500m`, `1.5Gi`. Never negative.
///
/// ```
/// use roa_lab::Quantity;
/// let memory: Quantity = "1.5Gi".parse()?;
/// assert_eq!(memory.to_string(), "1536Mi");
/// assert!("nan".parse::<Quantity>().is_err());
/// # Ok::<(), roa_lab::QuantityError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Quantity(u128);

/// Text that is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("parse quantity {0:?}: expected a number with an optional suffix, such as 2, 500m, 1.5Gi")]
pub struct QuantityError(String);

/// Suffixes and how many thousandths one of it is.
const SUFFIXES: [(&str, u128); 10] = [
    ("Ti", 1_000 << 40),
    ("Gi", 1_000 << 30),
    ("Mi", 1_000 << 20),
    ("Ki", 1_000 << 10),
    ("T", 1_000_000_000_000_000),
    ("G", 1_000_000_000_000),
    ("M", 1_000_000_000),
    ("k", 1_000_000),
    ("m", 1),
    ("", 1_000),
];
/// How many digits are read; no machine has more of anything.
const MAX_DIGITS: usize = 18;

impl Quantity {
    /// So many thousandths.
    #[must_use]
    pub const fn from_thousandths(thousandths: u128) -> Self {
        Self(thousandths)
    }

    /// So many.
    #[must_use]
    pub const fn from_units(units: u64) -> Self {
        Self(units as u128 * 1_000)
    }

    /// Whether it is nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left; nothing if `other` is more.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let failed = || QuantityError(text.chars().take(32).collect());
        let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits_end);
        let (_, unit) = SUFFIXES.iter().find(|(known, _)| *known == suffix).ok_or_else(failed)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty()
            || whole.len() > MAX_DIGITS
            || fraction.len() > MAX_DIGITS
            || number.ends_with('.')
            || fraction.contains('.')
        {
            return Err(failed());
        }
        let whole: u128 = whole.parse().map_err(|_| failed())?;
        let part = match fraction {
            "" => 0,
            digits => {
                let scale = 10_u128.pow(u32::try_from(digits.len()).map_err(|_| failed())?);
                // What is less than a thousandth is rounded up, as Kubernetes does.
                (digits.parse::<u128>().map_err(|_| failed())? * unit).div_ceil(scale)
            }
        };
        Ok(Self(whole * unit + part))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = SUFFIXES.iter().take(4).find(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit));
        match binary {
            Some((suffix, unit)) => write!(f, "{}{suffix}", self.0 / unit),
            None if self.0.is_multiple_of(1_000) => write!(f, "{}", self.0 / 1_000),
            None => write!(f, "{}m", self.0),
        }
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lesson_58_what_is_no_amount_is_refused_and_what_is_one_is_taken() {
        for bad in ["", "nan", "-1", "1.", ".5", "1.2.3", "1 Gi", "1GiB", "inf", "1e3", "9999999999999999999"] {
            assert!(bad.parse::<Quantity>().is_err(), "{bad:?}");
        }
        for (text, shown) in
            [("1.5Gi", "1536Mi"), ("500m", "500m"), ("0.5", "500m"), ("2", "2"), ("0Gi", "0"), ("1024", "1Ki")]
        {
            assert_eq!(text.parse::<Quantity>().unwrap().to_string(), shown);
        }
        assert!("0Gi".parse::<Quantity>().unwrap().is_zero());
    }

    proptest! {
        #[test]
        fn text_round_trips_and_sums_compare(a in 0..1_u128 << 60, b in 0..1_u128 << 60) {
            let (left, right) = (Quantity::from_thousandths(a), Quantity::from_thousandths(b));
            prop_assert_eq!(left.to_string().parse::<Quantity>().unwrap(), left);
            prop_assert_eq!(left.plus(right).minus(right), left);
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
        }
    }
}
