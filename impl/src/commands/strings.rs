//! Reading strings, and commands over several keys.

use bytes::Bytes;

use super::set::{Unit, positive_deadline};
use super::{Call, CommandError, Reply, deletion, expiry};

pub(super) fn get(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    Ok(Reply::stored_or_null(call.string(call.arg(1))?))
}

pub(super) fn getdel(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let key = call.arg(1);
    let previous = call.string(key)?;
    if previous.is_some() {
        call.remove(key);
        call.propagate(deletion(key.clone()));
    }
    Ok(Reply::stored_or_null(previous))
}

pub(super) fn getex(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let key = call.arg(1);
    let deadline = match &call.args[2..] {
        [] => None,
        [option] if option.eq_ignore_ascii_case(b"PERSIST") => Some(None),
        [option, amount] => {
            let unit = Unit::of_option(option).ok_or(CommandError::Syntax)?;
            Some(Some((unit, amount)))
        }
        _ => return Err(CommandError::Syntax),
    };
    let Some(value) = call.string(key)? else {
        return Ok(Reply::NullBulk);
    };
    match deadline {
        None => {}
        Some(None) => _ = expiry::drop_deadline(call, key),
        Some(Some((unit, amount))) => {
            // Redis looks at the amount only once there is a key.
            let deadline = positive_deadline(call, unit, amount, "getex")?;
            expiry::set_or_delete(call, key, deadline as i64, &[]);
        }
    }
    Ok(Reply::Stored(value))
}

pub(super) fn mget(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    Ok(Reply::Array(
        call.args[1..]
            .iter()
            // A key of another type is no string, which is what was asked for.
            .map(|key| Reply::stored_or_null(call.string(key).ok().flatten()))
            .collect(),
    ))
}

pub(super) fn mset(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let pairs = pairs(call, "mset")?;
    store_all(call, pairs);
    Ok(Reply::OK)
}

pub(super) fn msetnx(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let pairs = pairs(call, "msetnx")?;
    if pairs.iter().any(|(key, _)| call.exists(key)) {
        return Ok(Reply::Integer(0));
    }
    store_all(call, pairs);
    Ok(Reply::Integer(1))
}

fn pairs<'a>(
    call: &Call<'_, 'a>,
    name: &'static str,
) -> Result<Vec<(&'a Bytes, &'a Bytes)>, CommandError> {
    match call.args[1..].as_chunks() {
        (pairs, []) => Ok(pairs.iter().map(|[key, value]| (key, value)).collect()),
        _ => Err(CommandError::WrongArity { name }),
    }
}

fn store_all(call: &mut Call<'_, '_>, pairs: Vec<(&Bytes, &Bytes)>) {
    for (key, value) in pairs {
        call.exists(key);
        call.store(key, value, None);
    }
    call.propagate_verbatim();
}
