//! Strings that are numbers: `INCR` and its kin. Sums of integers are propagated as sent, because a
//! replica computes the same.

use bytes::Bytes;

use super::{Call, CommandError, Reply};
use crate::numbers::LongDouble;
use crate::resp::parse_integer;

pub(super) fn incr(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    add(call, 1)
}

pub(super) fn decr(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    add(call, -1)
}

pub(super) fn incrby(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let amount = parse_integer(call.arg(2)).ok_or(CommandError::NotInteger)?;
    add(call, amount)
}

pub(super) fn decrby(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let amount = parse_integer(call.arg(2)).ok_or(CommandError::NotInteger)?;
    let negative = amount
        .checked_neg()
        .ok_or(CommandError::DecrementOverflow)?;
    add(call, negative)
}

fn add(call: &mut Call<'_, '_>, amount: i64) -> Result<Reply, CommandError> {
    let key = call.arg(1);
    let current = match call.string(key)? {
        Some(text) => parse_integer(&text).ok_or(CommandError::NotInteger)?,
        None => 0,
    };
    let sum = current.checked_add(amount).ok_or(CommandError::Overflow)?;
    call.replace(key, &Bytes::from(sum.to_string()));
    call.propagate_verbatim();
    Ok(Reply::Integer(sum))
}

/// Propagated as `SET` with the result, because another server may compute with another precision.
pub(super) fn incrbyfloat(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let key = call.arg(1);
    let current = match call.string(key)? {
        Some(text) => LongDouble::parse(&text).ok_or(CommandError::NotFloat)?,
        None => LongDouble::ZERO,
    };
    let amount = LongDouble::parse(call.arg(2)).ok_or(CommandError::NotFloat)?;
    let sum = current.plus(&amount).ok_or(CommandError::Refused(
        "increment would produce NaN or Infinity",
    ))?;
    let text = Bytes::from(sum.to_string());
    call.replace(key, &text);
    let [set, keep] = [&b"SET"[..], b"KEEPTTL"].map(Bytes::from_static);
    call.propagate(vec![set, key.clone(), text.clone(), keep]);
    Ok(Reply::Bulk(text))
}
