//! Strings as sequences of bits: `SETBIT`, `GETBIT`, `BITCOUNT`, `BITPOS`, `BITOP`.

use bytes::Bytes;

use super::parse::{from_end, index_range, integer};
use super::ranges::check_length;
use super::{Call, CommandError, Reply};
use crate::keyspace::{Blob, Value};

const BITS: usize = 8;

/// A position of a bit, within the longest string.
fn bit_offset(call: &Call<'_, '_>, text: &[u8]) -> Result<(usize, u8), CommandError> {
    let words = "bit offset is not an integer or out of range";
    let offset = crate::resp::parse_integer(text)
        .and_then(|offset| usize::try_from(offset).ok())
        .filter(|offset| offset / BITS < call.context.longest_string_bytes)
        .ok_or(CommandError::Refused(words))?;
    Ok((offset / BITS, 0x80 >> (offset % BITS)))
}

pub(super) fn setbit(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (byte, mask) = bit_offset(call, call.arg(2))?;
    let on = match &call.arg(3)[..] {
        b"0" => false,
        b"1" => true,
        _ => {
            return Err(CommandError::Refused(
                "bit is not an integer or out of range",
            ));
        }
    };
    call.string(call.arg(1))?;
    check_length(call, byte + 1)?;
    let before = call.edit_string(call.arg(1), |bytes| {
        bytes.resize(bytes.len().max(byte + 1), 0);
        let before = bytes[byte] & mask != 0;
        bytes[byte] = if on {
            bytes[byte] | mask
        } else {
            bytes[byte] & !mask
        };
        before
    })?;
    call.propagate_verbatim();
    Ok(Reply::Integer(before.into()))
}

pub(super) fn getbit(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (byte, mask) = bit_offset(call, call.arg(2))?;
    let bytes = call.string(call.arg(1))?.unwrap_or(Blob::EMPTY);
    let set = bytes.get(byte).is_some_and(|byte| byte & mask != 0);
    Ok(Reply::Integer(set.into()))
}

/// A range of bits: the half-open range of positions.
fn bit_range(args: &[Bytes], len: usize) -> Result<(usize, usize), CommandError> {
    let in_bits = |unit: &[u8]| match &unit.to_ascii_uppercase()[..] {
        b"BIT" => Ok(true),
        b"BYTE" => Ok(false),
        _ => Err(CommandError::Syntax),
    };
    let (start, stop, bits) = match args {
        [] => (0, -1, false),
        [start] => (integer(start)?, -1, false),
        [start, stop] => (integer(start)?, integer(stop)?, false),
        [start, stop, unit] => (integer(start)?, integer(stop)?, in_bits(unit)?),
        _ => return Err(CommandError::Syntax),
    };
    let scale = if bits { 1 } else { BITS };
    let units = len * BITS / scale;
    // Unlike elsewhere, an end before the beginning means the beginning.
    let stop = from_end(stop, units).max(0);
    let (start, end) = index_range(start, stop, units);
    Ok((start * scale, end * scale))
}

fn is_set(bytes: &[u8], at: usize) -> bool {
    bytes[at / BITS] & (0x80 >> (at % BITS)) != 0
}

pub(super) fn bitcount(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    if call.args.len() == 3 {
        return Err(CommandError::Syntax);
    }
    let bytes = call.string(call.arg(1))?.unwrap_or(Blob::EMPTY);
    let (start, end) = bit_range(&call.args[2..], bytes.len())?;
    if let [start, stop, ..] = &call.args[2..]
        && integer(stop)? < 0
        && integer(start)? < 0
        && integer(start)? > integer(stop)?
    {
        return Ok(Reply::Integer(0));
    }
    // Whole bytes at once; single bits only at the edges.
    let (first, last) = (start.div_ceil(BITS), end / BITS);
    let count = if first <= last {
        let whole: u32 = bytes[first..last]
            .iter()
            .map(|byte| byte.count_ones())
            .sum();
        let edges = (start..first * BITS).chain(last * BITS..end);
        whole as usize + edges.filter(|at| is_set(&bytes, *at)).count()
    } else {
        (start..end).filter(|at| is_set(&bytes, *at)).count()
    };
    Ok(Reply::Integer(count as i64))
}

pub(super) fn bitpos(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let wanted = match &call.arg(2)[..] {
        b"0" => false,
        b"1" => true,
        _ => return Err(CommandError::Refused("The bit argument must be 1 or 0.")),
    };
    let Some(bytes) = call.string(call.arg(1))? else {
        return Ok(Reply::Integer(if wanted { -1 } else { 0 }));
    };
    let (start, end) = bit_range(&call.args[3..], bytes.len())?;
    let found = (start..end).find(|at| is_set(&bytes, *at) == wanted);
    let open_ended = call.args.len() < 5 && end == bytes.len() * BITS;
    Ok(Reply::Integer(match found {
        Some(at) => at as i64,
        // The string counts as followed by zeros, if its end was not given.
        None if !wanted && open_ended && start < end => end as i64,
        None => -1,
    }))
}

pub(super) fn bitop(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (target, sources) = (call.arg(2), &call.args[3..]);
    let operation: fn(u8, u8) -> u8 = match &call.arg(1).to_ascii_uppercase()[..] {
        b"AND" => |one, other| one & other,
        b"OR" => |one, other| one | other,
        b"XOR" => |one, other| one ^ other,
        b"NOT" if sources.len() == 1 => |one, _| !one,
        b"NOT" => {
            return Err(CommandError::Refused(
                "BITOP NOT must be called with a single source key.",
            ));
        }
        _ => return Err(CommandError::Syntax),
    };
    let sources: Vec<Blob> = sources
        .iter()
        .map(|key| call.string(key).map(|bytes| bytes.unwrap_or(Blob::EMPTY)))
        .collect::<Result<_, _>>()?;
    let length = sources.iter().map(|bytes| bytes.len()).max().unwrap_or(0);
    let at = |bytes: &Blob, index: usize| bytes.get(index).copied().unwrap_or(0);
    let combine = |index| {
        let mut bytes = sources.iter().map(|bytes| at(bytes, index));
        let first = bytes.next().unwrap_or(0);
        if sources.len() == 1 {
            operation(first, first)
        } else {
            bytes.fold(first, operation)
        }
    };
    let result: Vec<u8> = (0..length).map(combine).collect();
    if result.is_empty() {
        if call.exists(target) {
            call.remove(target);
            call.propagate(super::deletion(target.clone()));
        }
    } else {
        let entry = crate::keyspace::Entry::new(Value::String(result.into()));
        call.put_entry(*call.selected, target, entry);
        call.propagate_verbatim();
    }
    Ok(Reply::Integer(length as i64))
}
