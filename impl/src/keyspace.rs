//! The data set: sixteen databases of keys with values and optional expiry, and cheap snapshots of all of them.
//!
//! Databases and collections are trees: sequences in shared nodes, sorted by a fixed 48-bit hash of the key where they
//! are tables. A snapshot copies sixteen roots, whatever is stored. A write beside it copies the nodes on one path of
//! the database and, if the value is a collection, on one path of the collection: some kilobytes, once for each path and
//! snapshot, be it in a database of millions of keys or in a hash of millions of fields. Without a snapshot a write
//! copies nothing. A snapshot that is kept therefore costs at most as much memory again as was written to meanwhile.
//!
//! A key takes 64 bytes and its share of half-full nodes, in all some 90; key, string or number of up to 22 bytes need
//! nothing else, and longer ones an allocation of their own. A deadline takes some 50 bytes more. Nothing here knows the
//! time except as an argument in unix milliseconds, nothing deletes a key for having expired unless asked to, and
//! nothing is random.

use std::collections::BTreeSet;

use bytes::Bytes;

mod blob;
mod digest;
pub mod glob;
mod hash;
mod list;
mod place;
mod set;
mod snapshot;
mod sorted_set;
mod sought;
mod tree;
mod value;

pub use blob::Blob;
pub use digest::{Digest, ScoreText};
pub use hash::Hash;
pub use list::List;
pub use place::scaled;
pub use set::Set;
pub use snapshot::Snapshot;
pub use sorted_set::SortedSet;
pub use value::{Collection, EncodingLimits, Entry, Value};

use place::Place;
use tree::{Coming, Item, Tree};

/// How many databases there are, as in a default `redis.conf`.
pub const DATABASES: usize = 16;

/// Databases with fewer keys are in the processor's caches anyhow.
const TOUCHED_FROM: usize = 4 * 1024;

/// What is longer takes more time to hash than memory takes to answer, and need not be a key.
const TOUCHED_KEY_BYTES: usize = 256;

/// A key of a database and what it holds.
#[derive(Debug, Clone)]
struct Slot {
    place: Place,
    entry: Entry,
}

impl Slot {
    fn pair(&self) -> (&Blob, &Entry) {
        (&self.place.key, &self.entry)
    }
}

impl Item for Slot {
    type Key = Place;

    fn key(&self) -> &Place {
        &self.place
    }
}

/// A string on its way to its place, as it came from a connection.
struct Text<'a> {
    place: Place,
    sent: &'a Bytes,
    expires_at_ms: Option<u64>,
}

impl Coming<Slot> for Text<'_> {
    /// When it ended.
    type Was = Option<u64>;

    fn key(&self) -> &Place {
        &self.place
    }

    fn replace(self, slot: &mut Slot) -> Option<u64> {
        slot.entry.assign(self.sent, self.expires_at_ms)
    }

    fn into_item(self) -> Slot {
        Slot {
            place: self.place,
            entry: Entry::string(self.sent).expiring(self.expires_at_ms),
        }
    }
}

/// One database: its table, and its deadlines in order (which snapshots do not need).
#[derive(Debug, Clone, Default)]
struct Database {
    table: Tree<Slot>,
    deadlines: BTreeSet<(u64, Blob)>,
}

impl Database {
    fn insert(&mut self, key: Blob, entry: Entry) -> Option<Entry> {
        let deadline = entry.expires_at_ms();
        let place = Place::of(key.clone());
        let previous = self.table.put(Slot { place, entry });
        let previous = previous.map(|slot| slot.entry);
        let before = previous.as_ref().and_then(Entry::expires_at_ms);
        self.deadline_changed(key, before, deadline);
        previous
    }

    fn store(&mut self, key: &[u8], text: &Bytes, expires_at_ms: Option<u64>) {
        let before = self.table.put(Text {
            place: Place::of(Blob::copy(key)),
            sent: text,
            expires_at_ms,
        });
        if expires_at_ms.is_some() || before.is_some_and(|before| before.is_some()) {
            self.deadline_changed(Blob::copy(key), before.flatten(), expires_at_ms);
        }
    }

    fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let Slot { place, entry } = self.table.take(key)?;
        self.deadline_changed(place.key, entry.expires_at_ms(), None);
        Some(entry)
    }

    fn deadline_changed(&mut self, key: Blob, before: Option<u64>, after: Option<u64>) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.deadlines.remove(&(before, key.clone()));
        }
        if let Some(after) = after {
            self.deadlines.insert((after, key));
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
    pub fn get(&self, database: usize, key: &[u8]) -> Option<&Entry> {
        let slot = self.databases[database].table.look_up(key);
        slot.map(|slot| &slot.entry)
    }

    /// Reads what will be read when these keys are looked up: all of them together, so that memory is waited for once.
    pub fn touch<'k>(&self, database: usize, keys: impl Iterator<Item = &'k Bytes>) {
        let table = &self.databases[database].table;
        if table.len() >= TOUCHED_FROM {
            let short = keys.filter(|key| key.len() <= TOUCHED_KEY_BYTES);
            table.touch(short, |slot| slot.entry.value.touch());
        }
    }

    /// The value under a key, to be changed.
    pub fn get_mut(&mut self, database: usize, key: &[u8]) -> Option<&mut Value> {
        let slot = self.databases[database].table.look_up_mut(key);
        slot.map(|slot| &mut slot.entry.value)
    }

    /// Stores an entry and hands back the one it replaced.
    pub fn insert(&mut self, database: usize, key: &[u8], entry: Entry) -> Option<Entry> {
        self.databases[database].insert(Blob::copy(key), entry)
    }

    /// Stores a string with a deadline, or without.
    pub fn store(&mut self, database: usize, key: &[u8], text: &Bytes, expires_at_ms: Option<u64>) {
        self.databases[database].store(key, text, expires_at_ms);
    }

    /// Deletes a key and hands back what was there.
    pub fn remove(&mut self, database: usize, key: &[u8]) -> Option<Entry> {
        self.databases[database].remove(key)
    }

    /// Gives a key another deadline, or none; false if there is no such key.
    pub fn set_deadline(&mut self, database: usize, key: &[u8], after: Option<u64>) -> bool {
        let database = &mut self.databases[database];
        let Some(slot) = database.table.look_up_mut(key) else {
            return false;
        };
        let before = slot.entry.expires_at_ms();
        slot.entry = slot.entry.clone().expiring(after);
        let (key, after) = (slot.place.key.clone(), slot.entry.expires_at_ms());
        database.deadline_changed(key, before, after);
        true
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
    pub fn iter(&self, database: usize) -> impl Iterator<Item = (&Blob, &Entry)> {
        self.databases[database].table.iter().map(Slot::pair)
    }

    /// The keys from a cursor on (0 begins), at least `count` if there are so many, and the next cursor (0 ends).
    /// A key that is there from the first call to the last is met exactly once.
    pub fn scan(&self, database: usize, cursor: u64, count: usize) -> (u64, Vec<Blob>) {
        let (next, slots) = self.databases[database].table.scan(cursor, count);
        let keys = slots.into_iter();
        (next, keys.map(|slot| slot.place.key.clone()).collect())
    }

    /// A key chosen by a number; all numbers together choose each key equally often.
    pub fn pick(&self, database: usize, seed: u64) -> Option<&Blob> {
        let slot = self.databases[database].table.choose(seed);
        slot.map(|slot| &slot.place.key)
    }

    /// Deletes at most `limit` expired keys, the oldest deadlines of each database first, and names them, so that a
    /// primary can propagate the deletions. It begins with the database `first` and goes round, so that a caller who
    /// changes that keeps no database waiting behind a busier one. A replica never calls this (PROTOCOL §6 X3).
    pub fn expire_step(&mut self, now_ms: u64, limit: usize, first: usize) -> Vec<(usize, Blob)> {
        let mut expired = Vec::new();
        for number in (0..DATABASES).map(|number| (first + number) % DATABASES) {
            let database = &mut self.databases[number];
            while expired.len() < limit {
                let oldest = database.deadlines.first();
                let Some((_, key)) = oldest.filter(|(deadline, _)| *deadline < now_ms) else {
                    break;
                };
                let key = key.clone();
                database.remove(&key);
                expired.push((number, key));
            }
        }
        expired
    }

    /// The data as of now, at the price of sixteen roots.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(
            self.databases
                .each_ref()
                .map(|database| database.table.clone()),
        )
    }

    /// The value of `DEBUG DIGEST` up to Redis 7.0: equal for equal data, whatever the order of the writes; of deadlines it
    /// knows only whether there are any.
    pub fn digest(&self) -> Digest {
        self.snapshot().digest(ScoreText::default())
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
