//! A data set in the plainest form there is: standard collections, and commands as their documentation describes them.
//!
//! What it answers, in RESP3, is what the server has to answer. It knows nothing of replication, encodings or snapshots.
//! Texts are ASCII, scores are multiples of a half: then nothing depends on how numbers are rounded or spelled.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::answer::Answer;

mod collections;
mod keys;
mod sorted;
mod strings;

/// Databases that it knows.
pub(crate) const DATABASES: usize = 2;

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_INTEGER: &str = "ERR value is not an integer or out of range";
const NO_SUCH_KEY: &str = "ERR no such key";
const SAME_OBJECT: &str = "ERR source and destination objects are the same";

/// An answer, or the text of an error.
type Done = Result<Answer, &'static str>;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    List(VecDeque<String>),
    Hash(BTreeMap<String, String>),
    Set(BTreeSet<String>),
    Sorted(BTreeMap<String, f64>),
}

/// A type that a value may be of.
trait Kind: Default {
    fn of(value: &mut Value) -> Option<&mut Self>;
    fn into_value(self) -> Value;
}

macro_rules! kind {
    ($type:ty, $variant:ident) => {
        impl Kind for $type {
            fn of(value: &mut Value) -> Option<&mut Self> {
                match value {
                    Value::$variant(inner) => Some(inner),
                    _ => None,
                }
            }

            fn into_value(self) -> Value {
                Value::$variant(self)
            }
        }
    };
}

kind!(String, Text);
kind!(VecDeque<String>, List);
kind!(BTreeMap<String, String>, Hash);
kind!(BTreeSet<String>, Set);
kind!(BTreeMap<String, f64>, Sorted);

impl Value {
    fn is_empty_collection(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::List(list) => list.is_empty(),
            Self::Hash(hash) => hash.is_empty(),
            Self::Set(set) => set.is_empty(),
            Self::Sorted(sorted) => sorted.is_empty(),
        }
    }

    /// As `TYPE` names it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Hash(_) => "hash",
            Self::Set(_) => "set",
            Self::Sorted(_) => "zset",
        }
    }
}

#[derive(Debug, Clone)]
struct Slot {
    value: Value,
    deadline_ms: Option<u64>,
}

/// The data set.
#[derive(Debug, Default)]
pub(crate) struct Model {
    databases: [BTreeMap<String, Slot>; DATABASES],
    selected: usize,
    now_ms: u64,
}

impl Model {
    /// Executes a command at a time. Where chance decides, `heard` says what was chosen.
    pub(crate) fn execute(&mut self, words: &[&str], heard: &Answer, now_ms: u64) -> Answer {
        self.now_ms = now_ms;
        for database in &mut self.databases {
            database.retain(|_, slot| slot.deadline_ms.is_none_or(|deadline| now_ms <= deadline));
        }
        let parts = [
            Self::strings,
            Self::lists,
            Self::hashes,
            Self::sets,
            Self::sorted_sets,
            Self::keys,
        ];
        let done = self
            .chosen(words, heard)
            .or_else(|| parts.iter().find_map(|part| part(self, words)));
        match done {
            Some(Ok(answer)) => answer,
            Some(Err(text)) => Answer::Line(format!("-{text}")),
            None => panic!("the model does not know {words:?}"),
        }
    }

    /// All keys of a database, each with the type of its value.
    pub(crate) fn contents(&self, database: usize) -> Vec<(String, &'static str)> {
        let slots = self.databases[database].iter();
        slots
            .map(|(key, slot)| (key.clone(), slot.value.type_name()))
            .collect()
    }

    fn slots(&mut self) -> &mut BTreeMap<String, Slot> {
        &mut self.databases[self.selected]
    }

    fn has(&mut self, key: &str) -> bool {
        self.slots().contains_key(key)
    }

    /// Puts a value in the place of whatever a key held; of an empty collection only the absence.
    fn put(&mut self, key: &str, value: Value, deadline_ms: Option<u64>) {
        if value.is_empty_collection() {
            self.slots().remove(key);
        } else {
            let slot = Slot { value, deadline_ms };
            self.slots().insert(key.to_owned(), slot);
        }
    }

    /// A copy of what is under a key.
    fn read<T: Kind + Clone>(&mut self, key: &str) -> Result<Option<T>, &'static str> {
        match self.slots().get_mut(key) {
            None => Ok(None),
            Some(slot) => T::of(&mut slot.value).cloned().map(Some).ok_or(WRONG_TYPE),
        }
    }

    /// Changes what is under a key, or something empty that is stored unless it stays so.
    fn edit<T: Kind, R>(
        &mut self,
        key: &str,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, &'static str> {
        let empty = || Slot {
            value: T::default().into_value(),
            deadline_ms: None,
        };
        let slot = self.slots().entry(key.to_owned()).or_insert_with(empty);
        let result = change(T::of(&mut slot.value).ok_or(WRONG_TYPE)?);
        if slot.value.is_empty_collection() {
            self.slots().remove(key);
        }
        Ok(result)
    }
}

fn ok() -> Answer {
    Answer::Line("+OK".into())
}

fn null() -> Answer {
    Answer::Line("_".into())
}

fn int(number: impl TryInto<i64>) -> Answer {
    let number = number.try_into().ok().expect("small numbers");
    Answer::Line(format!(":{number}"))
}

fn bulk(text: &str) -> Answer {
    Answer::Bulk(Some(text.as_bytes().to_vec()))
}

fn bulk_or_null(text: Option<&String>) -> Answer {
    text.map_or_else(null, |text| bulk(text))
}

fn double(number: f64) -> Answer {
    Answer::Line(format!(",{number}"))
}

fn array(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Answer {
    let texts = texts.into_iter().map(|text| bulk(text.as_ref()));
    Answer::Array(Some(texts.collect()))
}

fn set(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Answer {
    Answer::Set(texts.into_iter().map(|text| bulk(text.as_ref())).collect())
}

fn number(text: &str) -> i64 {
    text.parse().expect("the test gives numbers")
}

/// The indices that two ends mean, both included, counted from the end if negative.
fn span(start: &str, stop: &str, length: usize) -> std::ops::Range<usize> {
    let length = length as i64;
    let absolute = |index: i64| if index < 0 { index + length } else { index };
    let start = absolute(number(start)).max(0);
    let end = absolute(number(stop)).min(length - 1) + 1;
    if start < end {
        start as usize..end as usize
    } else {
        0..0
    }
}
