//! Hashes.

use bytes::Bytes;

use super::parse::{Chance, PairChoices, array, integer, pair_choices};
use super::{Call, CommandError, Reply};
use crate::keyspace::{Blob, Hash};
use crate::numbers::LongDouble;
use crate::resp::parse_integer;

pub(super) fn hset(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let added = set_fields(call, "hset")?;
    Ok(Reply::Integer(added as i64))
}

pub(super) fn hmset(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    set_fields(call, "hmset")?;
    Ok(Reply::OK)
}

fn set_fields(call: &mut Call<'_, '_>, name: &'static str) -> Result<usize, CommandError> {
    let (pairs, []) = call.args[2..].as_chunks::<2>() else {
        return Err(CommandError::WrongArity { name });
    };
    let added = call.edit_or_create(call.arg(1), |hash: &mut Hash| {
        let new = |[field, value]: &&[Bytes; 2]| hash.insert(field.into(), value.into()).is_none();
        pairs.iter().filter(new).count()
    })?;
    call.propagate_verbatim();
    Ok(added)
}

pub(super) fn hsetnx(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (key, field, value) = (call.arg(1), call.arg(2), call.arg(3));
    if read(call)?.get(field).is_some() {
        return Ok(Reply::Integer(0));
    }
    call.edit_or_create(key, |hash: &mut Hash| {
        hash.insert(field.into(), value.into())
    })?;
    call.propagate_verbatim();
    Ok(Reply::Integer(1))
}

/// The hash of the first argument, empty if there is none.
fn read(call: &mut Call<'_, '_>) -> Result<Hash, CommandError> {
    call.collection(call.arg(1)).map(Option::unwrap_or_default)
}

pub(super) fn hget(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let hash = read(call)?;
    Ok(Reply::stored_or_null(hash.get(call.arg(2)).cloned()))
}

pub(super) fn hmget(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let hash = read(call)?;
    let fields = call.args[2..].iter();
    let values = fields.map(|field| Reply::stored_or_null(hash.get(field).cloned()));
    Ok(Reply::Array(values.collect()))
}

pub(super) fn hgetall(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let hash = read(call)?;
    Ok(Reply::Map(hash.iter().map(stored_pair).collect()))
}

fn stored_pair((field, value): (&Blob, &Blob)) -> (Reply, Reply) {
    (Reply::Stored(field.clone()), Reply::Stored(value.clone()))
}

/// Fields, each with its value if wanted.
fn fields_reply<'b>(
    fields: impl Iterator<Item = (&'b Blob, &'b Blob)>,
    with_values: bool,
) -> Reply {
    if with_values {
        Reply::Pairs(fields.map(stored_pair).collect())
    } else {
        array(fields.map(|(field, _)| field))
    }
}

pub(super) fn hkeys(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let hash = read(call)?;
    Ok(array(hash.iter().map(|(field, _)| field)))
}

pub(super) fn hvals(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let hash = read(call)?;
    Ok(array(hash.iter().map(|(_, value)| value)))
}

pub(super) fn hlen(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    Ok(Reply::Integer(read(call)?.len() as i64))
}

pub(super) fn hexists(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let found = read(call)?.get(call.arg(2)).is_some();
    Ok(Reply::Integer(found.into()))
}

pub(super) fn hstrlen(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let length = read(call)?.get(call.arg(2)).map_or(0, |value| value.len());
    Ok(Reply::Integer(length as i64))
}

pub(super) fn hdel(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let fields = &call.args[2..];
    let removed = call.edit(call.arg(1), |hash: &mut Hash| {
        fields
            .iter()
            .filter(|field| hash.remove(field).is_some())
            .count()
    })?;
    let removed = removed.unwrap_or(0);
    if removed > 0 {
        call.propagate_verbatim();
    }
    Ok(Reply::Integer(removed as i64))
}

pub(super) fn hincrby(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (key, field) = (call.arg(1), call.arg(2));
    let amount = integer(call.arg(3))?;
    let current = match read(call)?.get(field) {
        Some(text) => {
            parse_integer(text).ok_or(CommandError::Refused("hash value is not an integer"))?
        }
        None => 0,
    };
    let sum = current.checked_add(amount).ok_or(CommandError::Overflow)?;
    let value = Blob::from(sum.to_string());
    call.edit_or_create(key, |hash: &mut Hash| hash.insert(field.into(), value))?;
    call.propagate_verbatim();
    Ok(Reply::Integer(sum))
}

/// Propagated as `HSET`, because another server may compute with another precision.
pub(super) fn hincrbyfloat(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (key, field) = (call.arg(1), call.arg(2));
    let amount = LongDouble::parse(call.arg(3)).ok_or(CommandError::NotFloat)?;
    if amount.is_infinite() {
        return Err(CommandError::Refused("value is NaN or Infinity"));
    }
    let current = match read(call)?.get(field) {
        Some(text) => {
            LongDouble::parse(text).ok_or(CommandError::Refused("hash value is not a float"))?
        }
        None => LongDouble::ZERO,
    };
    let sum = current.plus(&amount).ok_or(CommandError::Refused(
        "increment would produce NaN or Infinity",
    ))?;
    let text = Bytes::from(sum.to_string());
    call.edit_or_create(key, |hash: &mut Hash| {
        hash.insert(field.into(), (&text).into())
    })?;
    call.propagate(vec![
        Bytes::from_static(b"HSET"),
        key.clone(),
        field.clone(),
        text.clone(),
    ]);
    Ok(Reply::Bulk(text))
}

pub(super) fn hrandfield(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let mut chance = Chance::of(call);
    let choices = pair_choices(&call.args[2..], b"WITHVALUES")?;
    let hash = read(call)?;
    let Some(PairChoices {
        number,
        repeated,
        whole,
    }) = choices
    else {
        let chosen = hash.choose(chance.next());
        return Ok(Reply::stored_or_null(
            chosen.map(|(field, _)| field.clone()),
        ));
    };
    if repeated {
        let chosen = (0..number).filter_map(|_| hash.choose(chance.next()));
        return Ok(fields_reply(chosen, whole));
    }
    if number >= hash.len() {
        return Ok(fields_reply(hash.iter(), whole));
    }
    let indices = chance.distinct(number, hash.len()).into_iter();
    let chosen = indices.filter_map(|index| hash.range(index).next());
    Ok(fields_reply(chosen, whole))
}
