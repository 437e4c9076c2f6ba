//! Lists: everything on one list that does not wait.

use super::parse::{array, at_least, count, from_end, index_range, integer};
use super::{Call, CommandError, Reply};
use crate::keyspace::{Blob, List};

/// An end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Head,
    Tail,
}

impl End {
    /// `LEFT` or `RIGHT`.
    pub(super) fn parse(word: &[u8]) -> Result<Self, CommandError> {
        match &word.to_ascii_uppercase()[..] {
            b"LEFT" => Ok(Self::Head),
            b"RIGHT" => Ok(Self::Tail),
            _ => Err(CommandError::Syntax),
        }
    }

    pub(super) fn push(self, list: &mut List, element: Blob) {
        match self {
            Self::Head => list.push_front(element),
            Self::Tail => list.push_back(element),
        }
    }

    pub(super) fn pop(self, list: &mut List) -> Option<Blob> {
        match self {
            Self::Head => list.pop_front(),
            Self::Tail => list.pop_back(),
        }
    }

    /// At most so many elements, in the order in which they are taken.
    pub(super) fn pop_many(self, list: &mut List, limit: usize) -> Vec<Blob> {
        let taken = limit.min(list.len());
        (0..taken).filter_map(|_| self.pop(list)).collect()
    }
}

pub(super) fn lpush(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    push(call, End::Head)
}

pub(super) fn rpush(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    push(call, End::Tail)
}

pub(super) fn lpushx(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    push_if_present(call, End::Head)
}

pub(super) fn rpushx(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    push_if_present(call, End::Tail)
}

fn push(call: &mut Call<'_, '_>, end: End) -> Result<Reply, CommandError> {
    let elements = &call.args[2..];
    let length = call.edit_or_create(call.arg(1), |list: &mut List| {
        for element in elements {
            end.push(list, element.into());
        }
        list.len()
    })?;
    call.propagate_verbatim();
    Ok(Reply::Integer(length as i64))
}

fn push_if_present(call: &mut Call<'_, '_>, end: End) -> Result<Reply, CommandError> {
    if call.collection::<List>(call.arg(1))?.is_none() {
        return Ok(Reply::Integer(0));
    }
    push(call, end)
}

pub(super) fn lpop(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    pop(call, End::Head, "lpop")
}

pub(super) fn rpop(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    pop(call, End::Tail, "rpop")
}

fn pop(call: &mut Call<'_, '_>, end: End, name: &'static str) -> Result<Reply, CommandError> {
    let limit = match &call.args[2..] {
        [] => None,
        [limit] => Some(count(limit)?),
        _ => return Err(CommandError::WrongArity { name }),
    };
    let key = call.arg(1);
    let popped = call.edit(key, |list: &mut List| {
        end.pop_many(list, limit.unwrap_or(1))
    })?;
    let reply = match (&popped, limit) {
        (None, None) => Reply::NullBulk,
        (None, Some(_)) => Reply::NullArray,
        (Some(elements), None) => Reply::stored_or_null(elements.first().cloned()),
        (Some(elements), Some(_)) => array(elements),
    };
    if popped.is_some_and(|elements| !elements.is_empty()) {
        call.propagate_verbatim();
    }
    Ok(reply)
}

pub(super) fn llen(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let list: Option<List> = call.collection(call.arg(1))?;
    Ok(Reply::Integer(list.map_or(0, |list| list.len() as i64)))
}

pub(super) fn lindex(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let Some(list) = call.collection::<List>(call.arg(1))? else {
        return Ok(Reply::NullBulk);
    };
    let index = from_end(integer(call.arg(2))?, list.len());
    let index = usize::try_from(index).ok();
    let element = index.and_then(|index| list.get(index)).cloned();
    Ok(Reply::stored_or_null(element))
}

pub(super) fn lset(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (key, element) = (call.arg(1), call.arg(3));
    let list = call
        .collection::<List>(key)?
        .ok_or(CommandError::NoSuchKey)?;
    let index = from_end(integer(call.arg(2))?, list.len());
    let index = usize::try_from(index)
        .ok()
        .filter(|index| *index < list.len())
        .ok_or(CommandError::Refused("index out of range"))?;
    drop(list);
    call.edit(key, |list: &mut List| list.replace(index, element.into()))?;
    call.propagate_verbatim();
    Ok(Reply::OK)
}

pub(super) fn linsert(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (key, pivot, element) = (call.arg(1), call.arg(3), call.arg(4));
    let after = match &call.arg(2).to_ascii_uppercase()[..] {
        b"BEFORE" => 0,
        b"AFTER" => 1,
        _ => return Err(CommandError::Syntax),
    };
    let Some(list) = call.collection::<List>(key)? else {
        return Ok(Reply::Integer(0));
    };
    let Some(index) = list.iter().position(|found| **found == **pivot) else {
        return Ok(Reply::Integer(-1));
    };
    let length = list.len() + 1;
    drop(list);
    call.edit(key, |list: &mut List| {
        list.insert(index + after, element.into());
    })?;
    call.propagate_verbatim();
    Ok(Reply::Integer(length as i64))
}

pub(super) fn lrange(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (start, stop) = (integer(call.arg(2))?, integer(call.arg(3))?);
    let list: List = call.collection(call.arg(1))?.unwrap_or_default();
    let (start, end) = index_range(start, stop, list.len());
    Ok(array(list.range(start, end)))
}

pub(super) fn ltrim(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (start, stop) = (integer(call.arg(2))?, integer(call.arg(3))?);
    let removed = call.edit(call.arg(1), |list: &mut List| {
        let before = list.len();
        let (start, end) = index_range(start, stop, before);
        End::Tail.pop_many(list, before - end);
        End::Head.pop_many(list, start);
        before - list.len()
    })?;
    if removed.is_some_and(|removed| removed > 0) {
        call.propagate_verbatim();
    }
    Ok(Reply::OK)
}

pub(super) fn lrem(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (key, wanted) = (call.arg(1), call.arg(3));
    let number = integer(call.arg(2))?;
    let Some(list) = call.collection::<List>(key)? else {
        return Ok(Reply::Integer(0));
    };
    let limit = match number.unsigned_abs() {
        0 => usize::MAX,
        limit => limit as usize,
    };
    let matching = (0..list.len()).zip(list.iter());
    let matching = matching.filter(|(_, element)| ***element == **wanted);
    let mut indices: Vec<usize> = if number < 0 {
        matching.map(|(index, _)| index).rev().take(limit).collect()
    } else {
        matching.map(|(index, _)| index).take(limit).collect()
    };
    indices.sort_unstable();
    drop(list);
    if !indices.is_empty() {
        call.edit(key, |list: &mut List| {
            // From the end, so that the indices before stay right.
            for index in indices.iter().rev() {
                list.remove(*index);
            }
        })?;
        call.propagate_verbatim();
    }
    Ok(Reply::Integer(indices.len() as i64))
}

/// What `LPOS` was asked for.
struct PositionOptions {
    /// From the tail instead of the head.
    backwards: bool,
    /// Matches to pass over.
    skipped: usize,
    /// Most matches to tell; `None` for the first one alone, 0 for all.
    count: Option<usize>,
    /// Most elements to look at; 0 for all.
    longest: usize,
}

pub(super) fn lpos(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let options = position_options(&call.args[3..])?;
    let wanted = call.arg(2);
    let Some(list) = call.collection::<List>(call.arg(1))? else {
        return Ok(match options.count {
            Some(_) => Reply::Array(Vec::new()),
            None => Reply::NullBulk,
        });
    };
    let limit = |number: usize| if number == 0 { usize::MAX } else { number };
    let looked_at = limit(options.longest);
    let matches = |(index, element): (usize, &Blob)| (**element == **wanted).then_some(index);
    let elements = (0..list.len()).zip(list.iter());
    let told = limit(options.count.unwrap_or(1));
    let found: Vec<Reply> = if options.backwards {
        let found = elements.rev().take(looked_at).filter_map(matches);
        found
            .skip(options.skipped)
            .take(told)
            .map(index_reply)
            .collect()
    } else {
        let found = elements.take(looked_at).filter_map(matches);
        found
            .skip(options.skipped)
            .take(told)
            .map(index_reply)
            .collect()
    };
    Ok(match options.count {
        Some(_) => Reply::Array(found),
        None => found.into_iter().next().unwrap_or(Reply::NullBulk),
    })
}

fn index_reply(index: usize) -> Reply {
    Reply::Integer(index as i64)
}

fn position_options(args: &[bytes::Bytes]) -> Result<PositionOptions, CommandError> {
    let mut options = PositionOptions {
        backwards: false,
        skipped: 0,
        count: None,
        longest: 0,
    };
    let (pairs, rest) = args.as_chunks();
    for [name, value] in pairs {
        match &name.to_ascii_uppercase()[..] {
            b"RANK" => {
                let rank = integer(value)?;
                let skipped = rank.unsigned_abs().checked_sub(1).ok_or(CommandError::Refused(
                    "RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
                     or use negative to start from the end of the list",
                ))?;
                if rank == i64::MIN {
                    return Err(CommandError::Refused(
                        "value is out of range, value must between -9223372036854775807 and 9223372036854775807",
                    ));
                }
                (options.backwards, options.skipped) = (rank < 0, skipped as usize);
            }
            b"COUNT" => options.count = Some(at_least(0, value, "COUNT can't be negative")?),
            b"MAXLEN" => options.longest = at_least(0, value, "MAXLEN can't be negative")?,
            _ => return Err(CommandError::Syntax),
        }
    }
    if rest.is_empty() {
        Ok(options)
    } else {
        Err(CommandError::Syntax)
    }
}
