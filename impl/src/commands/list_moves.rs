//! Taking elements from lists, moving them between lists, and waiting for them.
//!
//! A command that waits is propagated as what it did in the end: `BLPOP` as `LPOP`, `BLMOVE` as `LMOVE`.

use bytes::Bytes;

use super::lists::End;
use super::parse::{array, at_least, numbered_keys, text, timeout_ms};
use super::{Call, CommandError, Reply, Wait};
use crate::keyspace::{Blob, List};

pub(super) fn rpoplpush(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let moved = move_element(call, End::Tail, End::Head)?;
    if moved.is_some() {
        call.propagate_verbatim();
    }
    Ok(Reply::stored_or_null(moved))
}

pub(super) fn lmove(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let moved = move_element(call, End::parse(call.arg(3))?, End::parse(call.arg(4))?)?;
    if moved.is_some() {
        call.propagate_verbatim();
    }
    Ok(Reply::stored_or_null(moved))
}

pub(super) fn brpoplpush(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let timeout_ms = timeout_ms(call.arg(3))?;
    let Some(moved) = move_element(call, End::Tail, End::Head)? else {
        call.wait_for(&call.args[1..2], "list", timeout_ms);
        return Ok(Reply::NullBulk);
    };
    call.propagate_renamed(b"RPOPLPUSH", 1..3);
    Ok(Reply::Stored(moved))
}

pub(super) fn blmove(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (from, to) = (End::parse(call.arg(3))?, End::parse(call.arg(4))?);
    let timeout_ms = timeout_ms(call.arg(5))?;
    let Some(moved) = move_element(call, from, to)? else {
        call.wait_for(&call.args[1..2], "list", timeout_ms);
        return Ok(Reply::NullBulk);
    };
    call.propagate_renamed(b"LMOVE", 1..5);
    Ok(Reply::Stored(moved))
}

/// Moves one element from the list of the first argument to that of the second, which may be the same.
fn move_element(call: &mut Call<'_, '_>, from: End, to: End) -> Result<Option<Blob>, CommandError> {
    let (source, target) = (call.arg(1), call.arg(2));
    if call.collection::<List>(source)?.is_none() {
        return Ok(None);
    }
    // Looked at before anything is taken, so that an error changes nothing.
    call.collection::<List>(target)?;
    if source == target {
        return call
            .edit(source, |list: &mut List| {
                let element = from.pop(list);
                if let Some(element) = &element {
                    to.push(list, element.clone());
                }
                element
            })
            .map(Option::flatten);
    }
    let element = call.edit(source, |list| from.pop(list))?.flatten();
    if let Some(element) = &element {
        call.edit_or_create(target, |list| to.push(list, element.clone()))?;
    }
    Ok(element)
}

pub(super) fn blpop(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    blocking_pop(call, End::Head)
}

pub(super) fn brpop(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    blocking_pop(call, End::Tail)
}

fn blocking_pop(call: &mut Call<'_, '_>, end: End) -> Result<Reply, CommandError> {
    let (timeout, keys) = call.args[1..].split_last().ok_or(CommandError::Syntax)?;
    let timeout_ms = timeout_ms(timeout)?;
    for key in call.candidates(keys) {
        if let Some(Some(element)) = call.edit(key, |list| end.pop(list))? {
            call.propagate(vec![pop_name(end), key.clone()]);
            return Ok(Reply::Array(vec![
                Reply::Bulk(key.clone()),
                Reply::Stored(element),
            ]));
        }
    }
    call.wait_for(keys, "list", timeout_ms);
    Ok(Reply::NullArray)
}

fn pop_name(end: End) -> Bytes {
    Bytes::from_static(match end {
        End::Head => b"LPOP",
        End::Tail => b"RPOP",
    })
}

pub(super) fn lmpop(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    Ok(pop_from_first(call, &call.args[1..])?.unwrap_or(Reply::NullArray))
}

pub(super) fn blmpop(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let timeout_ms = timeout_ms(call.arg(1))?;
    if let Some(reply) = pop_from_first(call, &call.args[2..])? {
        return Ok(reply);
    }
    let (keys, _) = numbered_keys(&call.args[2..])?;
    call.wait_for(keys, "list", timeout_ms);
    Ok(Reply::NullArray)
}

/// Takes elements from the first list of several that is there.
fn pop_from_first(call: &mut Call<'_, '_>, args: &[Bytes]) -> Result<Option<Reply>, CommandError> {
    let (keys, options) = numbered_keys(args)?;
    let (end, options) = options.split_first().ok_or(CommandError::Syntax)?;
    let end = End::parse(end)?;
    let limit = pop_count(options)?;
    for key in call.candidates(keys) {
        let popped = call.edit(key, |list| end.pop_many(list, limit))?;
        if let Some(elements) = popped {
            call.propagate(vec![pop_name(end), key.clone(), text(&elements.len())]);
            return Ok(Some(Reply::Array(vec![
                Reply::Bulk(key.clone()),
                array(&elements),
            ])));
        }
    }
    Ok(None)
}

/// The option `COUNT` of the commands that pop from the first of several keys; 1 without it.
pub(super) fn pop_count(options: &[Bytes]) -> Result<usize, CommandError> {
    match options {
        [] => Ok(1),
        [name, number] if name.eq_ignore_ascii_case(b"COUNT") => {
            at_least(1, number, "count should be greater than 0")
        }
        _ => Err(CommandError::Syntax),
    }
}

impl Call<'_, '_> {
    /// The keys to try: all, or the one that the command was woken for.
    pub(super) fn candidates<'k>(&self, keys: &'k [Bytes]) -> Vec<&'k Bytes> {
        let tried = |key: &&Bytes| self.only_key.is_none_or(|only| only == *key);
        keys.iter().filter(tried).collect()
    }

    /// Says what the command would wait for.
    pub(super) fn wait_for(
        &mut self,
        keys: &[Bytes],
        type_name: &'static str,
        timeout_ms: Option<u64>,
    ) {
        self.wait = Some(Wait {
            keys: keys.to_vec(),
            type_name,
            timeout_ms,
        });
    }

    /// Propagates some of the arguments under another name.
    pub(super) fn propagate_renamed(
        &mut self,
        name: &'static [u8],
        arguments: std::ops::Range<usize>,
    ) {
        let name = std::iter::once(Bytes::from_static(name));
        self.propagate(name.chain(self.args[arguments].iter().cloned()).collect());
    }
}
