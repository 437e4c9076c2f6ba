//! Sorted sets: adding, removing and asking for members by name; popping the first and the last.

use bytes::Bytes;

use super::list_moves::pop_count;
use super::parse::{
    Chance, PairChoices, count, float, numbered_keys, pair_choices, text, timeout_ms,
};
use super::{Call, CommandError, Reply};
use crate::keyspace::{Blob, SortedSet};

/// The first or the last members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extreme {
    Lowest,
    Highest,
}

impl Extreme {
    fn parse(word: &[u8]) -> Result<Self, CommandError> {
        match &word.to_ascii_uppercase()[..] {
            b"MIN" => Ok(Self::Lowest),
            b"MAX" => Ok(Self::Highest),
            _ => Err(CommandError::Syntax),
        }
    }

    /// The command that pops at this end of one set, as the stream carries it.
    fn command(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Lowest => b"ZPOPMIN",
            Self::Highest => b"ZPOPMAX",
        })
    }

    /// At most so many members, in the order in which they are taken.
    fn pop(self, set: &mut SortedSet, limit: usize) -> Vec<(Blob, f64)> {
        let taken = 0..limit.min(set.len());
        let rank = |set: &SortedSet| match self {
            Self::Lowest => 0,
            Self::Highest => set.len() - 1,
        };
        taken.map(|_| set.remove_at(rank(set))).collect()
    }
}

/// Members, each with its score if wanted.
pub(super) fn members_reply<'b>(
    members: impl Iterator<Item = (&'b Blob, f64)>,
    with_scores: bool,
) -> Reply {
    if with_scores {
        let members = members.map(|(member, score)| (member.clone(), score));
        Reply::Pairs(members.map(pair).collect())
    } else {
        let members = members.map(|(member, _)| Reply::Stored(member.clone()));
        Reply::Array(members.collect())
    }
}

/// The sorted set of the first argument, empty if there is none.
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<SortedSet, CommandError> {
    call.collection(call.arg(1)).map(Option::unwrap_or_default)
}

/// The options of `ZADD`.
// Independent switches of one command.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, Copy, Default)]
struct AddOptions {
    only_new: bool,
    only_known: bool,
    only_greater: bool,
    only_less: bool,
    count_changed: bool,
    increment: bool,
}

impl AddOptions {
    /// The leading options, and what comes after them.
    fn parse(mut args: &[Bytes]) -> (Self, &[Bytes]) {
        let mut options = Self::default();
        while let Some((word, rest)) = args.split_first() {
            match &word.to_ascii_uppercase()[..] {
                b"NX" => options.only_new = true,
                b"XX" => options.only_known = true,
                b"GT" => options.only_greater = true,
                b"LT" => options.only_less = true,
                b"CH" => options.count_changed = true,
                b"INCR" => options.increment = true,
                _ => break,
            }
            args = rest;
        }
        (options, args)
    }

    fn check(self, pairs: usize) -> Result<(), CommandError> {
        if self.only_new && self.only_known {
            return Err(CommandError::Refused(
                "XX and NX options at the same time are not compatible",
            ));
        }
        let ordered = self.only_greater || self.only_less;
        if ordered && self.only_new || self.only_greater && self.only_less {
            return Err(CommandError::Refused(
                "GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if self.increment && pairs > 1 {
            return Err(CommandError::Refused(
                "INCR option supports a single increment-element pair",
            ));
        }
        Ok(())
    }

    /// The score that a member gets, if it gets another one.
    fn new_score(self, current: Option<f64>, given: f64) -> Result<Option<f64>, CommandError> {
        let Some(current) = current else {
            return Ok((!self.only_known).then_some(given));
        };
        if self.only_new {
            return Ok(None);
        }
        let wanted = if self.increment {
            current + given
        } else {
            given
        };
        if wanted.is_nan() {
            return Err(CommandError::Refused(
                "resulting score is not a number (NaN)",
            ));
        }
        let refused = self.only_greater && wanted <= current || self.only_less && wanted >= current;
        Ok((!refused).then_some(wanted))
    }
}

pub(super) fn zadd(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (options, rest) = AddOptions::parse(&call.args[2..]);
    add(call, options, rest)
}

pub(super) fn zincrby(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let options = AddOptions {
        increment: true,
        ..AddOptions::default()
    };
    add(call, options, &call.args[2..])
}

fn add(
    call: &mut Call<'_, '_>,
    options: AddOptions,
    args: &[Bytes],
) -> Result<Reply, CommandError> {
    let (pairs, []) = args.as_chunks::<2>() else {
        return Err(CommandError::Syntax);
    };
    if pairs.is_empty() {
        return Err(CommandError::Syntax);
    }
    options.check(pairs.len())?;
    let scores: Vec<f64> = pairs
        .iter()
        .map(|[score, _]| float(score))
        .collect::<Result<_, _>>()?;
    let key = call.arg(1);
    if options.only_known && call.collection::<SortedSet>(key)?.is_none() {
        let nothing = Reply::Integer(0);
        return Ok(if options.increment {
            Reply::NullBulk
        } else {
            nothing
        });
    }
    let added = call.edit_or_create(key, |set: &mut SortedSet| {
        let mut added = Added::default();
        for ([_, member], given) in pairs.iter().zip(scores) {
            added.put(set, options, member, given)?;
        }
        Ok(added)
    })??;
    if added.new + added.changed > 0 {
        call.propagate_verbatim();
    }
    Ok(if options.increment {
        added.last.map_or(Reply::NullBulk, Reply::Double)
    } else if options.count_changed {
        Reply::Integer((added.new + added.changed) as i64)
    } else {
        Reply::Integer(added.new as i64)
    })
}

/// What a `ZADD` did so far.
#[derive(Debug, Default)]
struct Added {
    new: usize,
    changed: usize,
    /// The score of the last member that was not passed over.
    last: Option<f64>,
}

impl Added {
    fn put(
        &mut self,
        set: &mut SortedSet,
        options: AddOptions,
        member: &Bytes,
        given: f64,
    ) -> Result<(), CommandError> {
        let current = set.score(member);
        self.last = options.new_score(current, given)?;
        match self.last {
            // Zeros of either sign are equal: then the old one stays.
            Some(score) if current != Some(score) => {
                set.insert(member.into(), score);
                self.new += usize::from(current.is_none());
                self.changed += usize::from(current.is_some());
            }
            _ => {}
        }
        Ok(())
    }
}

pub(super) fn zrem(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let members = &call.args[2..];
    let removed = call.edit(call.arg(1), |set: &mut SortedSet| {
        members
            .iter()
            .filter(|member| set.remove(member).is_some())
            .count()
    })?;
    let removed = removed.unwrap_or(0);
    if removed > 0 {
        call.propagate_verbatim();
    }
    Ok(Reply::Integer(removed as i64))
}

pub(super) fn zcard(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    Ok(Reply::Integer(read(call)?.len() as i64))
}

pub(super) fn zscore(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let score = read(call)?.score(call.arg(2));
    Ok(score.map_or(Reply::NullBulk, Reply::Double))
}

pub(super) fn zmscore(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let set = read(call)?;
    let members = call.args[2..].iter();
    let scores = members.map(|member| set.score(member).map_or(Reply::NullBulk, Reply::Double));
    Ok(Reply::Array(scores.collect()))
}

pub(super) fn zrank(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let rank = read(call)?.rank(call.arg(2));
    Ok(rank.map_or(Reply::NullBulk, |rank| Reply::Integer(rank as i64)))
}

pub(super) fn zrevrank(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let set = read(call)?;
    let rank = set.rank(call.arg(2)).map(|rank| set.len() - 1 - rank);
    Ok(rank.map_or(Reply::NullBulk, |rank| Reply::Integer(rank as i64)))
}

pub(super) fn zpopmin(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    pop(call, Extreme::Lowest)
}

pub(super) fn zpopmax(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    pop(call, Extreme::Highest)
}

fn pop(call: &mut Call<'_, '_>, extreme: Extreme) -> Result<Reply, CommandError> {
    let limit = match &call.args[2..] {
        [] => 1,
        [limit] => count(limit)?,
        _ => return Err(CommandError::Syntax),
    };
    let popped = call.edit(call.arg(1), |set| extreme.pop(set, limit))?;
    let popped = popped.unwrap_or_default();
    if !popped.is_empty() {
        call.propagate_verbatim();
    }
    let told = popped.into_iter().map(pair);
    Ok(if call.args.len() > 2 {
        Reply::Pairs(told.collect())
    } else {
        Reply::Array(told.flat_map(|(member, score)| [member, score]).collect())
    })
}

fn pair((member, score): (Blob, f64)) -> (Reply, Reply) {
    (Reply::Stored(member), Reply::Double(score))
}

pub(super) fn bzpopmin(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    blocking_pop(call, Extreme::Lowest)
}

pub(super) fn bzpopmax(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    blocking_pop(call, Extreme::Highest)
}

fn blocking_pop(call: &mut Call<'_, '_>, extreme: Extreme) -> Result<Reply, CommandError> {
    let (timeout, keys) = call.args[1..].split_last().ok_or(CommandError::Syntax)?;
    let timeout_ms = timeout_ms(timeout)?;
    for key in call.candidates(keys) {
        let popped = call.edit(key, |set| extreme.pop(set, 1))?;
        if let Some((member, score)) = popped.and_then(|mut popped| popped.pop()) {
            call.propagate(vec![extreme.command(), key.clone()]);
            return Ok(Reply::Array(vec![
                Reply::Bulk(key.clone()),
                Reply::Stored(member),
                Reply::Double(score),
            ]));
        }
    }
    call.wait_for(keys, "zset", timeout_ms);
    Ok(Reply::NullArray)
}

pub(super) fn zmpop(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    Ok(pop_from_first(call, &call.args[1..])?.unwrap_or(Reply::NullArray))
}

pub(super) fn bzmpop(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let timeout_ms = timeout_ms(call.arg(1))?;
    if let Some(reply) = pop_from_first(call, &call.args[2..])? {
        return Ok(reply);
    }
    let (keys, _) = numbered_keys(&call.args[2..])?;
    call.wait_for(keys, "zset", timeout_ms);
    Ok(Reply::NullArray)
}

/// Takes members from the first sorted set of several that is there.
fn pop_from_first(call: &mut Call<'_, '_>, args: &[Bytes]) -> Result<Option<Reply>, CommandError> {
    let (keys, options) = numbered_keys(args)?;
    let (extreme, options) = options.split_first().ok_or(CommandError::Syntax)?;
    let extreme = Extreme::parse(extreme)?;
    let limit = pop_count(options)?;
    for key in call.candidates(keys) {
        let Some(popped) = call.edit(key, |set| extreme.pop(set, limit))? else {
            continue;
        };
        call.propagate(vec![extreme.command(), key.clone(), text(&popped.len())]);
        // Nested in RESP2 too.
        let nested = |(member, score)| Reply::Array(vec![member, score]);
        let popped = popped.into_iter().map(pair).map(nested);
        return Ok(Some(Reply::Array(vec![
            Reply::Bulk(key.clone()),
            Reply::Array(popped.collect()),
        ])));
    }
    Ok(None)
}

pub(super) fn zrandmember(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let mut chance = Chance::of(call);
    let choices = pair_choices(&call.args[2..], b"WITHSCORES")?;
    let set = read(call)?;
    let Some(PairChoices {
        number,
        repeated,
        whole,
    }) = choices
    else {
        let chosen = set.choose(chance.next());
        return Ok(Reply::stored_or_null(
            chosen.map(|(member, _)| member.clone()),
        ));
    };
    if repeated {
        let chosen = (0..number).filter_map(|_| set.choose(chance.next()));
        return Ok(members_reply(chosen, whole));
    }
    if number >= set.len() {
        return Ok(members_reply(set.iter(), whole));
    }
    let ranks = chance.distinct(number, set.len()).into_iter();
    let chosen = ranks.filter_map(|rank| set.range(rank, rank + 1).next());
    Ok(members_reply(chosen, whole))
}
