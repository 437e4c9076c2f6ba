//! The data set: sixteen databases of keys with values and optional expiry, and cheap snapshots of all of them.
//!
//! Every key has a fixed position, a 48-bit hash of its bytes; positions are cut into 1,024 shards, each an ordered map
//! behind an `Arc`. A snapshot copies sixteen pointers. The first write to a database after it copies 1,024 pointers, the
//! first write to a shard copies that shard (a thousandth of the database; values are shared, not copied), and every
//! further write costs what it did before. The fixed order also makes scans stable: a key never moves, so a cursor meets
//! every key that is there throughout. Nothing here knows the time except as an argument in unix milliseconds, nothing
//! deletes a key for having expired unless asked to, and nothing is random.

use std::collections::BTreeSet;

use bytes::Bytes;

pub mod glob;
mod snapshot;
mod table;

pub use snapshot::{Position, Snapshot};
use table::Table;

/// How many databases there are, as in a default `redis.conf`.
pub const DATABASES: usize = 16;

/// Values shorter than this are copied when they are stored, so that they do not keep a whole input buffer alive;
/// longer ones are most of the buffer they came in, and copying them would cost more than it saves.
const COPY_BELOW_BYTES: usize = 32 * 1024;

/// What is stored under a key. Other types will find their place here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// A string of any bytes.
    String(Bytes),
}

impl Value {
    /// What `TYPE` answers.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "string",
        }
    }
}

/// A value and when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The value.
    pub value: Value,
    /// The last unix millisecond at which it is still there, if it ends at all.
    pub expires_at_ms: Option<u64>,
}

impl Entry {
    /// A string that does not end.
    pub fn string(bytes: Bytes) -> Self {
        Self {
            value: Value::String(bytes),
            expires_at_ms: None,
        }
    }

    /// Whether it is logically gone, although perhaps not deleted.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|deadline| now_ms > deadline)
    }
}

/// Bytes fit to be stored for long: copied if they are a small part of some buffer, shared if they are large.
pub fn keep(bytes: &Bytes) -> Bytes {
    if bytes.len() < COPY_BELOW_BYTES {
        Bytes::copy_from_slice(bytes)
    } else {
        bytes.clone()
    }
}

/// One database: its table, and its deadlines in order (which snapshots do not need).
#[derive(Debug, Clone, Default)]
struct Database {
    table: Table,
    deadlines: BTreeSet<(u64, Bytes)>,
}

impl Database {
    fn insert(&mut self, key: &Bytes, entry: Entry) -> Option<Entry> {
        let deadline = entry.expires_at_ms;
        let key = keep(key);
        let previous = self.table.insert(key.clone(), entry);
        self.forget_deadline(&key, previous.as_ref());
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, key));
        }
        previous
    }

    fn remove(&mut self, key: &Bytes) -> Option<Entry> {
        let previous = self.table.remove(key);
        self.forget_deadline(key, previous.as_ref());
        previous
    }

    fn forget_deadline(&mut self, key: &Bytes, previous: Option<&Entry>) {
        if let Some(deadline) = previous.and_then(|entry| entry.expires_at_ms) {
            self.deadlines.remove(&(deadline, key.clone()));
        }
    }
}

/// The whole data set. Databases are numbered from 0; a number of [`DATABASES`] or more panics, because whoever takes
/// one from outside must have answered the error already.
#[derive(Debug, Clone)]
pub struct Keyspace {
    databases: [Database; DATABASES],
}

impl Default for Keyspace {
    fn default() -> Self {
        Self::new()
    }
}

impl Keyspace {
    /// Sixteen empty databases.
    pub fn new() -> Self {
        Self {
            databases: std::array::from_fn(|_| Database::default()),
        }
    }

    /// The entry under a key, expired or not.
    pub fn get(&self, database: usize, key: &Bytes) -> Option<&Entry> {
        self.databases[database].table.get(key)
    }

    /// Stores an entry and hands back the one it replaced. Small keys are copied (see [`keep`]); values are the
    /// caller's choice.
    pub fn insert(&mut self, database: usize, key: &Bytes, entry: Entry) -> Option<Entry> {
        self.databases[database].insert(key, entry)
    }

    /// Deletes a key and hands back what was there.
    pub fn remove(&mut self, database: usize, key: &Bytes) -> Option<Entry> {
        self.databases[database].remove(key)
    }

    /// Number of keys in a database, expired ones included until they are deleted (as in `DBSIZE`).
    pub fn len(&self, database: usize) -> usize {
        self.databases[database].table.len()
    }

    /// Number of keys with a deadline in a database.
    pub fn expiring(&self, database: usize) -> usize {
        self.databases[database].deadlines.len()
    }

    /// Whether all databases are empty.
    pub fn is_empty(&self) -> bool {
        (0..DATABASES).all(|database| self.len(database) == 0)
    }

    /// Empties one database.
    pub fn flush(&mut self, database: usize) {
        self.databases[database] = Database::default();
    }

    /// Empties all databases.
    pub fn flush_all(&mut self) {
        *self = Self::new();
    }

    /// Exchanges the contents of two databases.
    pub fn swap(&mut self, one: usize, other: usize) {
        self.databases.swap(one, other);
    }

    /// All keys and entries of a database, in the fixed order.
    pub fn iter(&self, database: usize) -> impl Iterator<Item = (&Bytes, &Entry)> {
        self.databases[database].table.iter()
    }

    /// The keys from a cursor on (0 begins), at least `count` if there are so many, and the next cursor (0 ends).
    /// A key that is there from the first call to the last is met exactly once.
    pub fn scan(&self, database: usize, cursor: u64, count: usize) -> (u64, Vec<Bytes>) {
        self.databases[database].table.scan(cursor, count)
    }

    /// A key chosen by a number: the first one at or after the position that the number names, around the end.
    pub fn pick(&self, database: usize, seed: u64) -> Option<&Bytes> {
        self.databases[database].table.pick(seed)
    }

    /// Deletes at most `limit` expired keys, the oldest deadlines of each database first, and names them, so that a
    /// primary can propagate the deletions. A replica never calls this (PROTOCOL §6 X3).
    pub fn expire_step(&mut self, now_ms: u64, limit: usize) -> Vec<(usize, Bytes)> {
        let mut expired = Vec::new();
        for (number, database) in self.databases.iter_mut().enumerate() {
            while expired.len() < limit {
                let Some((_, key)) = database
                    .deadlines
                    .first()
                    .filter(|(deadline, _)| *deadline < now_ms)
                    .cloned()
                else {
                    break;
                };
                database.remove(&key);
                expired.push((number, key));
            }
        }
        expired
    }

    /// The data as of now, at the price of sixteen pointers.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(
            self.databases
                .each_ref()
                .map(|database| database.table.clone()),
        )
    }

    /// A number that is equal for equal data, whatever the order of the writes. Not the value of Redis's `DEBUG DIGEST`.
    pub fn digest(&self) -> u64 {
        self.snapshot().digest()
    }
}

impl PartialEq for Keyspace {
    fn eq(&self, other: &Self) -> bool {
        self.snapshot() == other.snapshot()
    }
}

impl Eq for Keyspace {}

#[cfg(test)]
#[path = "keyspace/tests.rs"]
mod tests;
