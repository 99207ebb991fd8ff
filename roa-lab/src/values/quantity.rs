//! [`Quantity`]: an amount of something, as Kubernetes writes it: `500m`, `2`, `1.5Gi`.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter::Sum;
use std::ops::{Add, Sub};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// One whole, in the unit that is counted in.
const WHOLE: u128 = 1_000_000_000;
/// The largest amount that can be written: 2^63-1, as in Kubernetes.
const MAX: u128 = i64::MAX as u128 * WHOLE;
/// How long a quantity's text may be.
const MAX_TEXT: usize = 64;

/// An amount, exact to a billionth. What is finer is rounded up, as Kubernetes does.
///
/// It is read from text as more than nothing; a sum may be nothing ([`Quantity::ZERO`]).
///
/// ```
/// use roa_lab::Quantity;
/// let memory: Quantity = "1.5Gi".parse()?;
/// assert_eq!(memory, "1536Mi".parse()?);
/// assert_eq!((memory + "512Mi".parse()?).to_string(), "2Gi");
/// assert!("0Gi".parse::<Quantity>().is_err() && "nan".parse::<Quantity>().is_err());
/// # Ok::<(), roa_lab::QuantityError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Quantity {
    billionths: u128,
    /// Whether it is written with `Ki` and its like.
    binary: bool,
}

/// Text that is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("parse quantity {text:?}: {reason}, expected more than 0 and a unit if any, such as 500m, 2 or 1.5Gi")]
pub struct QuantityError {
    text: String,
    reason: &'static str,
}

/// Units by descending size, with one of them in billionths.
const DECIMAL: [(&str, u128); 10] = [
    ("E", WHOLE * 1_000_000_000_000_000_000),
    ("P", WHOLE * 1_000_000_000_000_000),
    ("T", WHOLE * 1_000_000_000_000),
    ("G", WHOLE * 1_000_000_000),
    ("M", WHOLE * 1_000_000),
    ("k", WHOLE * 1_000),
    ("", WHOLE),
    ("m", WHOLE / 1_000),
    ("u", WHOLE / 1_000_000),
    ("n", 1),
];
const BINARY: [(&str, u128); 6] = [
    ("Ei", WHOLE << 60),
    ("Pi", WHOLE << 50),
    ("Ti", WHOLE << 40),
    ("Gi", WHOLE << 30),
    ("Mi", WHOLE << 20),
    ("Ki", WHOLE << 10),
];

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { billionths: 0, binary: false };

    /// This many wholes.
    #[must_use]
    pub const fn whole(number: u32) -> Self {
        Self { billionths: number as u128 * WHOLE, binary: false }
    }

    /// This many thousandths, such as of a processor.
    #[must_use]
    pub const fn milli(number: u32) -> Self {
        Self { billionths: number as u128 * (WHOLE / 1_000), binary: false }
    }

    /// This many times 2^20, such as of bytes.
    #[must_use]
    pub const fn mebi(number: u32) -> Self {
        Self { billionths: number as u128 * (WHOLE << 20), binary: true }
    }

    /// The same as a number, for metrics and shares: not exact.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "documented as not exact")]
    pub const fn as_f64(self) -> f64 {
        self.billionths as f64 / WHOLE as f64
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|reason| QuantityError { text: text.chars().take(MAX_TEXT).collect(), reason })
    }
}

fn parse(text: &str) -> Result<Quantity, &'static str> {
    match text {
        "" => return Err("empty"),
        text if text.len() > MAX_TEXT => return Err("too long"),
        text if text.starts_with('-') => return Err("negative"),
        _ => {}
    }
    let number_ends = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(number_ends);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return Err("not a number");
    }
    let (scale, binary) = scale_of(unit).ok_or("unknown unit")?;
    let billionths = scaled(whole, fraction, scale).filter(|&amount| amount <= MAX).ok_or("too large")?;
    if billionths == 0 { Err("nothing") } else { Ok(Quantity { billionths, binary }) }
}

/// What one of a unit is, in billionths, and whether the unit is binary.
fn scale_of(unit: &str) -> Option<(u128, bool)> {
    let known = |units: &[(&str, u128)]| units.iter().find(|(name, _)| *name == unit).map(|&(_, scale)| scale);
    if let Some(scale) = known(&DECIMAL) {
        return Some((scale, false));
    }
    if let Some(scale) = known(&BINARY) {
        return Some((scale, true));
    }
    let exponent: i32 = unit.strip_prefix(['e', 'E'])?.parse().ok()?;
    let power = 10_u128.checked_pow(exponent.unsigned_abs())?;
    match exponent {
        -9..0 => Some((WHOLE / power, false)),
        0..=18 => Some((WHOLE * power, false)),
        _ => None,
    }
}

/// `whole.fraction` times `scale`, rounded up; `None` if no amount is so large.
fn scaled(whole: &str, fraction: &str, scale: u128) -> Option<u128> {
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // From the last digit on, so that nothing is lost before all is added up.
    let tenths = |below: u128, digit: u8| (below + u128::from(digit - b'0') * scale).div_ceil(10);
    whole.checked_mul(scale)?.checked_add(fraction.bytes().rev().fold(0, tenths))
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.billionths == 0 {
            return f.write_str("0");
        }
        let fits = |(_, scale): &&(&str, u128)| self.billionths.is_multiple_of(*scale);
        let binary = BINARY.iter().find(fits).filter(|_| self.binary);
        // Every amount is a multiple of a billionth.
        let (unit, scale) = binary.or_else(|| DECIMAL.iter().find(fits)).copied().unwrap_or(("n", 1));
        write!(f, "{}{unit}", self.billionths / scale)
    }
}

impl fmt::Debug for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The amount counts, not how it is written.
impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.billionths == other.billionths
    }
}

impl Eq for Quantity {}

impl Hash for Quantity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.billionths.hash(state);
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.billionths.cmp(&other.billionths)
    }
}

/// The sum; the most that can be counted if it is more.
impl Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let billionths = self.billionths.saturating_add(other.billionths);
        Self { billionths, binary: self.binary || other.binary }
    }
}

/// The difference; nothing if it is less.
impl Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let billionths = self.billionths.saturating_sub(other.billionths);
        Self { billionths, binary: self.binary || other.binary }
    }
}

/// Nothing.
impl Default for Quantity {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// For sums: as a quantity is written, but `0` is one.
pub(crate) mod or_nothing {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use super::Quantity;

    pub(crate) fn serialize<S: Serializer>(amount: &Quantity, serializer: S) -> Result<S::Ok, S::Error> {
        amount.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Quantity, D::Error> {
        match &*std::borrow::Cow::<str>::deserialize(deserializer)? {
            "0" => Ok(Quantity::ZERO),
            text => text.parse().map_err(de::Error::custom),
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
    use proptest::prelude::*;

    use super::*;

    fn quantity(text: &str) -> Quantity {
        text.parse().unwrap()
    }

    #[test]
    fn quantities_read_and_print_as_kubernetes_writes_them() {
        let cases = [
            ("1", "1"),
            ("500m", "500m"),
            ("1.5", "1500m"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("2000", "2k"),
            ("1e3", "1k"),
            ("1E3", "1k"),
            ("25e-2", "250m"),
            ("1E", "1E"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("100Ki", "100Ki"),
            ("0.5Ki", "512"),
            ("128M", "128M"),
            ("1u", "1u"),
            ("0.1n", "1n"),
            ("1.0000000000000000000000000000001", "1000000001n"),
            ("1.123456789012Ti", "1235253802822582310798n"),
            ("8Ei", ""),
        ];
        for (text, printed) in cases {
            match text.parse::<Quantity>() {
                Ok(quantity) => assert_eq!(quantity.to_string(), printed, "{text}"),
                Err(error) => assert!(printed.is_empty() && error.to_string().contains("too large"), "{text}: {error}"),
            }
        }
    }

    #[test]
    fn lesson_58_what_is_no_amount_is_refused_with_the_reason() {
        let cases = [
            ("nan", "not a number"),
            ("inf", "not a number"),
            ("", "empty"),
            ("0", "nothing"),
            ("0Gi", "nothing"),
            ("0.0", "nothing"),
            ("-1", "negative"),
            ("-1Gi", "negative"),
            ("1.2.3", "not a number"),
            (".", "not a number"),
            ("1Zi", "unknown unit"),
            ("1 Gi", "unknown unit"),
            ("1gi", "unknown unit"),
            ("1e", "unknown unit"),
            ("1e99", "unknown unit"),
            ("99999999999999999999", "too large"),
            ("99999999999999999999999999999999999999999999", "too large"),
            ("1111111111111111111111111111111111111111111111111111111111111111111", "too long"),
        ];
        for (text, reason) in cases {
            let message = text.parse::<Quantity>().unwrap_err().to_string();
            assert!(message.contains(reason) && message.contains("expected more than 0"), "{text:?}: {message}");
        }
    }

    #[test]
    fn amounts_compare_and_add_whatever_their_units() {
        assert_eq!(quantity("1Gi"), quantity("1024Mi"));
        assert!(quantity("1G") < quantity("1Gi") && quantity("999m") < quantity("1"));
        let sum: Quantity = ["500m", "500m", "1"].map(quantity).into_iter().sum();
        assert_eq!((sum, sum.to_string().as_str()), (Quantity::whole(2), "2"));
        assert_eq!((Quantity::milli(250), Quantity::mebi(512)), (quantity("250m"), quantity("0.5Gi")));
        assert_eq!(Quantity::ZERO.to_string(), "0");
        assert_eq!(
            (quantity("2") - quantity("500m"), quantity("1") - quantity("2")),
            (quantity("1.5"), Quantity::ZERO)
        );
        assert!((quantity("1500m").as_f64() - 1.5).abs() < f64::EPSILON);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(number in 1..=u64::MAX >> 2, unit in prop::sample::select(vec!["", "m", "Ki", "k"])) {
            if let Ok(quantity) = format!("{number}{unit}").parse::<Quantity>() {
                prop_assert_eq!(quantity.to_string().parse::<Quantity>().unwrap(), quantity);
            }
        }

        #[test]
        fn no_text_makes_it_panic_or_gives_nothing(text in "[0-9.eEkKMGimnu-]{0,12}") {
            if let Ok(quantity) = text.parse::<Quantity>() {
                prop_assert!(quantity > Quantity::ZERO);
            }
        }
    }
}
