//! Parts of strings: `APPEND`, `GETRANGE`, `SETRANGE`, `STRLEN`.

use bytes::Bytes;

use super::{Call, CommandError, Reply};
use crate::keyspace::Blob;
use crate::resp::parse_integer;

pub(super) fn strlen(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    Ok(Reply::Integer(
        call.string(call.arg(1))?
            .map_or(0, |value| value.len() as i64),
    ))
}

pub(super) fn append(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (key, tail) = (call.arg(1), call.arg(2));
    let current = call.string(key)?.map_or(0, |value| value.len());
    check_length(call, current.saturating_add(tail.len()))?;
    let length = call.edit_string(key, |value| {
        value.extend_from_slice(tail);
        value.len()
    })?;
    call.propagate_verbatim();
    Ok(Reply::Integer(length as i64))
}

pub(super) fn getrange(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let start = parse_integer(call.arg(2)).ok_or(CommandError::NotInteger)?;
    let end = parse_integer(call.arg(3)).ok_or(CommandError::NotInteger)?;
    let value = call.string(call.arg(1))?.unwrap_or(Blob::EMPTY);
    // Redis answers this case before it looks at the length of the string.
    if start < 0 && end < 0 && start > end {
        return Ok(Reply::Bulk(Bytes::new()));
    }
    let length = value.len() as i64;
    let from_end = |index: i64| {
        if index < 0 {
            index.saturating_add(length).max(0)
        } else {
            index
        }
    };
    let (start, end) = (from_end(start), from_end(end).min(length - 1));
    if start > end {
        return Ok(Reply::Bulk(Bytes::new()));
    }
    Ok(Reply::Stored(Blob::copy(
        &value[start as usize..=end as usize],
    )))
}

pub(super) fn setrange(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (key, patch) = (call.arg(1), call.arg(3));
    let offset = parse_integer(call.arg(2)).ok_or(CommandError::NotInteger)?;
    let offset = usize::try_from(offset).map_err(|_| CommandError::OffsetRange)?;
    let current = call.string(key)?.map_or(0, |value| value.len());
    if patch.is_empty() {
        return Ok(Reply::Integer(current as i64));
    }
    let end = offset.saturating_add(patch.len());
    check_length(call, end)?;
    let length = call.edit_string(key, |value| {
        value.resize(value.len().max(end), 0);
        value[offset..end].copy_from_slice(patch);
        value.len()
    })?;
    call.propagate_verbatim();
    Ok(Reply::Integer(length as i64))
}

pub(super) fn check_length(call: &Call<'_, '_>, length: usize) -> Result<(), CommandError> {
    if length > call.context.longest_string_bytes {
        Err(CommandError::TooLong)
    } else {
        Ok(())
    }
}
