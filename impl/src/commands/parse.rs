//! Arguments that many commands share, and the errors they are answered with.

use bytes::Bytes;

use super::{Call, CommandError};
use crate::keyspace::Blob;
use crate::numbers::parse_float;
use crate::resp::{Reply, parse_integer};

pub(super) fn integer(text: &[u8]) -> Result<i64, CommandError> {
    parse_integer(text).ok_or(CommandError::NotInteger)
}

pub(super) fn float(text: &[u8]) -> Result<f64, CommandError> {
    parse_float(text).ok_or(CommandError::NotFloat)
}

/// A number that is not negative.
pub(super) fn count(text: &[u8]) -> Result<usize, CommandError> {
    at_least(0, text, "value is out of range, must be positive")
}

/// A number of at least `least`; anything else is refused with `words`.
pub(super) fn at_least(
    least: usize,
    text: &[u8],
    words: &'static str,
) -> Result<usize, CommandError> {
    parse_integer(text)
        .and_then(|number| usize::try_from(number).ok())
        .filter(|number| *number >= least)
        .ok_or(CommandError::Refused(words))
}

/// How many elements to choose at random: the number, and whether one may be chosen repeatedly, which a negative number
/// allows.
pub(super) fn choices(text: &[u8]) -> Result<(usize, bool), CommandError> {
    let number = integer(text)?;
    if number == i64::MIN {
        return Err(CommandError::Refused(
            "value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    Ok((number.unsigned_abs() as usize, number < 0))
}

/// How many pairs to choose at random, and what to tell of each.
pub(super) struct PairChoices {
    /// How many.
    pub(super) number: usize,
    /// Whether one may be chosen repeatedly.
    pub(super) repeated: bool,
    /// Whether the second half of each pair is told too.
    pub(super) whole: bool,
}

/// The arguments behind the key of a command that chooses pairs at random: none for a single one, else a number, then
/// perhaps the word that asks for the second half of each.
pub(super) fn pair_choices(
    args: &[Bytes],
    word: &[u8],
) -> Result<Option<PairChoices>, CommandError> {
    let (number, whole) = match args {
        [] => return Ok(None),
        [number] => (number, false),
        [number, option] if option.eq_ignore_ascii_case(word) => (number, true),
        _ => return Err(CommandError::Syntax),
    };
    let (number, repeated) = choices(number)?;
    // Twice the number must still be a number.
    if whole && number > i64::MAX as usize / 2 {
        return Err(CommandError::Refused("value is out of range"));
    }
    Ok(Some(PairChoices {
        number,
        repeated,
        whole,
    }))
}

/// The keys after a number of keys that is not zero, and the arguments after them.
pub(super) fn numbered_keys(args: &[Bytes]) -> Result<(&[Bytes], &[Bytes]), CommandError> {
    let (number, rest) = args.split_first().ok_or(CommandError::Syntax)?;
    let number = at_least(1, number, "numkeys should be greater than 0")?;
    rest.split_at_checked(number).ok_or(CommandError::Syntax)
}

/// How long to wait: seconds with a fraction, 0 for ever; in milliseconds.
pub(super) fn timeout_ms(text: &[u8]) -> Result<Option<u64>, CommandError> {
    let seconds = parse_float(text).filter(|seconds| seconds.is_finite());
    let seconds = seconds.ok_or(CommandError::Refused(
        "timeout is not a float or out of range",
    ))?;
    let milliseconds = (seconds * 1_000.0).ceil();
    if milliseconds < 0.0 {
        return Err(CommandError::Refused("timeout is negative"));
    }
    if milliseconds > i64::MAX as f64 / 2.0 {
        return Err(CommandError::Refused("timeout is out of range"));
    }
    Ok((milliseconds > 0.0).then_some(milliseconds as u64))
}

/// An index into `len` elements, negative ones counted from the end; it may lie outside.
pub(super) fn from_end(index: i64, len: usize) -> i64 {
    if index < 0 {
        index.saturating_add(len as i64)
    } else {
        index
    }
}

/// The half-open range that two inclusive indices mean, negative ones counted from the end; empty ones are 0 to 0.
pub(super) fn index_range(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let start = from_end(start, len).max(0);
    let stop = from_end(stop, len).min(len as i64 - 1);
    if start > stop {
        (0, 0)
    } else {
        (start as usize, stop as usize + 1)
    }
}

/// A number as it stands in the stream.
pub(super) fn text(number: &impl ToString) -> Bytes {
    Bytes::from(number.to_string())
}

/// An array of stored strings.
pub(super) fn array<'b>(elements: impl IntoIterator<Item = &'b Blob>) -> Reply {
    let elements = elements.into_iter();
    Reply::Array(elements.cloned().map(Reply::Stored).collect())
}

/// Stored strings without an order.
pub(super) fn unordered<'b>(elements: impl IntoIterator<Item = &'b Blob>) -> Reply {
    let elements = elements.into_iter();
    Reply::Set(elements.cloned().map(Reply::Stored).collect())
}

/// Numbers for one command, made from its seed: an even spread, nothing secret.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn of(call: &Call<'_, '_>) -> Self {
        Self(call.context.seed)
    }

    /// The next number. Source: `SplitMix64`, Steele, Lea and Flood 2014.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Distinct indices below `len`, `count` of them or all, in random order.
    pub(super) fn distinct(&mut self, count: usize, len: usize) -> Vec<usize> {
        // The beginning of a shuffle; of the pile only what was moved is kept.
        let mut moved = std::collections::HashMap::new();
        (0..count.min(len))
            .map(|drawn| {
                let at = drawn + crate::keyspace::scaled(self.next(), len - drawn);
                let top = moved.get(&drawn).copied().unwrap_or(drawn);
                moved.insert(at, top).unwrap_or(at)
            })
            .collect()
    }
}
