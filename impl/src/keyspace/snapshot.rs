//! The data set as it was at one moment, for whoever writes it out beside further writes.

use super::blob::Blob;
use super::digest::{Digest, ScoreText};
use super::tree::Tree;
use super::value::Entry;
use super::{DATABASES, Keyspace, Slot};

/// A cut of all databases. It can be sent to another thread; it holds the old versions of what is written
/// after it until it is dropped, or forgets them.
#[derive(Debug, Clone)]
pub struct Snapshot {
    tables: [Tree<Slot>; DATABASES],
}

impl Snapshot {
    pub(super) fn new(tables: [Tree<Slot>; DATABASES]) -> Self {
        Self { tables }
    }

    /// Number of keys in a database.
    pub fn len(&self, database: usize) -> usize {
        self.tables[database].len()
    }

    /// Whether all databases are empty.
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(Tree::is_empty)
    }

    /// The keys and entries of a database, in the fixed order.
    pub fn iter(&self, database: usize) -> impl Iterator<Item = (&Blob, &Entry)> {
        self.tables[database].iter().map(Slot::pair)
    }

    /// The key and entry at an index of the fixed order; for readers that pause.
    pub fn at(&self, database: usize, index: usize) -> Option<(&Blob, &Entry)> {
        self.tables[database].get(index).map(Slot::pair)
    }

    /// Lets go of keys of a database that come before an index, so that writes from now on need not keep their old versions
    /// for us; how many of them. Indices count from what remains.
    pub fn forget_before(&mut self, database: usize, index: usize) -> usize {
        self.tables[database].forget_before(index)
    }

    /// See [`Keyspace::digest`].
    pub fn digest(&self, scores: ScoreText) -> Digest {
        Digest::of_snapshot(self, scores)
    }
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        (0..DATABASES).all(|database| self.iter(database).eq(other.iter(database)))
    }
}

impl Eq for Snapshot {}

impl From<&Snapshot> for Keyspace {
    /// The same data, ready to be written to.
    fn from(snapshot: &Snapshot) -> Self {
        let mut keyspace = Self::new();
        for database in 0..DATABASES {
            for (key, entry) in snapshot.iter(database) {
                keyspace.insert(database, key, entry.clone());
            }
        }
        keyspace
    }
}
