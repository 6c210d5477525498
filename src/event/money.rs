//! Money: integers of a billionth of a currency unit. Never a float; one currency per settings file.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;

/// An amount in nano-units (10⁻⁹) of the file's currency. Deltas may be negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Money(pub i128);

/// The currency when none is named.
pub const DEFAULT_CURRENCY: &str = "USD";

impl Money {
    /// Nothing.
    pub const ZERO: Money = Money(0);
    /// Nano-units in one unit.
    pub const UNIT: i128 = 1_000_000_000;

    /// `quantity` things at `self` per `per` things, rounded half to even: the only rounding there is.
    pub fn times(self, quantity: i128, per: i128) -> Money {
        let product = self.0 * quantity;
        let (quotient, rest) = (product.div_euclid(per), product.rem_euclid(per));
        let up = match (rest * 2).cmp(&per) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => quotient % 2 != 0,
            std::cmp::Ordering::Less => false,
        };
        Money(quotient + i128::from(up))
    }
}

impl Add for Money {
    type Output = Money;
    fn add(self, other: Money) -> Money {
        Money(self.0 + other.0)
    }
}

impl Sub for Money {
    type Output = Money;
    fn sub(self, other: Money) -> Money {
        Money(self.0 - other.0)
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Money) {
        self.0 += other.0;
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Money>>(amounts: I) -> Money {
        amounts.fold(Money::ZERO, Add::add)
    }
}

/// Room for the text of an amount.
#[derive(Default)]
pub(super) struct Room {
    whole: itoa::Buffer,
    fraction: [u8; 10],
}

impl Money {
    /// Its text in three pieces: the sign, whole units, and the point with what follows; an empty one where there is none.
    /// The general way of showing numbers costs several times as much, and every event has many amounts.
    pub(super) fn pieces(self, room: &mut Room) -> [&str; 3] {
        let (size, unit) = (self.0.unsigned_abs(), Money::UNIT.unsigned_abs());
        let (whole, mut rest) = match u64::try_from(size) {
            Ok(size) => (room.whole.format(size / unit as u64), (size % unit as u64) as u32),
            Err(_) => (room.whole.format(size / unit), (size % unit) as u32),
        };
        let sign = if self.0 < 0 { "-" } else { "" };
        if rest == 0 {
            return [sign, whole, ""];
        }
        let digits = &mut room.fraction;
        digits[0] = b'.';
        for digit in digits[1..].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let shown = digits.iter().rposition(|digit| (b'1'..=b'9').contains(digit));
        let shown = &digits[..shown.map_or(0, |last| last + 1)];
        [sign, whole, std::str::from_utf8(shown).unwrap_or_default()]
    }
}

/// Plain decimal, without trailing zeros and without the currency: `0.0004`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces(&mut Room::default()).into_iter().try_for_each(|piece| f.write_str(piece))
    }
}

/// In JSON an amount is decimal text, as an Avro decimal is.
impl serde::Serialize for Money {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Money {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a text is no amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoneyError(pub String);

impl fmt::Display for MoneyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not an amount; expected a decimal with at most 9 places, such as `0.02`",
            self.0
        )
    }
}

impl std::error::Error for MoneyError {}

/// From a plain decimal such as `0.40` or `-3`.
impl FromStr for Money {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Money, MoneyError> {
        let wrong = || MoneyError(text.to_owned());
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty()
            || whole.len() > 18
            || fraction.len() > 9
            || (digits.contains('.') && fraction.is_empty())
            || !all_digits(whole)
            || !all_digits(fraction)
        {
            return Err(wrong());
        }
        let nano: i128 = format!("{whole}{fraction:0<9}").parse().map_err(|_| wrong())?;
        Ok(Money(if negative { -nano } else { nano }))
    }
}
