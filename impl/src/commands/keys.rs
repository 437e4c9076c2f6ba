//! Commands on keys whatever their values, and on whole databases.

use bytes::Bytes;

use super::connection::database;
use super::parse::integer;
use super::{Call, CommandError, Entry, Origin, Reply};
use crate::keyspace::{Blob, DATABASES, glob};
use crate::resp::parse_integer;

/// Keys that a `SCAN` visits when it is not told how many.
const DEFAULT_SCAN_COUNT: usize = 10;

/// `DEL` and `UNLINK`: here memory is freed in either case when its last reader is done.
pub(super) fn del(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let deleted = call.args[1..]
        .iter()
        .filter(|key| call.exists(key) && call.remove(key))
        .count();
    if deleted > 0 {
        call.propagate_verbatim();
    }
    Ok(Reply::Integer(deleted as i64))
}

pub(super) fn exists(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    Ok(Reply::Integer(
        call.args[1..].iter().filter(|key| call.exists(key)).count() as i64,
    ))
}

pub(super) fn type_of(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    Ok(Reply::Simple(
        call.entry(call.arg(1))
            .map_or("none", |entry| entry.value.type_name()),
    ))
}

pub(super) fn keys(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let pattern = call.arg(1);
    let all = call.keyspace.iter(*call.selected);
    let matching: Vec<Bytes> = all
        .filter(|(key, _)| glob::matches(pattern, key))
        .map(|(key, _)| key.to_bytes())
        .collect();
    Ok(Reply::Array(
        matching
            .into_iter()
            .filter(|key| call.exists(key))
            .map(Reply::Bulk)
            .collect(),
    ))
}

/// What a command of the `SCAN` family was asked for.
pub(super) struct ScanOptions<'a> {
    pub(super) pattern: &'a [u8],
    pub(super) type_name: Option<&'a Bytes>,
    pub(super) count: usize,
}

pub(super) fn scan(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let cursor = cursor(call.arg(1))?;
    let options = scan_options(&call.args[2..], true)?;
    let (next, keys) = call.keyspace.scan(*call.selected, cursor, options.count);
    let wanted = |entry: &Entry| {
        options
            .type_name
            .is_none_or(|name| name.eq_ignore_ascii_case(entry.value.type_name().as_bytes()))
    };
    let found = keys
        .into_iter()
        .filter(|key| glob::matches(options.pattern, key))
        .map(|key| key.to_bytes());
    let found = found
        .filter(|key| call.entry(key).is_some_and(wanted))
        .map(Reply::Bulk)
        .collect();
    Ok(Reply::Array(vec![
        Reply::Bulk(Bytes::from(next.to_string())),
        Reply::Array(found),
    ]))
}

pub(super) fn cursor(text: &[u8]) -> Result<u64, CommandError> {
    let text = std::str::from_utf8(text).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or(CommandError::InvalidCursor)
}

/// The options of a scan; only that of keys knows types.
pub(super) fn scan_options(args: &[Bytes], typed: bool) -> Result<ScanOptions<'_>, CommandError> {
    let mut options = ScanOptions {
        pattern: b"*",
        type_name: None,
        count: DEFAULT_SCAN_COUNT,
    };
    let (pairs, rest) = args.as_chunks();
    for [name, value] in pairs {
        match &name.to_ascii_uppercase()[..] {
            b"MATCH" => options.pattern = value,
            b"TYPE" if typed => options.type_name = Some(value),
            b"COUNT" => {
                let count = usize::try_from(integer(value)?).unwrap_or(0);
                options.count = if count == 0 {
                    return Err(CommandError::Syntax);
                } else {
                    count
                };
            }
            _ => return Err(CommandError::Syntax),
        }
    }
    if rest.is_empty() {
        Ok(options)
    } else {
        Err(CommandError::Syntax)
    }
}

pub(super) fn randomkey(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    // Each turn deletes an expired key on a primary; a replica, which may not, gives up after some turns and tells one.
    const TURNS: u64 = 100;
    for turn in 0..TURNS {
        let seed = call.context.seed.wrapping_mul(2 * turn + 1);
        let Some(key) = call.keyspace.pick(*call.selected, seed).map(Blob::to_bytes) else {
            return Ok(Reply::NullBulk);
        };
        if call.exists(&key) || turn + 1 == TURNS && call.context.origin == Origin::ClientOfReplica
        {
            return Ok(Reply::Bulk(key));
        }
    }
    Ok(Reply::NullBulk)
}

pub(super) fn rename(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (from, to) = (call.arg(1), call.arg(2));
    let entry = call.entry(from).cloned().ok_or(CommandError::NoSuchKey)?;
    // Renaming a key to itself changes nothing, so nothing is propagated.
    if from != to {
        call.exists(to);
        rename_to(call, from, to, entry);
    }
    Ok(Reply::OK)
}

pub(super) fn renamenx(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (from, to) = (call.arg(1), call.arg(2));
    let entry = call.entry(from).cloned().ok_or(CommandError::NoSuchKey)?;
    if from == to || call.exists(to) {
        return Ok(Reply::Integer(0));
    }
    rename_to(call, from, to, entry);
    Ok(Reply::Integer(1))
}

fn rename_to(call: &mut Call<'_, '_>, from: &Bytes, to: &Bytes, entry: Entry) {
    call.remove(from);
    call.put_entry(*call.selected, to, entry);
    call.propagate_verbatim();
}

pub(super) fn copy(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (from, to) = (call.arg(1), call.arg(2));
    let (target, replace) = copy_options(call)?;
    if target == *call.selected && from == to {
        return Err(CommandError::SameObject);
    }
    let Some(entry) = call.entry(from).cloned() else {
        return Ok(Reply::Integer(0));
    };
    if call.entry_in(target, to).is_some() && !replace {
        return Ok(Reply::Integer(0));
    }
    call.put_entry(target, to, entry);
    call.propagate_verbatim();
    Ok(Reply::Integer(1))
}

fn copy_options(call: &Call<'_, '_>) -> Result<(usize, bool), CommandError> {
    let (mut target, mut replace) = (*call.selected, false);
    let mut rest = &call.args[3..];
    while let Some((option, after)) = rest.split_first() {
        rest = match (&option.to_ascii_uppercase()[..], after) {
            (b"REPLACE", _) => {
                replace = true;
                after
            }
            (b"DB", [number, after @ ..]) => {
                target = database(parse_integer(number).ok_or(CommandError::NotInteger)?)?;
                after
            }
            _ => return Err(CommandError::Syntax),
        };
    }
    Ok((target, replace))
}

pub(super) fn dbsize(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    Ok(Reply::Integer(call.keyspace.len(*call.selected) as i64))
}

pub(super) fn flushall(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    check_flush_mode(call)?;
    call.keyspace.flush_all();
    (0..DATABASES).for_each(|database| call.database_changed(database));
    // Propagated even if there was nothing: a replica may hold what we do not know of.
    call.propagate_verbatim();
    Ok(Reply::OK)
}

pub(super) fn flushdb(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    check_flush_mode(call)?;
    call.keyspace.flush(*call.selected);
    call.database_changed(*call.selected);
    call.propagate_verbatim();
    Ok(Reply::OK)
}

fn check_flush_mode(call: &Call<'_, '_>) -> Result<(), CommandError> {
    match &call.args[1..] {
        [] => Ok(()),
        [mode] if mode.eq_ignore_ascii_case(b"SYNC") || mode.eq_ignore_ascii_case(b"ASYNC") => {
            Ok(())
        }
        _ => Err(CommandError::Syntax),
    }
}

pub(super) fn swapdb(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let one = parse_integer(call.arg(1)).ok_or(CommandError::FirstDatabase)?;
    let other = parse_integer(call.arg(2)).ok_or(CommandError::SecondDatabase)?;
    let (one, other) = (database(one)?, database(other)?);
    call.keyspace.swap(one, other);
    call.database_changed(one);
    call.database_changed(other);
    call.propagate_verbatim();
    Ok(Reply::OK)
}
