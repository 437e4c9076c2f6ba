//! The arithmetic of `INCRBYFLOAT` and `HINCRBYFLOAT`: the extended precision of x86 processors, in integers.
//!
//! A number is a mantissa of 64 bits times a power of two. Reading, adding and writing each round once, to the nearest,
//! ties to even, as the processor and the C library do, so that results are those of Redis to the last digit. Below the
//! smallest normal number (about 1e-4932) they are more exact than Redis's; seventeen decimals do not show it.

use std::fmt;

use num_bigint::{BigInt, BigUint, Sign};

use super::without_trailing_zeros;

/// Bits of a mantissa.
const MANTISSA_BITS: u64 = 64;

/// Numbers of two to this power or more are infinite.
const OVERFLOW_EXPONENT: i64 = 16_384;

/// Powers of ten beyond which a number is infinite or nothing, whatever its digits.
const EXTREME_POWER: i64 = 10_000;

/// The longest text that is read as a number, as in Redis.
const LONGEST_TEXT: usize = 5 * 1024;

/// Decimals that are written, before zeros at the end are cut off.
const DECIMALS: usize = 17;

/// A finite number in extended precision, or an infinity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LongDouble {
    /// Times two to the power of `exponent`; `None` for an infinity, whose sign nobody asks for.
    mantissa: Option<BigInt>,
    exponent: i64,
}

/// `numerator / denominator` rounded to the nearest integer, ties to even.
fn divide(numerator: BigUint, denominator: &BigUint) -> BigUint {
    let quotient = &numerator / denominator;
    let twice = (numerator - &quotient * denominator) << 1_u8;
    let odd = quotient.bit(0);
    match twice.cmp(denominator) {
        std::cmp::Ordering::Greater => quotient + 1_u8,
        std::cmp::Ordering::Equal if odd => quotient + 1_u8,
        _ => quotient,
    }
}

impl LongDouble {
    /// Zero.
    pub(crate) const ZERO: Self = Self {
        mantissa: Some(BigInt::ZERO),
        exponent: 0,
    };

    /// The number nearest to a fraction.
    fn nearest(sign: Sign, numerator: BigUint, denominator: &BigUint) -> Self {
        if numerator == BigUint::ZERO {
            return Self::ZERO;
        }
        // The quotient before rounding has as many bits as a mantissa, or one more.
        let bits = numerator.bits() as i64 - denominator.bits() as i64;
        let mut shift = MANTISSA_BITS as i64 - bits;
        if shifted(&numerator, shift) >= shifted(denominator, 0) << MANTISSA_BITS {
            shift -= 1;
        }
        let mantissa = if shift >= 0 {
            divide(numerator << shift, denominator)
        } else {
            divide(numerator, &(denominator << -shift))
        };
        let exponent = -shift;
        if mantissa.bits() as i64 + exponent > OVERFLOW_EXPONENT {
            return Self {
                mantissa: None,
                exponent: 0,
            };
        }
        Self {
            mantissa: Some(BigInt::from_biguint(sign, mantissa)),
            exponent,
        }
    }

    /// A decimal number, or an infinity by its name.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        if text.len() >= LONGEST_TEXT || text.parse::<f64>().ok()?.is_nan() {
            return None;
        }
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        if unsigned.starts_with(['i', 'I']) {
            return Some(Self {
                mantissa: None,
                exponent: 0,
            });
        }
        let sign = if text.starts_with('-') {
            Sign::Minus
        } else {
            Sign::Plus
        };
        let (digits, power) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        // A power that does not fit is extreme on its own side.
        let extreme = if power.starts_with('-') {
            -EXTREME_POWER
        } else {
            EXTREME_POWER
        };
        let power = power
            .parse()
            .unwrap_or(extreme)
            .clamp(-EXTREME_POWER, EXTREME_POWER);
        let power = power - fraction.len() as i64;
        let digits = BigUint::parse_bytes([whole, fraction].concat().as_bytes(), 10)?;
        let ten = |power: u64| BigUint::from(10_u8).pow(power as u32);
        Some(if power >= 0 {
            Self::nearest(
                sign,
                digits * ten(power.unsigned_abs()),
                &BigUint::from(1_u8),
            )
        } else {
            Self::nearest(sign, digits, &ten(power.unsigned_abs()))
        })
    }

    pub(crate) fn is_infinite(&self) -> bool {
        self.mantissa.is_none()
    }

    /// The sum, unless it is infinite or no number.
    pub(crate) fn plus(&self, other: &Self) -> Option<Self> {
        let lowest = self.exponent.min(other.exponent);
        let aligned = |number: &Self| Some(number.mantissa.as_ref()? << (number.exponent - lowest));
        let (sign, magnitude) = (aligned(self)? + aligned(other)?).into_parts();
        let sum = if lowest >= 0 {
            Self::nearest(sign, magnitude << lowest, &BigUint::from(1_u8))
        } else {
            Self::nearest(sign, magnitude, &(BigUint::from(1_u8) << -lowest))
        };
        sum.mantissa.is_some().then_some(sum)
    }
}

fn shifted(number: &BigUint, shift: i64) -> BigUint {
    if shift >= 0 {
        number << shift
    } else {
        number >> -shift
    }
}

impl fmt::Display for LongDouble {
    /// At most seventeen decimals, without zeros at the end and without an exponent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(mantissa) = &self.mantissa else {
            return f.write_str("inf");
        };
        let scaled = mantissa.magnitude() * BigUint::from(10_u8).pow(DECIMALS as u32);
        let digits = if self.exponent >= 0 {
            scaled << self.exponent
        } else {
            divide(scaled, &(BigUint::from(1_u8) << -self.exponent))
        };
        let digits = format!("{:0>width$}", digits.to_string(), width = DECIMALS + 1);
        let (whole, fraction) = digits.split_at(digits.len() - DECIMALS);
        let number = format!("{whole}.{fraction}");
        let number = without_trailing_zeros(&number);
        let negative = mantissa.sign() == Sign::Minus && number != "0";
        write!(f, "{}{number}", if negative { "-" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(one: &str, other: &str) -> String {
        let number = |text: &str| LongDouble::parse(text.as_bytes()).unwrap();
        number(one)
            .plus(&number(other))
            .map_or_else(|| "none".to_owned(), |sum| sum.to_string())
    }

    #[test]
    fn sums_are_those_of_extended_precision() {
        // The right column is what redis-server 7.0.15 answers on x86-64.
        for (one, other, result) in [
            ("3", "1.1", "4.1"),
            ("10.5", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("1", "-1.5", "-0.5"),
            ("0", "-0", "0"),
            ("1e-20", "0", "0"),
            ("17179869184", "1.5", "17179869185.5"),
            ("1.23", "-1.23", "0"),
            ("-9007199254740993.25", "0", "-9007199254740993.25"),
            ("1e4932", "1e4932", "none"),
            ("inf", "1", "none"),
        ] {
            assert_eq!(sum(one, other), result, "{one} + {other}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", " 1", "1 ", "nan", "1x", "--1", "0x10", "1e", "."] {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text}");
        }
    }
}
