//! Sets: everything on one set, and moving a member to another.
//!
//! What was chosen at random is propagated as what was chosen: `SPOP` as `SREM`, or `DEL` if nothing is left.

use std::collections::HashSet;

use bytes::Bytes;

use super::parse::{Chance, array, choices, count, unordered};
use super::{Call, CommandError, Reply, deletion};
use crate::keyspace::{Blob, Set};

/// Most members named in one propagated `SREM`, as in Redis.
const REMOVED_AT_ONCE: usize = 1_024;

pub(super) fn sadd(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let members = &call.args[2..];
    let added = call.edit_or_create(call.arg(1), |set: &mut Set| {
        members
            .iter()
            .filter(|member| set.insert((*member).into()))
            .count()
    })?;
    if added > 0 {
        call.propagate_verbatim();
    }
    Ok(Reply::Integer(added as i64))
}

pub(super) fn srem(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let members = &call.args[2..];
    let removed = call.edit(call.arg(1), |set: &mut Set| {
        members.iter().filter(|member| set.remove(member)).count()
    })?;
    let removed = removed.unwrap_or(0);
    if removed > 0 {
        call.propagate_verbatim();
    }
    Ok(Reply::Integer(removed as i64))
}

pub(super) fn smove(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (source, target, member) = (call.arg(1), call.arg(2), call.arg(3));
    let Some(set) = call.collection::<Set>(source)? else {
        return Ok(Reply::Integer(0));
    };
    let known: Set = call.collection(target)?.unwrap_or_default();
    let known = known.contains(member);
    let contained = set.contains(member);
    drop(set);
    if !contained || source == target {
        return Ok(Reply::Integer(contained.into()));
    }
    call.edit(source, |set: &mut Set| set.remove(member))?;
    if !known {
        call.edit_or_create(target, |set: &mut Set| set.insert(member.into()))?;
    }
    call.propagate_verbatim();
    Ok(Reply::Integer(1))
}

pub(super) fn scard(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let set: Option<Set> = call.collection(call.arg(1))?;
    Ok(Reply::Integer(set.map_or(0, |set| set.len() as i64)))
}

pub(super) fn sismember(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let set: Set = call.collection(call.arg(1))?.unwrap_or_default();
    Ok(Reply::Integer(set.contains(call.arg(2)).into()))
}

pub(super) fn smismember(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let set: Set = call.collection(call.arg(1))?.unwrap_or_default();
    let members = call.args[2..].iter();
    let found = members.map(|member| Reply::Integer(set.contains(member).into()));
    Ok(Reply::Array(found.collect()))
}

pub(super) fn smembers(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let set: Set = call.collection(call.arg(1))?.unwrap_or_default();
    Ok(unordered(set.iter()))
}

pub(super) fn spop(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let limit = match &call.args[2..] {
        [] => return pop_one(call),
        [limit] => count(limit)?,
        _ => return Err(CommandError::Syntax),
    };
    let key = call.arg(1);
    let set: Set = call.collection(key)?.unwrap_or_default();
    if limit == 0 || set.is_empty() {
        return Ok(Reply::Set(Vec::new()));
    }
    if limit >= set.len() {
        call.remove(key);
        call.propagate(deletion(key.clone()));
        return Ok(unordered(set.iter()));
    }
    let indices = Chance::of(call).distinct(limit, set.len());
    let chosen: Vec<Blob> = indices
        .into_iter()
        .filter_map(|index| set.range(index).next().cloned())
        .collect();
    drop(set);
    call.edit(key, |set: &mut Set| {
        for member in &chosen {
            set.remove(member);
        }
    })?;
    for members in chosen.chunks(REMOVED_AT_ONCE) {
        propagate_removal(call, key, members);
    }
    Ok(unordered(&chosen))
}

fn pop_one(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let key = call.arg(1);
    let seed = Chance::of(call).next();
    let popped = call.edit(key, |set: &mut Set| {
        let chosen = set.choose(seed).cloned();
        chosen.inspect(|member| _ = set.remove(member))
    })?;
    let popped = popped.flatten();
    if let Some(member) = &popped {
        propagate_removal(call, key, std::slice::from_ref(member));
    }
    Ok(Reply::stored_or_null(popped))
}

fn propagate_removal(call: &mut Call<'_, '_>, key: &Bytes, members: &[Blob]) {
    let fixed = [Bytes::from_static(b"SREM"), key.clone()];
    let members = members.iter().map(Blob::to_bytes);
    call.propagate(fixed.into_iter().chain(members).collect());
}

pub(super) fn srandmember(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let wanted = match &call.args[2..] {
        [] => None,
        [number] => Some(choices(number)?),
        _ => return Err(CommandError::Syntax),
    };
    let mut chance = Chance::of(call);
    let set: Set = call.collection(call.arg(1))?.unwrap_or_default();
    let Some((number, repeated)) = wanted else {
        return Ok(Reply::stored_or_null(set.choose(chance.next()).cloned()));
    };
    if repeated {
        let chosen = (0..number).filter_map(|_| set.choose(chance.next()));
        return Ok(array(chosen));
    }
    if number >= set.len() {
        return Ok(array(set.iter()));
    }
    let indices = chance.distinct(number, set.len());
    let chosen = indices
        .into_iter()
        .filter_map(|index| set.range(index).next());
    Ok(array(chosen))
}

/// The sets under several keys, empty ones for keys that are not there.
pub(super) fn all(call: &mut Call<'_, '_>, keys: &[Bytes]) -> Result<Vec<Set>, CommandError> {
    keys.iter()
        .map(|key| call.collection(key).map(Option::unwrap_or_default))
        .collect()
}

/// The members of the smallest set that are in all the others too.
pub(super) fn intersection(sets: &[Set]) -> impl Iterator<Item = &Blob> {
    let smallest = sets.iter().min_by_key(|set| set.len());
    let members = smallest.into_iter().flat_map(Set::iter);
    members.filter(|member| sets.iter().all(|set| set.contains(member)))
}

/// The members of any set, each once.
pub(super) fn union(sets: &[Set]) -> impl Iterator<Item = &Blob> {
    let mut seen = HashSet::new();
    let members = sets.iter().flat_map(Set::iter);
    members.filter(move |member| seen.insert(*member))
}

/// The members of the first set that are in no other.
pub(super) fn difference(sets: &[Set]) -> impl Iterator<Item = &Blob> {
    let (first, others) = sets.split_at(sets.len().min(1));
    let members = first.iter().flat_map(Set::iter);
    members.filter(|member| !others.iter().any(|set| set.contains(member)))
}
