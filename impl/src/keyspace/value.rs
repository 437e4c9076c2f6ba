//! What is stored under a key: a value of one of five types, and when it ends.

use std::num::NonZeroU64;

use bytes::Bytes;

use super::blob::Blob;
use super::hash::Hash;
use super::list::List;
use super::set::Set;
use super::sorted_set::SortedSet;
use crate::resp::parse_integer;

/// A value. Cloning one costs at most a reference count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string of any bytes.
    String(Blob),
    /// A list of strings.
    List(List),
    /// A map from strings to strings.
    Hash(Hash),
    /// A set of strings.
    Set(Set),
    /// A set of strings with scores.
    SortedSet(SortedSet),
}

/// Up to where `OBJECT ENCODING` calls a collection compact: the directives of Redis that say so. Nothing is stored
/// differently for it here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodingLimits {
    /// Most fields of a compact hash.
    pub hash_entries: usize,
    /// Longest field or value of a compact hash, in bytes.
    pub hash_value_bytes: usize,
    /// Most members of a set of integers.
    pub integer_set_entries: usize,
    /// Most members of a compact sorted set.
    pub sorted_set_entries: usize,
    /// Longest member of a compact sorted set, in bytes.
    pub sorted_set_value_bytes: usize,
}

impl Default for EncodingLimits {
    /// The defaults of Redis 7.0.
    fn default() -> Self {
        Self {
            hash_entries: 512,
            hash_value_bytes: 64,
            integer_set_entries: 512,
            sorted_set_entries: 128,
            sorted_set_value_bytes: 64,
        }
    }
}

/// The longest string that Redis allocates in one piece with its header.
const EMBEDDED_BYTES: usize = 44;

impl Value {
    /// What `TYPE` answers.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "string",
            Self::List(_) => "list",
            Self::Hash(_) => "hash",
            Self::Set(_) => "set",
            Self::SortedSet(_) => "zset",
        }
    }

    /// Whether it is a collection without anything in it, which no key may hold.
    pub fn is_empty_collection(&self) -> bool {
        match self {
            Self::String(_) => false,
            Self::List(list) => list.is_empty(),
            Self::Hash(hash) => hash.is_empty(),
            Self::Set(set) => set.is_empty(),
            Self::SortedSet(set) => set.is_empty(),
        }
    }

    /// Reads the memory that it will take to read or replace it; the number means nothing.
    pub(super) fn touch(&self) -> usize {
        match self {
            Self::String(bytes) => bytes.touch(),
            _ => 0,
        }
    }

    /// About how many bytes of memory the value takes, all nodes counted as full.
    pub fn memory_bytes(&self) -> usize {
        /// A position in front of what is sorted by hash, and a score.
        const WORD: usize = size_of::<u64>();
        let blob = |blob: &Blob| size_of::<Blob>() + blob.heap_bytes();
        size_of::<Self>()
            + match self {
                Self::String(bytes) => bytes.heap_bytes(),
                Self::List(list) => list.iter().map(blob).sum(),
                Self::Set(set) => set.iter().map(|member| WORD + blob(member)).sum(),
                Self::Hash(hash) => hash
                    .iter()
                    .map(|(field, value)| WORD + blob(field) + blob(value))
                    .sum(),
                Self::SortedSet(set) => set
                    .iter()
                    .map(|(member, _)| 3 * WORD + size_of::<Blob>() + blob(member))
                    .sum(),
            }
    }

    /// How Redis 7.0 would store a value of this content, had it just been loaded.
    pub fn encoding(&self, limits: &EncodingLimits) -> &'static str {
        let compact = |is: bool, large: &'static str| if is { "listpack" } else { large };
        match self {
            Self::String(bytes) if bytes.is_editable() => "raw",
            Self::String(bytes) if parse_integer(bytes).is_some() => "int",
            Self::String(bytes) if bytes.len() <= EMBEDDED_BYTES => "embstr",
            Self::String(_) => "raw",
            Self::List(_) => "quicklist",
            Self::Hash(hash) => {
                let short = |text: &Blob| text.len() <= limits.hash_value_bytes;
                let few = hash.len() <= limits.hash_entries;
                let is = few
                    && hash
                        .iter()
                        .all(|(field, value)| short(field) && short(value));
                compact(is, "hashtable")
            }
            Self::Set(set) => {
                let few = set.len() <= limits.integer_set_entries;
                if few && set.iter().all(|member| parse_integer(member).is_some()) {
                    "intset"
                } else {
                    "hashtable"
                }
            }
            Self::SortedSet(set) => {
                let short = |member: &Blob| member.len() <= limits.sorted_set_value_bytes;
                let few = set.len() <= limits.sorted_set_entries;
                compact(
                    few && set.iter().all(|(member, _)| short(member)),
                    "skiplist",
                )
            }
        }
    }
}

/// A type of collection, for code that is the same for all of them.
pub trait Collection: Default {
    /// The collection in a value, if it is one of this type.
    fn of(value: &Value) -> Option<&Self>;

    /// The same, to be changed.
    fn of_mut(value: &mut Value) -> Option<&mut Self>;

    /// It as a value.
    fn into_value(self) -> Value;
}

impl Collection for List {
    fn of(value: &Value) -> Option<&Self> {
        match value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    fn of_mut(value: &mut Value) -> Option<&mut Self> {
        match value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    fn into_value(self) -> Value {
        Value::List(self)
    }
}

impl Collection for Hash {
    fn of(value: &Value) -> Option<&Self> {
        match value {
            Value::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    fn of_mut(value: &mut Value) -> Option<&mut Self> {
        match value {
            Value::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    fn into_value(self) -> Value {
        Value::Hash(self)
    }
}

impl Collection for Set {
    fn of(value: &Value) -> Option<&Self> {
        match value {
            Value::Set(set) => Some(set),
            _ => None,
        }
    }

    fn of_mut(value: &mut Value) -> Option<&mut Self> {
        match value {
            Value::Set(set) => Some(set),
            _ => None,
        }
    }

    fn into_value(self) -> Value {
        Value::Set(self)
    }
}

impl Collection for SortedSet {
    fn of(value: &Value) -> Option<&Self> {
        match value {
            Value::SortedSet(set) => Some(set),
            _ => None,
        }
    }

    fn of_mut(value: &mut Value) -> Option<&mut Self> {
        match value {
            Value::SortedSet(set) => Some(set),
            _ => None,
        }
    }

    fn into_value(self) -> Value {
        Value::SortedSet(self)
    }
}

/// A value and when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Value,
    // Zero is no deadline: one at the beginning of 1970 has passed as well a millisecond later.
    deadline_ms: Option<NonZeroU64>,
}

impl Entry {
    /// A value that does not end.
    pub fn new(value: Value) -> Self {
        Self {
            value,
            deadline_ms: None,
        }
    }

    /// A string that does not end.
    pub fn string(bytes: impl Into<Blob>) -> Self {
        Self::new(Value::String(bytes.into()))
    }

    /// Becomes a string; when it ended before.
    pub(super) fn assign(&mut self, text: &Bytes, expires_at_ms: Option<u64>) -> Option<u64> {
        let before = self.expires_at_ms();
        match &mut self.value {
            Value::String(blob) => blob.assign(text),
            value => *value = Value::String(text.into()),
        }
        self.deadline_ms = deadline(expires_at_ms);
        before
    }

    /// The same value with a deadline, or without.
    #[must_use]
    pub fn expiring(self, expires_at_ms: Option<u64>) -> Self {
        Self {
            value: self.value,
            deadline_ms: deadline(expires_at_ms),
        }
    }

    /// The last unix millisecond at which it is still there, if it ends at all.
    pub fn expires_at_ms(&self) -> Option<u64> {
        self.deadline_ms.map(NonZeroU64::get)
    }

    /// Whether it is logically gone, although perhaps not deleted.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms()
            .is_some_and(|deadline| now_ms > deadline)
    }
}

fn deadline(expires_at_ms: Option<u64>) -> Option<NonZeroU64> {
    expires_at_ms.and_then(|deadline| NonZeroU64::new(deadline.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_entries_are_small() {
        assert_eq!((size_of::<Value>(), size_of::<Entry>()), (24, 32));
    }
}
