//! The values: every form in which Redis 2.4 to 8.0 and Valkey 8 store the types that we hold, and the one we write.
//!
//! We write the plain forms, which every version reads. A collection that holds something twice is refused: nothing
//! honest writes it, and a server that took it would disagree with the next one about what it holds.

use bytes::{BufMut, Bytes, BytesMut};

use super::format::{
    HASH, HASH_LISTPACK, HASH_ZIPLIST, HASH_ZIPMAP, LIST, LIST_QUICKLIST, LIST_QUICKLIST_2,
    LIST_ZIPLIST, NODE_PACKED, NODE_PLAIN, SCORE_INFINITE, SCORE_NAN, SCORE_NEGATIVE_INFINITE, SET,
    SET_INTSET, SET_LISTPACK, SORTED_SET, SORTED_SET_BINARY, SORTED_SET_LISTPACK,
    SORTED_SET_ZIPLIST, STRING,
};
use super::input::Input;
use super::length::{put, put_string};
use super::{RdbError, packed};
use crate::keyspace::{Blob, Hash, Set, SortedSet, Value};
use crate::numbers::{exact, parse_float};

/// Whether a code is that of a type which [`read`] reads.
pub(super) fn is_type(code: u8) -> bool {
    matches!(code, STRING..=SORTED_SET_BINARY | HASH_ZIPMAP..=LIST_QUICKLIST
        | HASH_LISTPACK..=LIST_QUICKLIST_2 | SET_LISTPACK)
}

/// Reads a value of a type that [`is_type`].
pub(super) fn read(code: u8, input: &mut Input) -> Result<Value, RdbError> {
    Ok(match code {
        STRING => Value::String(input.string()?.into()),
        LIST => Value::List(plain(input)?.into_iter().collect()),
        LIST_ZIPLIST => {
            let elements = unpack("ziplist", packed::ziplist, input)?;
            Value::List(elements.into_iter().collect())
        }
        LIST_QUICKLIST => Value::List(quicklist(input)?.into_iter().collect()),
        LIST_QUICKLIST_2 => Value::List(quicklist_2(input)?.into_iter().collect()),
        SET => set("set", plain(input)?, input)?,
        SET_INTSET => set("intset", unpack("intset", packed::intset, input)?, input)?,
        SET_LISTPACK => {
            let members = unpack("listpack", packed::listpack, input)?;
            set("listpack of a set", members, input)?
        }
        SORTED_SET => plain_sorted_set(input, textual_score)?,
        SORTED_SET_BINARY => plain_sorted_set(input, binary_score)?,
        SORTED_SET_ZIPLIST => sorted_set(&unpack("ziplist", packed::ziplist, input)?, input)?,
        SORTED_SET_LISTPACK => sorted_set(&unpack("listpack", packed::listpack, input)?, input)?,
        HASH => plain_hash(input)?,
        HASH_ZIPMAP => hash(&unpack("zipmap", packed::zipmap, input)?, input)?,
        HASH_ZIPLIST => hash(&unpack("ziplist", packed::ziplist, input)?, input)?,
        HASH_LISTPACK => hash(&unpack("listpack", packed::listpack, input)?, input)?,
        code => {
            let position = input.position();
            return Err(RdbError::UnknownCode { code, position });
        }
    })
}

fn bad(form: &'static str, input: &Input) -> RdbError {
    let position = input.position();
    RdbError::BadCollection { form, position }
}

fn blob(input: &mut Input) -> Result<Blob, RdbError> {
    input.string().map(Blob::from)
}

/// A length and that many strings. Nothing is reserved for them in advance.
fn plain(input: &mut Input) -> Result<Vec<Blob>, RdbError> {
    let count = input.length()?;
    (0..count).map(|_| blob(input)).collect()
}

/// One string and what it holds.
fn unpack(
    form: &'static str,
    elements: fn(&[u8]) -> Option<Vec<Blob>>,
    input: &mut Input,
) -> Result<Vec<Blob>, RdbError> {
    let bytes = input.string()?;
    elements(&bytes).ok_or_else(|| bad(form, input))
}

fn quicklist(input: &mut Input) -> Result<Vec<Blob>, RdbError> {
    let mut elements = Vec::new();
    for _ in 0..input.length()? {
        elements.append(&mut unpack("ziplist", packed::ziplist, input)?);
    }
    Ok(elements)
}

fn quicklist_2(input: &mut Input) -> Result<Vec<Blob>, RdbError> {
    let mut elements = Vec::new();
    for _ in 0..input.length()? {
        match input.length()? {
            NODE_PLAIN => elements.push(blob(input)?),
            NODE_PACKED => elements.append(&mut unpack("listpack", packed::listpack, input)?),
            _ => return Err(bad("node of a list", input)),
        }
    }
    Ok(elements)
}

fn set(form: &'static str, members: Vec<Blob>, input: &Input) -> Result<Value, RdbError> {
    let count = members.len();
    let set: Set = members.into_iter().collect();
    if set.len() == count {
        Ok(Value::Set(set))
    } else {
        Err(bad(form, input))
    }
}

fn plain_hash(input: &mut Input) -> Result<Value, RdbError> {
    let mut hash = Hash::default();
    for _ in 0..input.length()? {
        if hash.insert(blob(input)?, blob(input)?).is_some() {
            return Err(bad("hash", input));
        }
    }
    Ok(Value::Hash(hash))
}

/// A hash from fields and values in turn.
fn hash(elements: &[Blob], input: &Input) -> Result<Value, RdbError> {
    let mut hash = Hash::default();
    let (pairs, rest) = elements.as_chunks();
    let all_new = pairs
        .iter()
        .all(|[field, value]| hash.insert(field.clone(), value.clone()).is_none());
    if all_new && rest.is_empty() {
        Ok(Value::Hash(hash))
    } else {
        Err(bad("packed hash", input))
    }
}

fn plain_sorted_set(
    input: &mut Input,
    score: fn(&mut Input) -> Result<f64, RdbError>,
) -> Result<Value, RdbError> {
    let mut set = SortedSet::default();
    for _ in 0..input.length()? {
        let member = blob(input)?;
        let score = score(input)?;
        if score.is_nan() || set.insert(member, score).is_some() {
            return Err(bad("sorted set", input));
        }
    }
    Ok(Value::SortedSet(set))
}

fn binary_score(input: &mut Input) -> Result<f64, RdbError> {
    input.array().map(f64::from_le_bytes)
}

fn textual_score(input: &mut Input) -> Result<f64, RdbError> {
    match input.byte()? {
        SCORE_NAN => Ok(f64::NAN),
        SCORE_INFINITE => Ok(f64::INFINITY),
        SCORE_NEGATIVE_INFINITE => Ok(f64::NEG_INFINITY),
        length => {
            let text = input.take(length.into())?;
            parse_float(&text).ok_or_else(|| bad("score", input))
        }
    }
}

/// A sorted set from members and scores in turn.
fn sorted_set(elements: &[Blob], input: &Input) -> Result<Value, RdbError> {
    let mut set = SortedSet::default();
    let (pairs, rest) = elements.as_chunks();
    let all_new = pairs.iter().all(|[member, score]| {
        parse_float(score).is_some_and(|score| set.insert(member.clone(), score).is_none())
    });
    if all_new && rest.is_empty() {
        Ok(Value::SortedSet(set))
    } else {
        Err(bad("packed sorted set", input))
    }
}

/// The code of the form in which we write a value.
pub(super) fn code(value: &Value) -> u8 {
    match value {
        Value::String(_) => STRING,
        Value::List(_) => LIST,
        Value::Set(_) => SET,
        Value::SortedSet(_) => SORTED_SET,
        Value::Hash(_) => HASH,
    }
}

/// Writes what comes before the items of a value: a length, except for a string, which is its only item.
pub(super) fn put_header(out: &mut BytesMut, value: &Value) {
    match value {
        Value::String(_) => {}
        Value::List(list) => put(out, list.len()),
        Value::Set(set) => put(out, set.len()),
        Value::SortedSet(set) => put(out, set.len()),
        Value::Hash(hash) => put(out, hash.len()),
    }
}

/// Writes the items of a value from the one at index `from` on, until the buffer holds `enough` bytes, and returns the
/// index to go on with if that is not the end.
pub(super) fn put_items(
    out: &mut BytesMut,
    value: &Value,
    from: usize,
    enough: usize,
) -> Option<usize> {
    match value {
        Value::String(bytes) => {
            put_string(out, bytes);
            None
        }
        Value::List(list) => put_each(
            out,
            list.range(from, list.len()),
            from,
            enough,
            |out, element| {
                put_string(out, element);
            },
        ),
        Value::Set(set) => put_each(out, set.range(from), from, enough, |out, member| {
            put_string(out, member);
        }),
        Value::SortedSet(set) => put_each(
            out,
            set.range(from, set.len()),
            from,
            enough,
            |out, (member, score)| {
                put_string(out, member);
                put_score(out, score);
            },
        ),
        Value::Hash(hash) => put_each(
            out,
            hash.range(from),
            from,
            enough,
            |out, (field, value)| {
                put_string(out, field);
                put_string(out, value);
            },
        ),
    }
}

fn put_each<T>(
    out: &mut BytesMut,
    items: impl Iterator<Item = T>,
    from: usize,
    enough: usize,
    put_item: impl Fn(&mut BytesMut, T),
) -> Option<usize> {
    for (count, item) in items.enumerate() {
        if out.len() >= enough {
            return Some(from + count);
        }
        put_item(out, item);
    }
    None
}

fn put_score(out: &mut BytesMut, score: f64) {
    if score.is_infinite() {
        let code = if score > 0.0 {
            SCORE_INFINITE
        } else {
            SCORE_NEGATIVE_INFINITE
        };
        return out.put_u8(code);
    }
    let text = exact(score);
    out.put_u8(text.len() as u8);
    out.put_slice(text.as_bytes());
}

/// A whole value without key or deadline, as `DUMP` begins.
pub(super) fn write(value: &Value) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u8(code(value));
    put_header(&mut out, value);
    let rest = put_items(&mut out, value, 0, usize::MAX);
    debug_assert_eq!(rest, None, "nothing stops a value but a full buffer");
    out
}

/// The value that a payload consists of.
pub(super) fn read_whole(payload: &Bytes) -> Result<Value, RdbError> {
    let mut pieces = std::iter::once(payload.clone());
    let mut input = Input::new(&mut pieces);
    let code = input.byte()?;
    if !is_type(code) {
        let position = 0;
        return Err(RdbError::UnknownCode { code, position });
    }
    let value = read(code, &mut input)?;
    let position = input.position();
    match input.left() {
        0 => Ok(value),
        count => Err(RdbError::TrailingBytes { position, count }),
    }
}
