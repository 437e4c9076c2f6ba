//! Intersections, unions and differences of sets.

use bytes::Bytes;

use super::parse::{at_least, unordered};
use super::{Call, CommandError, Reply, sets};
use crate::keyspace::{Collection, Set};

pub(super) fn sinter(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let sets = sets::all(call, &call.args[1..])?;
    Ok(unordered(sets::intersection(&sets)))
}

pub(super) fn sunion(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let sets = sets::all(call, &call.args[1..])?;
    Ok(unordered(sets::union(&sets)))
}

pub(super) fn sdiff(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let sets = sets::all(call, &call.args[1..])?;
    Ok(unordered(sets::difference(&sets)))
}

pub(super) fn sinterstore(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let sets = sets::all(call, &call.args[2..])?;
    let result = sets::intersection(&sets).cloned().collect();
    Ok(store(call, result))
}

pub(super) fn sunionstore(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let sets = sets::all(call, &call.args[2..])?;
    let result = sets.iter().flat_map(Set::iter).cloned().collect();
    Ok(store(call, result))
}

pub(super) fn sdiffstore(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let sets = sets::all(call, &call.args[2..])?;
    let result = sets::difference(&sets).cloned().collect();
    Ok(store(call, result))
}

/// Puts a result in the place of the first key. If it is empty, that is the absence of the key.
fn store(call: &mut Call<'_, '_>, result: Set) -> Reply {
    let length = result.len();
    call.put_result(call.arg(1), result);
    Reply::Integer(length as i64)
}

pub(super) fn sintercard(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (keys, options) = keys_and_options(&call.args[1..])?;
    let limit = cardinality_limit(options)?;
    let sets = sets::all(call, keys)?;
    let counted = sets::intersection(&sets).take(limit).count();
    Ok(Reply::Integer(counted as i64))
}

/// The keys after their number, where too large a number has an error of its own.
pub(super) fn keys_and_options(args: &[Bytes]) -> Result<(&[Bytes], &[Bytes]), CommandError> {
    let (number, rest) = args.split_first().ok_or(CommandError::Syntax)?;
    let number = at_least(1, number, "numkeys should be greater than 0")?;
    rest.split_at_checked(number).ok_or(CommandError::Refused(
        "Number of keys can't be greater than number of args",
    ))
}

/// The option `LIMIT` of the commands that only count; 0 is none.
pub(super) fn cardinality_limit(options: &[Bytes]) -> Result<usize, CommandError> {
    match options {
        [] => Ok(usize::MAX),
        [name, number] if name.eq_ignore_ascii_case(b"LIMIT") => {
            let limit = at_least(0, number, "LIMIT can't be negative")?;
            Ok(if limit == 0 { usize::MAX } else { limit })
        }
        _ => Err(CommandError::Syntax),
    }
}

impl Call<'_, '_> {
    /// Puts a result in the place of whatever a key held, and propagates the command if that changed anything.
    pub(super) fn put_result(&mut self, key: &Bytes, result: impl Collection) {
        let existed = self.exists(key);
        let result = result.into_value();
        let empty = result.is_empty_collection();
        self.put(key, result);
        if existed || !empty {
            self.propagate_verbatim();
        }
    }
}
