//! Commands on keys whatever their values, and on whole databases.

use bytes::Bytes;

use super::connection::database;
use super::{Call, CommandError, Entry, Origin, Reply};
use crate::keyspace::glob;
use crate::resp::parse_integer;

/// Keys that a `SCAN` visits when it is not told how many.
const DEFAULT_SCAN_COUNT: i64 = 10;

/// `DEL` and `UNLINK`: here memory is freed in either case when its last reader is done.
pub(super) fn del(call: &mut Call<'_>) -> Result<Reply, CommandError> {
    let deleted = call.args[1..]
        .iter()
        .filter(|key| call.exists(key) && call.remove(key))
        .count();
    if deleted > 0 {
        call.propagate_verbatim();
    }
    Ok(Reply::Integer(deleted as i64))
}

pub(super) fn exists(call: &mut Call<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Integer(
        call.args[1..].iter().filter(|key| call.exists(key)).count() as i64,
    ))
}

pub(super) fn type_of(call: &mut Call<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Simple(
        call.entry(call.arg(1))
            .map_or("none", |entry| entry.value.type_name()),
    ))
}

pub(super) fn keys(call: &mut Call<'_>) -> Result<Reply, CommandError> {
    let pattern = call.arg(1);
    let all = call.keyspace.iter(*call.selected);
    let matching: Vec<Bytes> = all
        .map(|(key, _)| key)
        .filter(|key| glob::matches(pattern, key))
        .cloned()
        .collect();
    Ok(Reply::Array(
        matching
            .into_iter()
            .filter(|key| call.exists(key))
            .map(Reply::Bulk)
            .collect(),
    ))
}

/// What a `SCAN` was asked for.
struct ScanOptions<'a> {
    pattern: &'a [u8],
    type_name: Option<&'a Bytes>,
    count: i64,
}

pub(super) fn scan(call: &mut Call<'_>) -> Result<Reply, CommandError> {
    let text = std::str::from_utf8(call.arg(1)).ok();
    let cursor: u64 = text
        .and_then(|text| text.parse().ok())
        .ok_or(CommandError::InvalidCursor)?;
    let options = scan_options(&call.args[2..])?;
    let (next, keys) = call
        .keyspace
        .scan(*call.selected, cursor, options.count as usize);
    let wanted = |entry: &Entry| {
        options
            .type_name
            .is_none_or(|name| name.eq_ignore_ascii_case(entry.value.type_name().as_bytes()))
    };
    let found = keys
        .into_iter()
        .filter(|key| glob::matches(options.pattern, key));
    let found = found
        .filter(|key| call.entry(key).is_some_and(wanted))
        .map(Reply::Bulk)
        .collect();
    Ok(Reply::Array(vec![
        Reply::Bulk(Bytes::from(next.to_string())),
        Reply::Array(found),
    ]))
}

fn scan_options(args: &[Bytes]) -> Result<ScanOptions<'_>, CommandError> {
    let mut options = ScanOptions {
        pattern: b"*",
        type_name: None,
        count: DEFAULT_SCAN_COUNT,
    };
    let (pairs, rest) = args.as_chunks();
    for [name, value] in pairs {
        match &name.to_ascii_uppercase()[..] {
            b"MATCH" => options.pattern = value,
            b"TYPE" => options.type_name = Some(value),
            b"COUNT" => options.count = parse_integer(value).ok_or(CommandError::NotInteger)?,
            _ => return Err(CommandError::Syntax),
        }
    }
    if rest.is_empty() && options.count >= 1 {
        Ok(options)
    } else {
        Err(CommandError::Syntax)
    }
}

pub(super) fn randomkey(call: &mut Call<'_>) -> Result<Reply, CommandError> {
    // Each turn deletes an expired key on a primary; a replica, which may not, gives up after some turns and tells one.
    const TURNS: u64 = 100;
    for turn in 0..TURNS {
        let seed = call.context.seed.wrapping_mul(2 * turn + 1);
        let Some(key) = call.keyspace.pick(*call.selected, seed).cloned() else {
            return Ok(Reply::NullBulk);
        };
        if call.exists(&key) || turn + 1 == TURNS && call.context.origin == Origin::ClientOfReplica
        {
            return Ok(Reply::Bulk(key));
        }
    }
    Ok(Reply::NullBulk)
}

pub(super) fn rename(call: &mut Call<'_>) -> Result<Reply, CommandError> {
    let (from, to) = (call.arg(1), call.arg(2));
    let entry = call.entry(from).cloned().ok_or(CommandError::NoSuchKey)?;
    // Renaming a key to itself changes nothing, so nothing is propagated.
    if from != to {
        call.exists(to);
        rename_to(call, from, to, entry);
    }
    Ok(Reply::OK)
}

pub(super) fn renamenx(call: &mut Call<'_>) -> Result<Reply, CommandError> {
    let (from, to) = (call.arg(1), call.arg(2));
    let entry = call.entry(from).cloned().ok_or(CommandError::NoSuchKey)?;
    if from == to || call.exists(to) {
        return Ok(Reply::Integer(0));
    }
    rename_to(call, from, to, entry);
    Ok(Reply::Integer(1))
}

fn rename_to(call: &mut Call<'_>, from: &Bytes, to: &Bytes, entry: Entry) {
    call.remove(from);
    call.keyspace.insert(*call.selected, to, entry);
    call.propagate_verbatim();
}

pub(super) fn copy(call: &mut Call<'_>) -> Result<Reply, CommandError> {
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
    call.keyspace.insert(target, to, entry);
    call.propagate_verbatim();
    Ok(Reply::Integer(1))
}

fn copy_options(call: &Call<'_>) -> Result<(usize, bool), CommandError> {
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

pub(super) fn dbsize(call: &mut Call<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Integer(call.keyspace.len(*call.selected) as i64))
}

pub(super) fn flushall(call: &mut Call<'_>) -> Result<Reply, CommandError> {
    check_flush_mode(call)?;
    call.keyspace.flush_all();
    // Propagated even if there was nothing: a replica may hold what we do not know of.
    call.propagate_verbatim();
    Ok(Reply::OK)
}

pub(super) fn flushdb(call: &mut Call<'_>) -> Result<Reply, CommandError> {
    check_flush_mode(call)?;
    call.keyspace.flush(*call.selected);
    call.propagate_verbatim();
    Ok(Reply::OK)
}

fn check_flush_mode(call: &Call<'_>) -> Result<(), CommandError> {
    match &call.args[1..] {
        [] => Ok(()),
        [mode] if mode.eq_ignore_ascii_case(b"SYNC") || mode.eq_ignore_ascii_case(b"ASYNC") => {
            Ok(())
        }
        _ => Err(CommandError::Syntax),
    }
}

pub(super) fn swapdb(call: &mut Call<'_>) -> Result<Reply, CommandError> {
    let one = parse_integer(call.arg(1)).ok_or(CommandError::FirstDatabase)?;
    let other = parse_integer(call.arg(2)).ok_or(CommandError::SecondDatabase)?;
    call.keyspace.swap(database(one)?, database(other)?);
    call.propagate_verbatim();
    Ok(Reply::OK)
}
