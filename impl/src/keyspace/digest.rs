//! The digest by which two servers are compared: the value of Redis's `DEBUG DIGEST`.
//!
//! A digest is twenty bytes. Something is *added* to it by the exclusive or of its SHA-1, whatever the order, and *mixed*
//! into it by adding and then hashing the digest itself, so that order counts. Learned from `debug.c` of Redis 7.0;
//! `tests/against_redis.rs` compares the results.

use sha1::{Digest as _, Sha1};

use super::value::{Entry, Value};
use super::{DATABASES, Snapshot};
use crate::numbers::{exact, shortest};

/// How the digest spells the scores of sorted sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScoreText {
    /// With seventeen significant digits, as servers up to Redis 7.0 do.
    #[default]
    Exact,
    /// With as few digits as tell them apart, as servers from Redis 7.2 and Valkey 7.2 on do.
    Shortest,
}

/// A digest in the making.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest([u8; 20]);

impl Digest {
    fn add(&mut self, bytes: &[u8]) {
        let sum = Sha1::digest(bytes);
        for (byte, added) in self.0.iter_mut().zip(sum) {
            *byte ^= added;
        }
    }

    fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    /// The digest of a value and its deadline, as in `DEBUG DIGEST-VALUE`.
    pub fn of_entry(entry: &Entry) -> Self {
        Self::default().with_entry(entry, ScoreText::default())
    }

    /// All zeros without data, otherwise forty hexadecimal digits that look like nothing.
    pub fn of_snapshot(snapshot: &Snapshot, scores: ScoreText) -> Self {
        let mut whole = Self::default();
        for database in (0..DATABASES).filter(|database| snapshot.len(*database) > 0) {
            whole.mix(&(database as u32).to_be_bytes());
            for (key, entry) in snapshot.iter(database) {
                let mut one = Self::default();
                one.mix(key);
                whole.add(&one.with_entry(entry, scores).0);
            }
        }
        whole
    }

    fn with_entry(mut self, entry: &Entry, scores: ScoreText) -> Self {
        let spell = match scores {
            ScoreText::Exact => exact,
            ScoreText::Shortest => shortest,
        };
        self.mix(&type_number(&entry.value).to_be_bytes());
        match &entry.value {
            Value::String(bytes) => self.mix(bytes),
            Value::List(list) => list.iter().for_each(|element| self.mix(element)),
            Value::Set(set) => set.iter().for_each(|member| self.add(member)),
            Value::SortedSet(set) => set.iter().for_each(|(member, score)| {
                self.add_pair(member, spell(score).as_bytes());
            }),
            Value::Hash(hash) => hash
                .iter()
                .for_each(|(field, value)| self.add_pair(field, value)),
        }
        if entry.expires_at_ms().is_some() {
            self.add(b"!!expire!!");
        }
        self
    }

    fn add_pair(&mut self, one: &[u8], other: &[u8]) {
        let mut pair = Self::default();
        pair.mix(one);
        pair.mix(other);
        self.add(&pair.0);
    }
}

fn type_number(value: &Value) -> u32 {
    match value {
        Value::String(_) => 0,
        Value::List(_) => 1,
        Value::Set(_) => 2,
        Value::SortedSet(_) => 3,
        Value::Hash(_) => 4,
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
