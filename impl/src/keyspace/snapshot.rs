//! The data set as it was at one moment, for whoever writes it out beside further writes.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;

use super::table::{Place, Table};
use super::{DATABASES, Entry, Keyspace};

/// An immutable cut of all databases. It can be sent to another thread; it holds the old versions of what is written
/// after it until it is dropped.
#[derive(Debug, Clone)]
pub struct Snapshot {
    tables: [Table; DATABASES],
}

/// Where a reader of a snapshot stands: after this key.
#[derive(Debug, Clone)]
pub struct Position(Place);

impl Snapshot {
    pub(super) fn new(tables: [Table; DATABASES]) -> Self {
        Self { tables }
    }

    /// Number of keys in a database.
    pub fn len(&self, database: usize) -> usize {
        self.tables[database].len()
    }

    /// Whether all databases are empty.
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(|table| table.len() == 0)
    }

    /// The keys and entries of a database, in the fixed order.
    pub fn iter(&self, database: usize) -> impl Iterator<Item = (&Bytes, &Entry)> {
        self.tables[database].iter()
    }

    /// The entry after a position (`None` begins) and the position to ask with next; for readers that pause.
    pub fn next_after(
        &self,
        database: usize,
        position: Option<&Position>,
    ) -> Option<(Position, &Bytes, &Entry)> {
        let found = self.tables[database].next_after(position.map(|position| &position.0));
        found.map(|(place, entry)| (Position(place.clone()), &place.key, entry))
    }

    /// See [`Keyspace::digest`].
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (number, table) in self
            .tables
            .iter()
            .enumerate()
            .filter(|(_, table)| table.len() > 0)
        {
            number.hash(&mut hasher);
            table.iter().for_each(|pair| pair.hash(&mut hasher));
        }
        hasher.finish()
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
