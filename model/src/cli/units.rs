//! Durations, sizes and rates as people write them.
//!
//! Sizes: `KB`, `MB`, `GB`, `TB` count by thousands and `KiB`, `MiB`, `GiB`, `TiB` by 1024s; a bare number is
//! bytes. Beware that in redis.conf `1kb` is 1024 bytes and `1k` is 1000: what we advise is printed in bytes.

use std::time::Duration;
use thiserror::Error;

/// Something that is no quantity.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum UnitError {
    /// It does not begin with a number.
    #[error("`{text}` does not begin with a number; write for example {example}")]
    Number {
        /// What was given.
        text: String,
        /// What could have been.
        example: &'static str,
    },
    /// The unit is unknown.
    #[error("`{unit}` is no unit that is known here; there are {known}")]
    Unit {
        /// What was given.
        unit: String,
        /// What there is.
        known: &'static str,
    },
    /// It does not fit 64 bits.
    #[error("`{text}` is too large")]
    TooLarge {
        /// What was given.
        text: String,
    },
}

/// A unit with what it is worth, in the smallest one.
type Units = &'static [(&'static str, u64)];

const TIMES: Units = &[
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

const SIZES: Units = &[
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// The most digits after the point: a nanosecond of a second.
const MOST_DECIMALS: usize = 9;

/// A duration such as `5s`, `500ms`, `2m`, `1.5h`.
pub(crate) fn duration(text: &str) -> Result<Duration, UnitError> {
    quantity(text, TIMES, "5s, 500ms, 2m or 1h", "ms, s, m and h").map(Duration::from_nanos)
}

/// A size in bytes such as `2MB`, `1.5MiB`, `4096`.
pub(crate) fn bytes(text: &str) -> Result<u64, UnitError> {
    quantity(
        text,
        SIZES,
        "2MB, 512KiB or 4096",
        "B, KB, MB, GB, TB (thousands) and KiB, MiB, GiB, TiB (1024s)",
    )
}

/// A rate in bytes a second: a size, with or without `/s`.
pub(crate) fn rate(text: &str) -> Result<u64, UnitError> {
    bytes(text.strip_suffix("/s").unwrap_or(text))
}

fn quantity(
    text: &str,
    units: Units,
    example: &'static str,
    known: &'static str,
) -> Result<u64, UnitError> {
    let text = text.trim();
    let number = || UnitError::Number {
        text: text.to_owned(),
        example,
    };
    let too_large = || UnitError::TooLarge {
        text: text.to_owned(),
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
    if whole.is_empty() || decimals.is_empty() || decimals.contains('.') {
        return Err(number());
    }
    if decimals.len() > MOST_DECIMALS {
        return Err(number());
    }
    let name = unit.trim().to_ascii_lowercase();
    let (_, worth) = units
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| UnitError::Unit {
            unit: unit.trim().to_owned(),
            known,
        })?;
    let whole: u64 = whole.parse().map_err(|_| too_large())?;
    let scale = 10_u128.pow(decimals.len() as u32);
    let decimals: u64 = decimals.parse().map_err(|_| number())?;
    let total = u128::from(whole) * u128::from(*worth)
        + (u128::from(decimals) * u128::from(*worth)).div_ceil(scale);
    u64::try_from(total).map_err(|_| too_large())
}

/// A size as people read it: `19.1 MiB`.
pub(crate) fn readable_bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// A duration as people read it: `524 ms`, `5.2 s`, `3 min`, `2.5 h`.
pub(crate) fn readable_duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", s * 1000.0),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_people_write_them() {
        let table = [
            ("4096", 4096),
            ("2MB", 2_000_000),
            ("2 mb", 2_000_000),
            ("1.5MiB", 1_572_864),
            ("0.1KB", 100),
            ("1TiB", 1 << 40),
        ];
        for (text, expected) in table {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        assert_eq!(rate("2MB/s"), Ok(2_000_000));
        assert_eq!(duration("1.5h"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
    }

    #[test]
    fn what_is_no_quantity_is_refused_for_its_reason() {
        for text in ["", "s", "-5s", "1..2s", ".5s", "5.s", "1.0000000001s"] {
            assert!(
                matches!(duration(text), Err(UnitError::Number { .. })),
                "{text}"
            );
        }
        assert!(matches!(duration("5"), Err(UnitError::Unit { .. })));
        assert!(matches!(bytes("5 parsecs"), Err(UnitError::Unit { .. })));
        for text in ["99999999999999999999", "18446744073709551615KB"] {
            assert!(
                matches!(bytes(text), Err(UnitError::TooLarge { .. })),
                "{text}"
            );
        }
    }
}
