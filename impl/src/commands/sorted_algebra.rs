//! Unions, intersections and differences of sorted sets, among which a set counts as one with scores of 1.

use bytes::Bytes;

use super::parse::integer;
use super::set_algebra::cardinality_limit;
use super::sorted_sets::members_reply;
use super::{Call, CommandError, Reply};
use crate::keyspace::{Blob, Set, SortedSet, Value};
use crate::numbers::parse_float;

/// What is made of several inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What is made of the scores of a member in several inputs.
#[derive(Debug, Clone, Copy, Default)]
enum Aggregate {
    #[default]
    Sum,
    Least,
    Greatest,
}

impl Aggregate {
    /// Of equal ones, such as zeros of either sign, the first stays.
    fn of(self, one: f64, other: f64) -> f64 {
        match self {
            Self::Sum => not_nan(one + other),
            Self::Least if other < one => other,
            Self::Greatest if other > one => other,
            Self::Least | Self::Greatest => one,
        }
    }
}

/// Zero in the place of what is no number: infinity less infinity, or infinity times nothing.
fn not_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

#[derive(Debug)]
enum Members {
    Plain(Set),
    Sorted(SortedSet),
}

/// One of the sets, and what its scores are multiplied with.
#[derive(Debug)]
struct Input {
    members: Members,
    weight: f64,
}

impl Input {
    fn read(call: &mut Call<'_, '_>, key: &Bytes) -> Result<Self, CommandError> {
        let members = match call.entry(key).map(|entry| &entry.value) {
            None => Members::Plain(Set::default()),
            Some(Value::Set(set)) => Members::Plain(set.clone()),
            Some(Value::SortedSet(set)) => Members::Sorted(set.clone()),
            Some(_) => return Err(CommandError::WrongType),
        };
        let weight = 1.0;
        Ok(Self { members, weight })
    }

    fn len(&self) -> usize {
        match &self.members {
            Members::Plain(set) => set.len(),
            Members::Sorted(set) => set.len(),
        }
    }

    /// The weighted score of a member.
    fn score(&self, member: &[u8]) -> Option<f64> {
        let score = match &self.members {
            Members::Plain(set) => set.contains(member).then_some(1.0),
            Members::Sorted(set) => set.score(member),
        };
        score.map(|score| not_nan(score * self.weight))
    }

    /// All members with their weighted scores.
    fn iter(&self) -> Box<dyn Iterator<Item = (&Blob, f64)> + '_> {
        let weighted = |score: f64| not_nan(score * self.weight);
        match &self.members {
            Members::Plain(set) => Box::new(set.iter().map(move |member| (member, weighted(1.0)))),
            Members::Sorted(set) => Box::new(
                set.iter()
                    .map(move |(member, score)| (member, weighted(score))),
            ),
        }
    }
}

/// What one command of the family asks for.
struct Query {
    operation: Operation,
    inputs: Vec<Input>,
    aggregate: Aggregate,
}

impl Query {
    /// The inputs after their number, and the arguments after them.
    fn parse<'a>(
        call: &mut Call<'_, '_>,
        operation: Operation,
        args: &'a [Bytes],
        name: &'static str,
    ) -> Result<(Self, &'a [Bytes]), CommandError> {
        let (number, rest) = args.split_first().ok_or(CommandError::Syntax)?;
        let number = usize::try_from(integer(number)?).unwrap_or(0);
        if number == 0 {
            return Err(CommandError::NoInputKeys { name });
        }
        let (keys, rest) = rest.split_at_checked(number).ok_or(CommandError::Syntax)?;
        let inputs: Result<_, _> = keys.iter().map(|key| Input::read(call, key)).collect();
        let query = Self {
            operation,
            inputs: inputs?,
            aggregate: Aggregate::default(),
        };
        Ok((query, rest))
    }

    /// Reads the options and says whether scores are wanted.
    fn options(&mut self, args: &[Bytes], stores: bool) -> Result<bool, CommandError> {
        let mut with_scores = false;
        let mut rest = args;
        while let Some((word, after)) = rest.split_first() {
            let weighted = self.operation != Operation::Difference;
            rest = match &word.to_ascii_uppercase()[..] {
                b"WEIGHTS" if weighted => self.weights(after)?,
                b"AGGREGATE" if weighted => self.aggregate(after)?,
                b"WITHSCORES" if !stores => {
                    with_scores = true;
                    after
                }
                _ => return Err(CommandError::Syntax),
            };
        }
        Ok(with_scores)
    }

    fn weights<'a>(&mut self, args: &'a [Bytes]) -> Result<&'a [Bytes], CommandError> {
        let number = self.inputs.len();
        let (weights, rest) = args.split_at_checked(number).ok_or(CommandError::Syntax)?;
        for (input, weight) in self.inputs.iter_mut().zip(weights) {
            input.weight =
                parse_float(weight).ok_or(CommandError::Refused("weight value is not a float"))?;
        }
        Ok(rest)
    }

    fn aggregate<'a>(&mut self, args: &'a [Bytes]) -> Result<&'a [Bytes], CommandError> {
        let (word, rest) = args.split_first().ok_or(CommandError::Syntax)?;
        self.aggregate = match &word.to_ascii_uppercase()[..] {
            b"SUM" => Aggregate::Sum,
            b"MIN" => Aggregate::Least,
            b"MAX" => Aggregate::Greatest,
            _ => return Err(CommandError::Syntax),
        };
        Ok(rest)
    }

    fn result(mut self) -> SortedSet {
        if self.operation != Operation::Difference {
            // Sums of many scores depend on their order; this is Redis's.
            self.inputs.sort_by_key(Input::len);
        }
        match self.operation {
            Operation::Union => self.union(),
            Operation::Intersection => self.intersection().collect(),
            Operation::Difference => self.difference(),
        }
    }

    fn union(&self) -> SortedSet {
        let mut result = SortedSet::default();
        for (member, score) in self.inputs.iter().flat_map(Input::iter) {
            let sum = match result.score(member) {
                Some(other) => self.aggregate.of(other, score),
                None => score,
            };
            result.insert(member.clone(), sum);
        }
        result
    }

    fn intersection(&self) -> impl Iterator<Item = (&Blob, f64)> {
        let (first, others) = self.inputs.split_at(1);
        let members = first.iter().flat_map(Input::iter);
        members.filter_map(|(member, score)| {
            let mut scores = others.iter().map(|other| other.score(member));
            let sum = scores.try_fold(score, |sum, score| Some(self.aggregate.of(sum, score?)));
            sum.map(|sum| (member, sum))
        })
    }

    fn difference(&self) -> SortedSet {
        let (first, others) = self.inputs.split_at(1);
        let members = first.iter().flat_map(Input::iter);
        let alone = |member: &[u8]| others.iter().all(|other| other.score(member).is_none());
        members.filter(|(member, _)| alone(member)).collect()
    }
}

fn tell(
    call: &mut Call<'_, '_>,
    operation: Operation,
    name: &'static str,
) -> Result<Reply, CommandError> {
    let (mut query, rest) = Query::parse(call, operation, &call.args[1..], name)?;
    let with_scores = query.options(rest, false)?;
    Ok(members_reply(query.result().iter(), with_scores))
}

fn store(
    call: &mut Call<'_, '_>,
    operation: Operation,
    name: &'static str,
) -> Result<Reply, CommandError> {
    let (mut query, rest) = Query::parse(call, operation, &call.args[2..], name)?;
    query.options(rest, true)?;
    let result = query.result();
    let length = result.len();
    call.put_result(call.arg(1), result);
    Ok(Reply::Integer(length as i64))
}

pub(super) fn zunion(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    tell(call, Operation::Union, "zunion")
}

pub(super) fn zinter(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    tell(call, Operation::Intersection, "zinter")
}

pub(super) fn zdiff(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    tell(call, Operation::Difference, "zdiff")
}

pub(super) fn zunionstore(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    store(call, Operation::Union, "zunionstore")
}

pub(super) fn zinterstore(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    store(call, Operation::Intersection, "zinterstore")
}

pub(super) fn zdiffstore(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    store(call, Operation::Difference, "zdiffstore")
}

pub(super) fn zintercard(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let args = &call.args[1..];
    let (mut query, rest) = Query::parse(call, Operation::Intersection, args, "zintercard")?;
    let limit = cardinality_limit(rest)?;
    query.inputs.sort_by_key(Input::len);
    Ok(Reply::Integer(
        query.intersection().take(limit).count() as i64
    ))
}
