//! `SORT`: the elements of a list, a set or a sorted set, ordered by themselves or by what other keys say.

use std::cmp::Ordering;

use bytes::Bytes;

use super::parse::integer;
use super::{Call, CommandError, Reply};
use crate::keyspace::{Blob, Hash, List, Value};
use crate::numbers::parse_float;

/// What one `SORT` asks for.
#[derive(Debug, Default)]
struct Query<'a> {
    by: Option<&'a Bytes>,
    get: Vec<&'a Bytes>,
    limit: Option<(i64, i64)>,
    descending: bool,
    alphabetic: bool,
    store: Option<&'a Bytes>,
}

impl<'a> Query<'a> {
    fn parse(args: &'a [Bytes], may_store: bool) -> Result<Self, CommandError> {
        let mut query = Self::default();
        let mut rest = args;
        while let Some((word, after)) = rest.split_first() {
            rest = after;
            match (&word.to_ascii_uppercase()[..], after) {
                (b"ASC", _) => query.descending = false,
                (b"DESC", _) => query.descending = true,
                (b"ALPHA", _) => query.alphabetic = true,
                (b"LIMIT", [offset, count, after @ ..]) => {
                    query.limit = Some((integer(offset)?, integer(count)?));
                    rest = after;
                }
                (b"STORE", [key, after @ ..]) if may_store => {
                    query.store = Some(key);
                    rest = after;
                }
                (b"BY", [pattern, after @ ..]) => {
                    query.by = Some(pattern);
                    rest = after;
                }
                (b"GET", [pattern, after @ ..]) => {
                    query.get.push(pattern);
                    rest = after;
                }
                _ => return Err(CommandError::Syntax),
            }
        }
        Ok(query)
    }

    /// A pattern without `*` is the same for every element: there is nothing to sort by.
    fn sorts(&self) -> bool {
        self.by.is_none_or(|pattern| pattern.contains(&b'*'))
    }

    /// The part of `len` elements that is wanted.
    fn range(&self, len: usize) -> (usize, usize) {
        let Some((offset, count)) = self.limit else {
            return (0, len);
        };
        let start = offset.clamp(0, len as i64) as usize;
        let count = usize::try_from(count).unwrap_or(len);
        (start, start.saturating_add(count).min(len))
    }
}

/// What an element is compared by.
#[derive(Debug)]
enum Weight {
    Number(f64),
    /// Absent ones come first.
    Text(Option<Blob>),
}

impl Weight {
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => one.total_cmp(other),
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            _ => Ordering::Equal,
        }
    }
}

pub(super) fn sort(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    run(call, true)
}

pub(super) fn sort_ro(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    run(call, false)
}

fn run(call: &mut Call<'_, '_>, may_store: bool) -> Result<Reply, CommandError> {
    let query = Query::parse(&call.args[2..], may_store)?;
    let (elements, is_set) = elements(call, &query)?;
    // A stored result must not depend on the order in which a set happens to be kept.
    let force = !query.sorts() && is_set && query.store.is_some();
    let elements = if query.sorts() || force {
        sorted(call, &query, elements, force)?
    } else {
        elements
    };
    let (start, end) = query.range(elements.len());
    let told: Vec<Option<Blob>> = elements[start..end]
        .iter()
        .flat_map(|element| columns(call, &query, element))
        .collect();
    let Some(target) = query.store else {
        return Ok(Reply::Array(
            told.into_iter().map(Reply::stored_or_null).collect(),
        ));
    };
    let result: List = told
        .into_iter()
        .map(|element| element.unwrap_or(Blob::EMPTY))
        .collect();
    let length = result.len();
    call.put_result(target, result);
    Ok(Reply::Integer(length as i64))
}

/// The elements in the order in which they are kept, and whether that order means nothing.
fn elements(call: &mut Call<'_, '_>, query: &Query<'_>) -> Result<(Vec<Blob>, bool), CommandError> {
    let entry = call.entry(call.arg(1));
    Ok(match entry.map(|entry| &entry.value) {
        None => (Vec::new(), false),
        Some(Value::List(list)) => (list.iter().cloned().collect(), false),
        Some(Value::Set(set)) => (set.iter().cloned().collect(), true),
        Some(Value::SortedSet(set)) => {
            let members = set.iter().map(|(member, _)| member.clone());
            let backwards = query.descending && !query.sorts();
            (
                if backwards {
                    members.rev().collect()
                } else {
                    members.collect()
                },
                false,
            )
        }
        Some(_) => return Err(CommandError::WrongType),
    })
}

fn sorted(
    call: &mut Call<'_, '_>,
    query: &Query<'_>,
    elements: Vec<Blob>,
    force: bool,
) -> Result<Vec<Blob>, CommandError> {
    let by = if force { None } else { query.by };
    let alphabetic = query.alphabetic || force;
    let mut weighted = Vec::with_capacity(elements.len());
    for element in elements {
        let text = match by {
            Some(pattern) => referenced(call, pattern, &element),
            None => Some(element.clone()),
        };
        let weight = if alphabetic {
            Weight::Text(text)
        } else {
            // No text at all counts as zero, as it does for the C library.
            let text = text.filter(|text| !text.is_empty());
            let number = text.map_or(Some(0.0), |text| parse_float(&text));
            Weight::Number(number.ok_or(CommandError::Refused(
                "One or more scores can't be converted into double",
            ))?)
        };
        weighted.push((weight, element));
    }
    weighted.sort_by(|(one, element), (other, rival)| {
        // Equal weights are told apart by the elements, so that the order is the same on every server.
        let tie = || {
            if by.is_none() {
                Ordering::Equal
            } else {
                element.cmp(rival)
            }
        };
        let order = one.compare(other).then_with(tie);
        if query.descending {
            order.reverse()
        } else {
            order
        }
    });
    Ok(weighted.into_iter().map(|(_, element)| element).collect())
}

/// What is told of an element: itself, or what the patterns name.
fn columns(call: &mut Call<'_, '_>, query: &Query<'_>, element: &Blob) -> Vec<Option<Blob>> {
    if query.get.is_empty() {
        return vec![Some(element.clone())];
    }
    let patterns = query.get.iter();
    patterns
        .map(|pattern| referenced(call, pattern, element))
        .collect()
}

/// What a pattern names for an element: `#` itself, otherwise the string under the key, or the field of the hash after
/// `->`, that the pattern gives with the element in the place of `*`.
fn referenced(call: &mut Call<'_, '_>, pattern: &Bytes, element: &Blob) -> Option<Blob> {
    if &pattern[..] == b"#" {
        return Some(element.clone());
    }
    let star = pattern.iter().position(|byte| *byte == b'*')?;
    let after = &pattern[star + 1..];
    let arrow = after.windows(2).position(|pair| pair == b"->");
    // An arrow at the very end names no field; it is part of the key.
    let arrow = arrow.filter(|at| at + 2 < after.len());
    let (rest, field) = match arrow {
        Some(at) => (&after[..at], Some(&after[at + 2..])),
        None => (after, None),
    };
    let key = Bytes::from([&pattern[..star], element, rest].concat());
    match field {
        Some(field) => {
            let hash: Hash = call.collection(&key).ok()??;
            hash.get(field).cloned()
        }
        None => call.string(&key).ok()?,
    }
}
