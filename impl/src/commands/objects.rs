//! Keys as objects: `OBJECT`, `TOUCH`, `MOVE`, and values on their way to other servers (`DUMP`, `RESTORE`).

use bytes::Bytes;

use super::connection::database;
use super::parse::{at_least, integer};
use super::{Call, CommandError, Origin, Reply, deletion};
use crate::keyspace::Entry;
use crate::rdb::{RestoreError, dump as dump_value, restore as restore_value};

/// `OBJECT`: what can be said honestly. Nothing here counts references or uses of a value.
pub(super) fn object(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let limits = call.context.encoding_limits;
    let name = call.arg(1).to_ascii_uppercase();
    match (&name[..], &call.args[2..]) {
        (b"HELP", []) => Ok(Reply::Array(
            HELP.iter().copied().map(Reply::Simple).collect(),
        )),
        (b"ENCODING", [key]) => Ok(call.entry(key).map_or(Reply::NullBulk, |entry| {
            Reply::Bulk(Bytes::from_static(entry.value.encoding(&limits).as_bytes()))
        })),
        (b"REFCOUNT", [key]) => Ok(one_if_there(call, key, 1)),
        (b"IDLETIME", [key]) => Ok(one_if_there(call, key, 0)),
        (b"FREQ", [key]) if call.exists(key) => Err(CommandError::Refused(
            "An LFU maxmemory policy is not selected, access frequency not tracked. Please note \
             that when switching between policies at runtime LRU and LFU data will take some time \
             to adjust.",
        )),
        (b"FREQ", [_]) => Ok(Reply::NullBulk),
        _ => {
            let subcommand = String::from_utf8_lossy(call.arg(1)).into_owned();
            Err(CommandError::UnknownSubcommand {
                command: "OBJECT",
                subcommand,
            })
        }
    }
}

const HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return the kind of internal representation Redis would use for the value.",
    "FREQ <key>",
    "    Not tracked by this server.",
    "IDLETIME <key>",
    "    Not tracked by this server: 0.",
    "REFCOUNT <key>",
    "    Not tracked by this server: 1.",
    "HELP",
    "    Print this help.",
];

fn one_if_there(call: &mut Call<'_, '_>, key: &Bytes, number: i64) -> Reply {
    if call.exists(key) {
        Reply::Integer(number)
    } else {
        Reply::NullBulk
    }
}

/// `MEMORY USAGE key`.
pub(super) fn memory(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let sampling = |args: &[Bytes]| match args {
        [] => Ok(()),
        // Everything is looked at, however many samples would do.
        [name, number] if name.eq_ignore_ascii_case(b"SAMPLES") => integer(number).map(|_| ()),
        _ => Err(CommandError::Syntax),
    };
    if !call.arg(1).eq_ignore_ascii_case(b"USAGE") || call.args.len() < 3 {
        let subcommand = String::from_utf8_lossy(call.arg(1)).into_owned();
        return Err(CommandError::UnknownSubcommand {
            command: "MEMORY",
            subcommand,
        });
    }
    sampling(&call.args[3..])?;
    let key = call.arg(2);
    Ok(call.entry(key).map_or(Reply::NullBulk, |entry| {
        let bytes = key.len() + entry.value.memory_bytes();
        Reply::Integer(bytes as i64)
    }))
}

pub(super) fn touch(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    super::keys::exists(call)
}

/// `MOVE key db`: to another database, if there is no such key.
pub(super) fn move_key(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let key = call.arg(1);
    let target = database(integer(call.arg(2))?)?;
    if target == *call.selected {
        return Err(CommandError::SameObject);
    }
    let Some(entry) = call.entry(key).cloned() else {
        return Ok(Reply::Integer(0));
    };
    if call.entry_in(target, key).is_some() {
        return Ok(Reply::Integer(0));
    }
    call.remove(key);
    call.put_entry(target, key, entry);
    call.propagate_verbatim();
    Ok(Reply::Integer(1))
}

pub(super) fn dump(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let entry = call.entry(call.arg(1));
    Ok(entry.map_or(Reply::NullBulk, |entry| {
        Reply::Bulk(dump_value(&entry.value))
    }))
}

/// The options of `RESTORE`. How recently or often a key was used is read and forgotten.
#[derive(Debug, Default)]
struct RestoreOptions {
    replace: bool,
    absolute: bool,
}

fn restore_options(args: &[Bytes]) -> Result<RestoreOptions, CommandError> {
    let mut options = RestoreOptions::default();
    let mut rest = args;
    while let Some((word, after)) = rest.split_first() {
        rest = match (&word.to_ascii_uppercase()[..], after) {
            (b"REPLACE", _) => {
                options.replace = true;
                after
            }
            (b"ABSTTL", _) => {
                options.absolute = true;
                after
            }
            (b"IDLETIME", [seconds, after @ ..]) => {
                at_least(0, seconds, "Invalid IDLETIME value, must be >= 0")?;
                after
            }
            (b"FREQ", [frequency, after @ ..]) => {
                let frequency = integer(frequency)?;
                if !(0..=255).contains(&frequency) {
                    return Err(CommandError::Refused(
                        "Invalid FREQ value, must be >= 0 and <= 255",
                    ));
                }
                after
            }
            _ => return Err(CommandError::Syntax),
        };
    }
    Ok(options)
}

/// `RESTORE key ttl payload`, propagated with the absolute deadline.
pub(super) fn restore(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (key, payload) = (call.arg(1), call.arg(3));
    let options = restore_options(&call.args[4..])?;
    if !options.replace && call.exists(key) {
        return Err(CommandError::BusyKey);
    }
    let ttl = integer(call.arg(2))?;
    let ttl =
        u64::try_from(ttl).map_err(|_| CommandError::Refused("Invalid TTL value, must be >= 0"))?;
    let value = restore_value(payload).map_err(|error| {
        CommandError::Refused(match error {
            RestoreError::Envelope => "DUMP payload version or checksum are wrong",
            RestoreError::Content => "Bad data format",
        })
    })?;
    let now_ms = call.context.now_ms;
    let deadline = match ttl {
        0 => None,
        ttl if options.absolute => Some(ttl),
        ttl => Some(now_ms.saturating_add(ttl)),
    };
    let passed = |deadline: u64| deadline < now_ms && call.context.origin != Origin::Primary;
    let existed = call.remove(key);
    if deadline.is_some_and(passed) {
        if existed {
            call.propagate(deletion(key.clone()));
        }
        return Ok(Reply::OK);
    }
    let entry = Entry::new(value).expiring(deadline);
    call.put_entry(*call.selected, key, entry);
    match deadline {
        Some(deadline) if !options.absolute => propagate_absolute(call, deadline),
        _ => call.propagate_verbatim(),
    }
    Ok(Reply::OK)
}

fn propagate_absolute(call: &mut Call<'_, '_>, deadline: u64) {
    let mut args = call.args.to_vec();
    args[2] = super::parse::text(&deadline);
    args.push(Bytes::from_static(b"ABSTTL"));
    call.propagate(args);
}
