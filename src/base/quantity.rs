//! Durations, sizes and amounts as people write them: `250ms 30s 5m`, `1MiB`, `0.02 USD`.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::yaml::refuse;

/// A duration in a file: `250ms`, `30s`, `5m`, `24h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A size in a file: `512B`, `64KiB`, `1MiB`, `2GiB`, or with `kB MB GB` in powers of ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// An amount in a file: `0.02 USD`. The decimal is text still: what an amount is, `event::money` knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    /// Plain decimal, at most 18 digits and 9 places, not negative.
    pub decimal: String,
    /// Three capital letters.
    pub currency: String,
}

const DURATIONS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];
/// A year: longer is a slip of the pen, and sums of such durations can't overflow.
const LONGEST_MS: u64 = 366 * 86_400_000;

impl Span {
    /// From its text.
    pub fn parse(text: &str) -> Option<Span> {
        let ms = scaled(text, DURATIONS)?;
        (ms <= LONGEST_MS).then(|| Span(Duration::from_millis(ms)))
    }
}

impl Size {
    /// From its text.
    pub fn parse(text: &str) -> Option<Size> {
        scaled(text, SIZES).map(Size)
    }
}

impl Amount {
    /// From its text.
    pub fn parse(text: &str) -> Option<Amount> {
        let (decimal, currency) = text.split_once(' ')?;
        let (whole, places) = decimal.split_once('.').unwrap_or((decimal, "0"));
        let digits = |part: &str, most: usize| {
            (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
        };
        let fits = digits(whole, 18)
            && digits(places, 9)
            && currency.len() == 3
            && currency.bytes().all(|b| b.is_ascii_uppercase());
        fits.then(|| Amount { decimal: decimal.into(), currency: currency.into() })
    }
}

/// Shows a duration in the largest unit that gives a whole number.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let fit = DURATIONS.iter().rev().find(|(_, unit)| ms != 0 && ms.is_multiple_of(*unit));
        match fit {
            Some((name, unit)) => write!(f, "{}{name}", ms / unit),
            None => f.write_str("0s"),
        }
    }
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(split)?;
    let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

/// Reads a text and hands it to `parse`; anything else is refused with `help`.
struct Written<T> {
    parse: fn(&str) -> Option<T>,
    code: &'static str,
    what: &'static str,
    help: &'static str,
}

impl<T> Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).ok_or_else(|| {
            refuse(self.code, format!("`{text}` is not {}", self.what), Some(self.help.into()))
        })
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written {
            parse: Span::parse,
            code: "bad-duration",
            what: "a duration",
            help: "write a whole number and a unit of `ms s m h d`, such as `30s`; at most 366d",
        })
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written {
            parse: Size::parse,
            code: "bad-size",
            what: "a size",
            help: "write a whole number and a unit of `B KiB MiB GiB kB MB GB`, such as `1MiB`",
        })
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written {
            parse: Amount::parse,
            code: "bad-amount",
            what: "an amount of money",
            help: "write a decimal with at most 9 places and a currency, such as `0.02 USD`",
        })
    }
}

#[cfg(test)]
mod tests;
